// A sign-up that waits for a code: a callback with a payload, a code that comes too early, a wrong
// one, and what their senders are told.
#include <pawl/builder.hpp>
#include <pawl/engine.hpp>
#include <pawl/memory.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <iostream>

struct sign_up {
    std::string email;
    std::string code; ///< that was sent
    bool confirmed = false;
};
BOOST_DESCRIBE_STRUCT(sign_up, (), (email, code, confirmed))

struct typed_code {
    std::string digits;
};
BOOST_DESCRIBE_STRUCT(typed_code, (), (digits))

enum class step_of { requested = 1, code_sent, confirmed };
BOOST_DESCRIBE_ENUM(step_of, requested, code_sent, confirmed)
using enum step_of;

// Name and payload of the callback, written once for the workflow and for those who call it.
constexpr pawl::callback<typed_code> enter_code{"enter-code"};

pawl::step<code_sent> send_code(pawl::run<sign_up>& run)
{
    // once(): should the process die behind this line, the same code is found by the next attempt.
    run.object().code = co_await run.once("make-code", [] { return std::string{"271828"}; });
    co_return pawl::to<code_sent>;
}

pawl::step<confirmed> check_code(pawl::run<sign_up>& run, const typed_code& typed)
{
    if (typed.digits != run.object().code)
        throw std::runtime_error("that is not the code"); // the sender is told, the run waits on
    run.object().confirmed = true;
    co_return pawl::to<confirmed>;
}

using client = pawl::client<sign_up, step_of>;

boost::asio::awaitable<void> enter(client sign_ups, std::string digits)
{
    std::string told = "welcome";
    try {
        // By foreign id: whoever has the code knows the address, and not the run.
        co_await sign_ups.async_call("ada@example.org", enter_code, {digits});
    } catch (const pawl::system_error& e) {
        told = e.code() == pawl::errc::callback_failed ? "wrong code" : e.what();
    }
    std::cout << digits << ": " << told << "\n";
}

boost::asio::awaitable<void> demonstrate(pawl::engine& engine, client sign_ups)
{
    co_await engine.async_start();
    const auto run =
        co_await sign_ups.async_trigger("ada@example.org", {.email = "ada@example.org"});
    co_await sign_ups.async_await(run, {code_sent});
    co_await enter(sign_ups, "314159");
    co_await enter(sign_ups, "271828");
    const auto end = co_await sign_ups.async_await_finished(run);
    std::cout << end.object.email << (end.object.confirmed ? " is confirmed\n" : " is not\n");
    co_await engine.async_stop();
}

int main()
{
    pawl::builder<sign_up, step_of> b{"sign-ups"};
    b.step<requested>(send_code);
    b.callback<code_sent>(enter_code, check_code)
        .retry({.max_attempts = 1}); // it refuses by throwing
    b.end<confirmed>();

    boost::asio::io_context io;
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory(), .log = {}}};
    auto work = demonstrate(engine, engine.add(std::move(b).build()));
    auto done = boost::asio::co_spawn(io, std::move(work), boost::asio::use_future);
    io.run();
    done.get();
}
