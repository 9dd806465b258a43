#include "harness.hpp"

#include "pawl/memory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <stdexcept>
#include <utility>

namespace order_processing::testing {

using boost::asio::awaitable;
using boost::asio::use_awaitable;
using pawl::http::client_response;

server_settings quick_settings()
{
    using namespace std::chrono_literals;
    server_settings settings;
    settings.db = ":memory:";
    settings.store = pawl::open_memory();
    settings.mocks = {true, true, true};
    settings.drain = 5s;
    settings.log = [](const pawl::log_entry&) {
    };
    settings.orders.validation_backoff = 1ms;
    settings.orders.payment_backoff = 1ms;
    settings.orders.unreachable_backoff = 1ms;
    settings.orders.payment_errors = 100;
    settings.orders.poll_interval = 1ms;
    settings.orders.max_poll_interval = 5ms;
    settings.orders.other_steps = {.initial = 1ms, .multiplier = 1, .max_attempts = 100};
    return settings;
}

scenario::scenario(boost::asio::any_io_executor executor, order_server& server)
    : executor_(executor), server_(server), client_(executor, server.url())
{
}

awaitable<client_response> scenario::send(std::string method, std::string target, std::string body,
                                          std::vector<std::pair<std::string, std::string>> headers)
{
    pawl::http::client_request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers = std::move(headers);
    auto answer = co_await client_.request(std::move(request));
    co_return answer;
}

awaitable<void> scenario::submit(Order order)
{
    const auto answer = co_await send("POST", "/orders", document_of(order));
    if (answer.status != 202)
        throw std::runtime_error("POST /orders: " + answer.body);
}

awaitable<order_view> scenario::wait(std::string order_id)
{
    const auto answer = co_await send("GET", "/orders/" + order_id + "/wait?timeout_ms=60000");
    if (answer.status != 200)
        throw std::runtime_error("GET wait: " + answer.body);
    co_return pawl::codec<order_view>::decode(answer.body);
}

awaitable<order_view> scenario::submit_and_wait(Order order)
{
    const std::string id = order.id;
    co_await submit(std::move(order));
    auto end = co_await wait(id);
    co_return end;
}

awaitable<order_view> scenario::find(std::string order_id)
{
    const auto answer = co_await send("GET", "/orders/" + order_id);
    if (answer.status != 200)
        throw std::runtime_error("GET order: " + answer.body);
    co_return pawl::codec<order_view>::decode(answer.body);
}

awaitable<void> scenario::wait_for_failure(std::string order_id, OrderStatus in)
{
    for (;;) {
        const auto order = co_await find(order_id);
        if (order.status == in && order.attempt > 0)
            co_return;
    }
}

awaitable<void> scenario::wait_for_status(std::string order_id, OrderStatus status)
{
    auto orders = server_.orders();
    const auto order = co_await find(order_id);
    const auto run = pawl::parse_run_id(order.run_id).value();
    co_await orders.async_await(run, {status}, use_awaitable);
}

awaitable<void> scenario::put(std::string url, std::string target, std::string body)
{
    pawl::http::client service{executor_, std::move(url)};
    pawl::http::client_request request;
    request.method = "PUT";
    request.target = std::move(target);
    request.body = std::move(body);
    const auto answer = co_await service.request(std::move(request));
    if (answer.status != 200)
        throw std::runtime_error("PUT: " + answer.body);
}

awaitable<void> scenario::set_faults(service of, std::string document)
{
    const service_urls& urls = server_.services();
    const std::string& url = of == service::payment     ? urls.payment
                             : of == service::inventory ? urls.inventory
                                                        : urls.shipping;
    co_await put(url, "/faults", std::move(document));
}

awaitable<void> scenario::set_stock(std::string product, int quantity)
{
    co_await put(server_.services().inventory, "/stock/" + product,
                 "{\"quantity\":" + std::to_string(quantity) + "}");
}

awaitable<std::string> scenario::effects(std::string order_id)
{
    const auto order = co_await find(std::move(order_id));
    const auto ledgers = co_await read_ledgers(executor_, server_.services());
    std::string text;
    for (const ledger_entry& entry : entries_of(ledgers, order.run_id)) {
        text += (text.empty() ? "" : ", ") + entry.kind;
        if (entry.amount)
            text += " " + to_string(*entry.amount);
        if (entry.payment_method)
            text += " " + *entry.payment_method;
    }
    co_return text;
}

awaitable<void> scenario::check()
{
    const auto orders = co_await read_orders(executor_, server_.url());
    const auto ledgers = co_await read_ledgers(executor_, server_.services());
    const auto broken = broken_invariants(orders, ledgers);
    BOOST_TEST(broken.empty());
    for (const std::string& each : broken)
        BOOST_ERROR(each);
}

void run_coroutine(boost::asio::io_context& context, awaitable<void> body)
{
    std::exception_ptr failure;
    boost::asio::co_spawn(boost::asio::make_strand(context), std::move(body),
                          [&](std::exception_ptr thrown) { failure = std::move(thrown); });
    context.run();
    if (failure)
        std::rethrow_exception(failure);
}

namespace {

awaitable<void> start_run_stop(order_server& server, awaitable<void> (*body)(scenario&))
{
    co_await server.async_start();
    std::exception_ptr failure;
    try {
        scenario running{co_await boost::asio::this_coro::executor, server};
        co_await body(running);
        co_await running.check();
    } catch (...) {
        failure = std::current_exception();
    }
    co_await server.async_stop();
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace

void run_scenario(awaitable<void> (*body)(scenario&), server_settings settings)
{
    boost::asio::io_context context{1};
    order_server server{context.get_executor(), std::move(settings)};
    run_coroutine(context, start_run_stop(server, body));
}

std::string document_of(const Order& order)
{
    order_request sent;
    sent.id = order.id;
    sent.customer_id = order.customer_id;
    sent.items = order.items;
    sent.total = order.total;
    sent.payment_method = order.payment_method;
    sent.shipping_address = order.shipping_address;
    sent.allow_partial = order.allow_partial;
    return to_json(sent);
}

} // namespace order_processing::testing
