// The order server: accepts orders over HTTP and processes them, or runs a demonstration.
#include "access.hpp"
#include "demo.hpp"
#include "descriptors.hpp"
#include "flags.hpp"
#include "preflight.hpp"
#include "server.hpp"

#include "pawl/spdlog.hpp"

#include <boost/algorithm/string/classification.hpp>
#include <boost/algorithm/string/split.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <unistd.h>

namespace asio = boost::asio;
using namespace order_processing;

namespace {

struct program_options {
    server_settings server;
    bool serve = false;
    bool check = false;
    int threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 64u));
    std::string log_level;
    std::string demo;                           ///< services with commas between them
    std::vector<std::string> unknown_variables; ///< of the environment
    std::string host;                           ///< names with commas between them
    int operator_port = -1;                     ///< none
    int max_connections = 10'000;
    int max_waiting = 1'000;
    std::string collector;    ///< of traces
    service_urls token_files; ///< of the bearer tokens for the services
};

constexpr auto usage =
    "order_server: accepts orders over HTTP and processes them.\n"
    "\n"
    "Without --serve it runs a demonstration: it starts everything with a temporary database,\n"
    "submits three orders, shows their transitions, and exits with 0 if all of them ended as\n"
    "expected. The payment back-off is then 200ms unless it is given.\n"
    "With --serve it serves until SIGTERM or SIGINT. Orders that have not ended by then, or when\n"
    "the process is killed, continue after the next start on the same database.\n"
    "With --check it checks everything that --serve would use, and exits with 0 if nothing is\n"
    "wrong. With --version it prints its version.";

/// "payment,shipping". @throws flag_error for another word.
services::service_set read_services(const std::string& names)
{
    services::service_set read;
    if (names.empty())
        return read;
    std::vector<std::string> words;
    boost::algorithm::split(words, names, boost::algorithm::is_any_of(","));
    for (const auto& word : words) {
        if (word == "payment")
            read.payment = true;
        else if (word == "inventory")
            read.inventory = true;
        else if (word == "shipping")
            read.shipping = true;
        else
            throw flag_error("--demo must be of payment, inventory and shipping, and is \"" +
                             names + "\".");
    }
    return read;
}

/// The token for a service: from the environment, or else from a file.
void read_token(const std::string& name, const std::string& file, std::string& token)
{
    if (file.empty())
        return;
    if (!token.empty())
        throw flag_error("--" + name +
                         "-token-file is given, and the token in the environment: "
                         "give one of both.");
    token = read_secret(file);
}

/// From the variables of OpenTelemetry, and the collector's URL of a flag. Empty: no traces.
std::optional<pawl::otlp_settings> read_traces(std::string collector)
{
    pawl::otlp_settings settings;
    settings.exporter.service_name = "order_server";
    settings = pawl::read_otlp_environment(std::move(settings));
    if (!collector.empty()) {
        if (!collector.starts_with("http://") && !collector.starts_with("https://"))
            throw flag_error("--otlp must be an http or https URL, and is \"" + collector + "\".");
        if (collector.ends_with('/'))
            collector.pop_back();
        settings.exporter.endpoint = collector + "/v1/traces";
        settings.has_endpoint = true;
    }
    if (settings.is_disabled || !settings.has_endpoint)
        return std::nullopt;
    return settings;
}

/// The variables of the environment, without those of the other programs of this example.
std::vector<std::string> variable_names()
{
    std::vector<std::string> names;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text{*variable};
        if (!text.starts_with("PAWL_SERVICES_"))
            names.emplace_back(text.substr(0, text.find('=')));
    }
    return names;
}

