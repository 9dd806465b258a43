#include "server.hpp"

#include "access.hpp"
#include "descriptors.hpp"
#include "pawl/admin.hpp"
#include "pawl/engine.hpp"
#include "pawl/error.hpp"
#include "pawl/http/server.hpp"
#include "pawl/prometheus.hpp"
#include "pawl/span_observer.hpp"
#include "preflight.hpp"
#include "services/start.hpp"
#include "store.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace order_processing {

using boost::asio::awaitable;
using boost::asio::use_awaitable;

/// In the order of construction; each part uses those above it.
struct order_server::parts {
    std::shared_ptr<pawl::otlp_exporter> exporter;
    pawl::span_recording tracing; ///< to the exporter
    std::optional<services::running_services> built_in;
    std::optional<order_services> clients;
    std::shared_ptr<pawl::prometheus_metrics> observed; ///< of the engine and the admin API
    std::optional<pawl::engine> engine;
    std::optional<orders_client> orders;
    std::optional<pawl::http::server> http;
    std::optional<pawl::http::server> operators;
};

namespace {

/// Connections of operators, from the reserve, so that customers cannot use them up.
constexpr std::size_t operator_connections = 8;

std::string ledger_file(const server_settings& settings)
{
    if (!settings.services_db.empty() || settings.db == ":memory:")
        return settings.services_db.empty() ? ":memory:" : settings.services_db;
    return is_postgres(settings.db) ? "orders.services" : settings.db + ".services";
}

std::string name_of(const order_snapshot& order)
{
    return "order " + order.foreign_id + " (run " + to_string(order.id) + ")";
}

awaitable<void> update(pawl::engine& engine, pawl::prometheus_metrics& metrics)
{
    try {
        co_await metrics.update_from(engine);
    } catch (const pawl::system_error&) {
        // The store has failed, or the engine does not run: other metrics tell that, and the gauges
        // that were not read keep their values.
    }
}

/// The admin API of Pawl, for the operators of this server.
std::vector<pawl::http::route> admin_routes(pawl::engine& engine,
                                            std::shared_ptr<const access_rules> rules,
                                            const server_settings& settings,
                                            std::shared_ptr<pawl::prometheus_metrics> metrics)
{
    pawl::admin::api_options options;
    options.authenticator = admin_authenticator(std::move(rules));
    options.prefix = admin_prefix;
    options.hosts = settings.hosts;
    options.max_streams = operator_connections / 2;
    options.readiness = [&engine] {
        return engine.readiness();
    };
    options.on_refusal = [metrics = std::move(metrics)](int, std::string_view code) {
        metrics->admin_refused(code);
    };
    return pawl::admin::api(engine.operations(), std::move(options)).routes();
}

/// The patterns of the routes that are for operators only.
std::set<std::string, std::less<>> patterns_for_operators(const api_context& context)
{
    std::set<std::string, std::less<>> patterns;
    for (const auto& route : operator_routes(context))
        patterns.insert(route.pattern);
    for (const auto& route : customer_routes(context))
        patterns.erase(route.pattern);
    return patterns;
}

} // namespace

order_server::order_server(boost::asio::any_io_executor executor, server_settings settings)
    : executor_(std::move(executor)), settings_(std::move(settings)),
      parts_(std::make_unique<parts>())
{
}

order_server::~order_server() = default;

order_observer order_server::observer()
{
    const auto ended = [this](const order_snapshot& order) {
        const std::string status{to_string(order.status)};
        counters_.order_ended(status);
        settings_.log({pawl::log_level::info, name_of(order) + " has ended: " + status});
    };
    const auto paused = [this](const order_snapshot& order) {
        counters_.order_paused();
        settings_.log({pawl::log_level::warn, name_of(order) + " is paused in " +
                                                  std::string{to_string(order.status)} + ": " +
                                                  order.reason});
    };
    const auto unsent = [this] {
        counters_.request_unsent();
    };
    return {.completed = ended, .cancelled = ended, .paused = paused, .unsent = unsent};
}

