// NATS JetStream: messages of the stream ORDERS start runs, each exactly once, and the end of each
// run is published to the stream SALES.
#include <pawl/builder.hpp>
#include <pawl/engine.hpp>
#include <pawl/nats.hpp>
#include <pawl/sqlite.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <iostream>

struct order {
    std::string number;
    int cents = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (number, cents))

enum class stage { placed = 1, paid };
BOOST_DESCRIBE_ENUM(stage, placed, paid)
using enum stage;

pawl::step<paid> take_payment(pawl::run<order>& run)
{
    std::cout << run.object().number << " is paid: " << run.object().cents << " cents\n";
    co_return pawl::to<paid>;
}

// The payload of a message is decoded as an order. A message that is not one becomes a dead letter.
boost::asio::awaitable<void> place_order(pawl::event_context<order, stage>& in, order placed)
{
    co_await in.trigger(placed.number, placed);
}

boost::asio::awaitable<void> serve(pawl::engine& engine)
{
    // Ends at SIGTERM or SIGINT. Messages in progress are finished, and acknowledged.
    boost::asio::signal_set signals{co_await boost::asio::this_coro::executor, SIGTERM, SIGINT};
    co_await engine.async_start();
    std::cout << "started" << std::endl;
    co_await signals.async_wait(boost::asio::use_awaitable);
    co_await engine.async_stop();
}

int main(int count, char** arguments)
{
    if (count != 3) {
        std::cerr << "usage: example_nats URL FILE\n";
        return 2;
    }
    pawl::builder<order, stage> b{"orders"};
    b.step<placed>(take_payment);
    b.end<paid>();
    const auto orders = std::move(b).build();

    // One connection; the server may be started later.
    const auto nats = pawl::open_nats({.servers = {arguments[1]}});
    boost::asio::io_context io; // the engine and its handlers run in io.run()
    pawl::engine engine{io.get_executor(), {.store = pawl::open_sqlite(arguments[2])}};
    engine.add(orders);
    // In: acknowledged when the run is stored.
    engine.connect("shop", pawl::from_nats(nats, {.stream = "ORDERS"}), orders, place_order);
    // Out: from the log of the workflow, at least once, with one Nats-Msg-Id.
    engine.connect("sales", engine.events("orders", {.kinds = {pawl::event_kind::completed}}),
                   orders,
                   pawl::forward_to(pawl::to_nats(
                       nats, {.subject = "sales", .cloud_events_source = "/orders"})));
    // use_future: done.get() throws what the coroutine has thrown.
    auto done = boost::asio::co_spawn(io, serve(engine), boost::asio::use_future);
    io.run();
    done.get();
}