/// Reads flags and environment. @return False when help was requested and printed.
bool parse(int argc, char** argv, program_options& options)
{
    server_settings& server = options.server;
    server.db.clear();
    pawl::duration payment_backoff{};
    flag_set flags{usage, "PAWL_"};
    flags.toggle("serve", options.serve, "Keep serving instead of the demonstration");
    flags.text("db", server.db, "FILE",
               "Database of the orders: a file, or postgresql://user@host/database; :memory: keeps "
               "nothing. Default: orders.db with --serve, else one that is removed afterwards");
    flags.text("services-db", server.services_db, "FILE",
               "Ledger of the mock services. Default: beside the database, with .services "
               "behind its name; with PostgreSQL orders.services");
    flags.text("name", server.name, "NAME",
               "Name among the engines of the admin API. Default: a generated name");
    flags.time_span("lease", server.lease_duration,
                    "With PostgreSQL: how long a failed server keeps its orders");
    flags.toggle("check", options.check, "Check flags, files, database and services, and exit");
    flags.text("address", server.address, "ADDRESS", "Address to listen on");
    flags.text("host", options.host, "NAME",
               "Name, or names with commas between them, that the Host of a request may have "
               "besides an address and localhost");
    flags.number("port", server.port, "Port to listen on; 0 picks a free one");
    flags.number("max-connections", options.max_connections,
                 "Connections of customers at a time; fewer if file descriptors do not suffice", 1,
                 1'000'000);
    flags.number("max-waiting", options.max_waiting,
                 "Requests that wait for an order at a time; one more gets 503", 1, 1'000'000);
    flags.number(
        "operator-port", options.operator_port,
        "Port for metrics, readiness, pausing, deleting data, and the admin API; -1: on --port "
        "like all routes",
        -1, 65'535);
    flags.text("tls-certificate", server.certificate_chain_file, "FILE",
               "PEM file of the server's certificate and those between it and its CA: serve https");
    flags.text("tls-key", server.private_key_file, "FILE", "PEM file of the certificate's key");
    flags.text("customer-tokens", server.customer_tokens_file, "FILE",
               "Lines NAME TOKEN: customers need one of these bearer tokens");
    flags.text("operator-tokens", server.operator_tokens_file, "FILE",
               "The same for metrics, pausing, deleting data, and the admin API");
    flags.toggle("access-log", server.access_log, "Log each answer");
    flags.text("otlp", options.collector, "URL",
               "Send traces to this collector of OpenTelemetry: OTLP/HTTP, /v1/traces is appended. "
               "Default: as the variables OTEL_* say");
    flags.number("threads", options.threads, "Threads that work", 1, 64);
    flags.optional_text("demo", options.demo, "payment,inventory,shipping", "SERVICES",
                        "Mock these services, which then charge and ship nothing; without a "
                        "value all three. Without --serve this is the default if no URL is given");
    flags.text("payment-url", server.services.payment, "URL", "Payment service");
    flags.text("inventory-url", server.services.inventory, "URL", "Inventory service");
    flags.text("shipping-url", server.services.shipping, "URL", "Shipping service");
    flags.text(
        "ca-file", server.access.ca_file, "FILE",
        "PEM file of the CAs that services with https are trusted by. Default: the system's");
    for (auto [name, file, token] :
         {std::tuple{"payment", &options.token_files.payment, &server.access.payment_token},
          std::tuple{"inventory", &options.token_files.inventory, &server.access.inventory_token},
          std::tuple{"shipping", &options.token_files.shipping, &server.access.shipping_token}}) {
        const auto flag = std::string{name} + "-token";
        flags.text(flag + "-file", *file, "FILE", "File of the bearer token for this service");
        flags.secret(flag, *token, "Or the token itself");
    }
    flags.time_span("payment-backoff", payment_backoff,
                    "Wait between tries to charge. Default (0s): 10s with --serve, else 200ms");
    flags.time_span("payment-timeout", server.orders.payment_timeout,
                    "Time until a payment that is not captured is voided");
    flags.time_span("request-timeout", server.orders.request_timeout,
                    "Time limit of a request to a service");
    flags.time_span("drain", server.drain, "How long a stop lets steps and requests continue");
    flags.text("log-level", options.log_level, "LEVEL",
               "debug, info, warn or error. Default: info with --serve, else warn");
    if (!flags.parse(argc, argv)) {
        std::cout << flags.help();
        return false;
    }
    read_token("payment", options.token_files.payment, server.access.payment_token);
    read_token("inventory", options.token_files.inventory, server.access.inventory_token);
    read_token("shipping", options.token_files.shipping, server.access.shipping_token);
    options.unknown_variables = flags.unknown_variables(variable_names());
    const auto& urls = server.services;
    options.serve = options.serve || options.check;
    if (!options.serve &&
        !(server.customer_tokens_file + server.operator_tokens_file + server.certificate_chain_file)
             .empty())
        throw flag_error("Tokens and certificates need --serve.");
    if (!options.serve && urls.payment.empty() && urls.inventory.empty() && urls.shipping.empty() &&
        options.demo.empty())
        options.demo = "payment,inventory,shipping";
    server.mocks = read_services(options.demo);
    server.traces = read_traces(options.collector);
    if (payment_backoff != pawl::duration{})
        server.orders.payment_backoff = payment_backoff;
    else if (!options.serve)
        server.orders.payment_backoff = std::chrono::milliseconds{200};
    if (!options.host.empty())
        boost::algorithm::split(server.hosts, options.host, boost::algorithm::is_any_of(", "),
                                boost::algorithm::token_compress_on);
    if (options.operator_port >= 0)
        server.operator_port = static_cast<std::uint16_t>(options.operator_port);
    server.max_connections = static_cast<std::size_t>(options.max_connections);
    server.max_waiting = static_cast<std::size_t>(options.max_waiting);
    if (options.log_level.empty())
        options.log_level = options.serve ? "info" : "warn";
    if (spdlog::level::from_str(options.log_level) == spdlog::level::off)
        throw flag_error("--log-level must be debug, info, warn or error");
    return true;
}

pawl::log_sink make_log(const std::string& level)
{
    auto logger = std::make_shared<spdlog::logger>(
        "order_server", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_level(spdlog::level::from_str(level));
    logger->flush_on(spdlog::level::debug);
    return pawl::log_to(std::move(logger));
}

/// A folder for the demonstration's files, removed by the destructor.
class temporary_folder {
public:
    temporary_folder()
    {
        std::string path = (std::filesystem::temp_directory_path() / "orders-XXXXXX").string();
        if (!::mkdtemp(path.data()))
            throw std::runtime_error("cannot make the folder " + path);
        path_ = path;
    }
    ~temporary_folder()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;

    std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

/// Starts the server, serves or runs the demonstration, and stops. @return The exit code.
asio::awaitable<int> serve_or_show(order_server& server, asio::signal_set& signals, bool serve)
{
    co_await server.async_start();
    std::cout << server.announcement() << std::flush;
    std::exception_ptr failure;
    bool good = true;
    try {
        if (serve) {
            co_await signals.async_wait(asio::use_awaitable); // until SIGTERM or SIGINT
            signals.clear(); // a second signal ends the process at once
        } else {
            auto executor = co_await asio::this_coro::executor;
            good = co_await run_demo(executor, server, std::cout);
        }
    } catch (...) {
        failure = std::current_exception();
    }
    co_await server.async_stop();
    if (failure)
        std::rethrow_exception(failure);
    co_return good ? 0 : 1;
}

/// Prints the findings. @return The exit code.
int check(asio::io_context& context, server_settings settings)
{
    std::exception_ptr failure;
    std::vector<finding> found;
    // The completion handler gets the exception and the result; run() returns after it.
    asio::co_spawn(asio::make_strand(context),
                   check_settings(context.get_executor(), std::move(settings)),
                   [&](std::exception_ptr thrown, std::vector<finding> result) {
                       failure = std::move(thrown);
                       found = std::move(result);
                   });
    context.run();
    if (failure)
        std::rethrow_exception(failure);
    bool good = true;
    for (const auto& result : found) {
        good = good && result.problem.empty();
        std::cout << (result.problem.empty() ? "ok      " + result.subject
                                             : "FAILED  " + result.subject + ": " + result.problem)
                  << '\n';
    }
    return good ? 0 : 1;
}

int run(program_options options)
{
    std::unique_ptr<temporary_folder> folder;
    if (options.server.db.empty() && options.serve)
        options.server.db = "orders.db";
    if (options.server.db.empty()) {
        folder = std::make_unique<temporary_folder>();
        options.server.db = folder->file("orders.db");
    }
    options.server.log = make_log(options.log_level);
    for (const auto& name : options.unknown_variables)
        options.server.log(
            {pawl::log_level::warn, "the environment variable " + name + " belongs to no flag"});

    asio::io_context context{options.threads}; // runs the server, the engine and the handlers
    if (options.check)
        return check(context, std::move(options.server));
    asio::signal_set signals{context}; // before the threads, so that no signal is lost
    if (options.serve) {
        signals.add(SIGINT);
        signals.add(SIGTERM);
    }
    order_server server{context.get_executor(), std::move(options.server)};

    std::exception_ptr failure;
    int code = 1;
    // The coroutine runs on a strand, so that it is not resumed by two threads at a time.
    asio::co_spawn(asio::make_strand(context), serve_or_show(server, signals, options.serve),
                   [&](std::exception_ptr thrown, int result) {
                       failure = std::move(thrown);
                       code = result;
                       signals.clear();
                   });
    { // All threads call run(), which returns when no work is left. The block joins the others.
        std::vector<std::jthread> others;
        for (int i = 1; i < options.threads; ++i)
            others.emplace_back([&context] { context.run(); });
        context.run();
    }
    if (failure)
        std::rethrow_exception(failure);
    return code;
}

} // namespace

int main(int argc, char** argv)
{
    std::signal(SIGPIPE, SIG_IGN); // the reader of the log may exit; processing continues
    raise_descriptor_limit();
    try {
        if (std::find(argv, argv + argc, std::string_view{"--version"}) != argv + argc) {
            std::cout << "order_server of Pawl " ORDER_SERVER_VERSION "\n";
            return 0;
        }
        program_options options;
        if (!parse(argc, argv, options))
            return 0;
        return run(std::move(options));
    } catch (const flag_error& error) {
        std::cerr << "order_server: " << error.what() << '\n';
        return 2;
    } catch (const pawl::definition_error& error) {
        std::cerr << "order_server: " << error.what() << '\n';
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "order_server: " << error.what() << '\n';
        return 1;
    }
}
