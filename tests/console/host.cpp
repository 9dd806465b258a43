// A server for the tests of the console: an engine with a memory store, runs in each state with
// hostile texts, and the admin API below two prefixes. It prints its address, and runs until it is
// ended.
#include "sample.hpp"

#include "pawl/admin.hpp"
#include "pawl/engine.hpp"
#include "pawl/http/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace http = pawl::http;
using console_test::order;
using console_test::stage;
using order_client = pawl::client<order, stage>;

/// POST /test/runs/{id} starts a run, as the program of a user does.
asio::awaitable<http::response> start_run(std::shared_ptr<order_client> orders, std::string id)
{
    co_await orders->async_trigger(id, order{.customer = "Ada"});
    co_return http::response{.body = "{}\n"};
}

std::vector<http::route> make_routes(pawl::engine& engine, const std::string& tokens,
                                     const std::shared_ptr<order_client>& orders)
{
    std::vector<http::route> all;
    for (const char* prefix : {"", "/ops/pawl"}) {
        pawl::admin::api_options options;
        options.authenticator = pawl::admin::token_file(tokens);
        options.prefix = prefix;
        options.readiness = [&engine] {
            return engine.readiness();
        };
        options.stream_interval = std::chrono::milliseconds{100};
        options.max_failed_sign_ins = 10'000;
        for (auto& route : pawl::admin::api(engine.operations(), options).routes())
            all.push_back(std::move(route));
    }
    all.push_back({.method = "POST",
                   .pattern = "/test/runs/{id}",
                   .answer = [orders](const http::request& message) {
                       return start_run(orders, message.captures.at("id"));
                   }});
    return all;
}

asio::awaitable<void> serve(pawl::engine& engine, http::server& server)
{
    co_await engine.async_start();
    server.start();
    std::cout << server.url() << std::endl;
    asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM);
    co_await signals.async_wait(asio::use_awaitable);
    co_await server.async_stop(std::chrono::seconds{1});
    co_await engine.async_stop();
}

int run_host(const std::string& tokens, std::uint16_t port)
{
    const auto store = console_test::make_history();
    asio::io_context io;
    std::exception_ptr failed;
    {
        pawl::engine engine{io.get_executor(), {.store = store, .name = "console-host", .log = {}}};
        const auto flow = console_test::orders();
        auto orders = std::make_shared<order_client>(engine.add(flow));
        engine.add(console_test::parcels());
        console_test::connect(engine, store, flow);
        http::server server{
            io.get_executor(), make_routes(engine, tokens, orders), {.port = port, .log = {}}};
        orders.reset(); // the routes keep it
        asio::co_spawn(io, serve(engine, server), [&](std::exception_ptr error) {
            failed = error;
            io.stop();
        });
        io.run();
    }
    if (failed)
        std::rethrow_exception(failed);
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    if (argc != 3) {
        std::cerr << "usage: console_host TOKEN_FILE PORT\n";
        return 2;
    }
    try {
        return run_host(argv[1], static_cast<std::uint16_t>(std::stoi(argv[2])));
    } catch (const std::exception& fault) {
        std::cerr << "console_host: " << fault.what() << "\n";
        return 1;
    }
}