void order_server::start_tracing()
{
    if (!settings_.traces)
        return;
    auto options = settings_.traces->exporter;
    options.log = settings_.log;
    settings_.log({pawl::log_level::info, "traces are sent to " + options.endpoint});
    parts_->exporter = std::make_shared<pawl::otlp_exporter>(executor_, std::move(options));
    parts_->tracing = {parts_->exporter, settings_.traces->policy};
}

void order_server::assemble()
{
    start_tracing();
    urls_ = settings_.services;
    check_service("payment", urls_.payment, settings_.mocks.payment);
    check_service("inventory", urls_.inventory, settings_.mocks.inventory);
    check_service("shipping", urls_.shipping, settings_.mocks.shipping);
    if (!settings_.mocks.empty()) {
        services::services_options options;
        options.which = settings_.mocks;
        options.database = ledger_file(settings_);
        options.log = settings_.log;
        options.tracing = parts_->tracing;
        parts_->built_in.emplace(services::start_services(executor_, std::move(options)));
        if (settings_.mocks.payment)
            urls_.payment = parts_->built_in->payment_url();
        if (settings_.mocks.inventory)
            urls_.inventory = parts_->built_in->inventory_url();
        if (settings_.mocks.shipping)
            urls_.shipping = parts_->built_in->shipping_url();
        settings_.log({pawl::log_level::warn,
                       "mock services are used: what they charge or ship is only pretended"});
    }
    const auto limit = descriptor_limit();
    const auto shares = share_descriptors(limit);
    const auto connections = std::min(settings_.max_connections, shares.customers);
    const auto service_connections =
        std::min(settings_.max_service_connections, shares.each_service);
    settings_.log({pawl::log_level::info,
                   fmt::format("at most {} descriptors: {} connections of customers, {} to each "
                               "service",
                               limit, connections, service_connections)});
    auto access = settings_.access;
    access.tracing = parts_->tracing;
    parts_->clients.emplace(executor_, urls_, settings_.orders.request_timeout, service_connections,
                            access);

    pawl::engine_options options;
    options.store = settings_.store ? settings_.store : open_store(executor_, settings_.db);
    options.clock = settings_.clock;
    options.log = settings_.log;
    options.name = settings_.name;
    options.lease_duration = settings_.lease_duration;
    // A request has at most 1 MiB. Dropping a part of each line doubles the order.
    options.max_object_size = 4 * 1024 * 1024;
    const auto observed = std::make_shared<pawl::prometheus_metrics>(counters_.registry());
    parts_->observed = observed;
    options.observer = observed;
    if (parts_->exporter)
        options.observer = pawl::make_span_observer(
            parts_->exporter, {.policy = parts_->tracing.policy, .next = observed});
    parts_->engine.emplace(executor_, std::move(options));
    parts_->orders.emplace(
        parts_->engine->add(order_workflow(*parts_->clients, settings_.orders, observer())));

    api_context context{.orders = *parts_->orders, .counters = counters_};
    context.clock = settings_.clock;
    context.max_waiting = std::clamp<std::size_t>(connections / 2, 1, settings_.max_waiting);
    context.cancel_wait = settings_.cancel_wait;
    context.max_page_bytes = settings_.max_page_bytes;
    context.readiness = [engine = &*parts_->engine] {
        return engine->readiness();
    };
    context.update_metrics = [engine = &*parts_->engine, observed] {
        return update(*engine, *observed);
    };
    listen(std::move(context), connections);
}

