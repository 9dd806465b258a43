// A greeting that is checked and sent: four statuses, two steps, one engine with a memory store.
#include <pawl/builder.hpp>
#include <pawl/engine.hpp>
#include <pawl/memory.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <iostream>

struct greeting {
    std::string name, text;
};
BOOST_DESCRIBE_STRUCT(greeting, (), (name, text))

enum class stage { created = 1, checked, sent, rejected };
BOOST_DESCRIBE_ENUM(stage, created, checked, sent, rejected)
using enum stage;

// A step returns the next status. A status that its return type does not list does not compile.
pawl::step<checked, rejected> check_name(pawl::run<greeting>& run)
{
    if (run.object().name.empty())
        co_return pawl::to<rejected>;
    co_return pawl::to<checked>;
}
pawl::step<sent> send_text(pawl::run<greeting>& run)
{
    if (run.attempt() < 3)
        throw std::runtime_error("the line is busy"); // retried; the store counts the attempts
    run.object().text = "Hello, " + run.object().name + "!";
    co_return pawl::to<sent>;
}

boost::asio::awaitable<void> demonstrate(pawl::engine& engine, pawl::client<greeting, stage> client)
{
    co_await engine.async_start();
    const auto run = co_await client.async_trigger("greeting-1", greeting{"Ada", ""});
    const auto end = co_await client.async_await_finished(run);
    const auto history = co_await client.async_history(run);
    std::cout << end.object.text << " in " << history.size() << " commits\n";
    co_await engine.async_stop();
}

int main()
{
    pawl::builder<greeting, stage> b{"greetings"};
    b.step<created>(check_name);
    b.step<checked>(send_text).retry({.initial = std::chrono::milliseconds{20}});
    b.end<sent, rejected>();

    boost::asio::io_context io; // the engine and its handlers run in io.run()
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory(), .log = {}}};
    auto client = engine.add(std::move(b).build()); // before the engine starts
    // use_future: done.get() throws what the coroutine has thrown.
    auto done = boost::asio::co_spawn(io, demonstrate(engine, client), boost::asio::use_future);
    io.run(); // returns when the coroutine has ended and the engine has stopped
    done.get();
}