void order_server::listen(api_context context, std::size_t connections)
{
    const auto rules = std::make_shared<const access_rules>(read_access_rules(settings_));
    context.admin_routes = admin_routes(*parts_->engine, rules, settings_, parts_->observed);
    warn_if_exposed();
    auto http = listen_options(settings_);
    http.max_connections = connections;
    http.tracing = parts_->tracing;
    http.authorize = authorize_by(rules, patterns_for_operators(context));
    http.on_answer = [this](const pawl::http::answer_record& answered) {
        note_answer(answered);
    };
    if (!settings_.operator_port) {
        parts_->http.emplace(executor_, order_routes(std::move(context)), std::move(http));
        url_ = operator_url_ = parts_->http->url();
    } else {
        auto for_operators = http;
        for_operators.port = *settings_.operator_port;
        for_operators.max_connections = operator_connections;
        parts_->http.emplace(executor_, customer_routes(context), std::move(http));
        parts_->operators.emplace(executor_, operator_routes(context), std::move(for_operators));
        url_ = parts_->http->url();
        operator_url_ = parts_->operators->url();
    }
    settings_.log({pawl::log_level::info, "the console is at " + operator_url_ +
                                              std::string{admin_prefix} +
                                              "/, the admin API below it"});
}

void order_server::warn_if_exposed() const
{
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(settings_.address, error);
    if (error || address.is_loopback())
        return;
    const auto warn = [&](const char* exposure) {
        settings_.log({pawl::log_level::warn,
                       "other machines can reach this server: " + std::string{exposure}});
    };
    if (settings_.operator_tokens_file.empty())
        warn("without --operator-tokens everybody can pause orders and delete data");
    if (settings_.certificate_chain_file.empty())
        warn("without --tls-certificate orders and tokens are sent unencrypted");
}

void order_server::note_answer(const pawl::http::answer_record& answered)
{
    counters_.answered(answered);
    if (!settings_.access_log)
        return;
    settings_.log(
        {pawl::log_level::info,
         fmt::format("access: {} {} {} {} {} {} {} bytes {} us", answered.request_id, answered.peer,
                     answered.user.empty() ? "-" : answered.user, answered.method, answered.path,
                     answered.status, answered.size, answered.took.count())});
}

awaitable<void> order_server::async_start()
{
    std::exception_ptr failure;
    try {
        assemble();
        co_await parts_->engine->async_start(use_awaitable);
        parts_->http->start();
        if (parts_->operators)
            parts_->operators->start();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        co_await async_stop();
        std::rethrow_exception(failure);
    }
}

awaitable<void> order_server::async_stop()
{
    const auto end = std::chrono::steady_clock::now() + settings_.drain;
    const auto left = [end] {
        const auto rest =
            std::chrono::duration_cast<pawl::duration>(end - std::chrono::steady_clock::now());
        return std::max(rest, pawl::duration{});
    };
    // Stop the engine first: requests that wait for an order are then answered, and their
    // connections end.
    if (parts_->engine)
        co_await parts_->engine->async_stop(settings_.drain / 4 * 3, use_awaitable);
    if (parts_->http)
        co_await parts_->http->async_stop(left());
    if (parts_->operators)
        co_await parts_->operators->async_stop(left());
    if (parts_->built_in)
        co_await parts_->built_in->async_stop(left());
    if (parts_->exporter)
        co_await parts_->exporter->async_stop(left());
    parts_ = std::make_unique<parts>();
}

std::string order_server::announcement() const
{
    return "payment service listening on " + urls_.payment + "\ninventory service listening on " +
           urls_.inventory + "\nshipping service listening on " + urls_.shipping +
           "\norder server listening on " + url_ + "\n" +
           (parts_->operators ? "operators listening on " + operator_url_ + "\n" : "");
}

const std::string& order_server::url() const noexcept
{
    return url_;
}

const std::string& order_server::operator_url() const noexcept
{
    return operator_url_;
}

const service_urls& order_server::services() const noexcept
{
    return urls_;
}

orders_client order_server::orders() const
{
    return *parts_->orders;
}

std::size_t order_server::connections() const noexcept
{
    return parts_->http->connections();
}

const metrics& order_server::counters() const noexcept
{
    return counters_;
}

} // namespace order_processing
