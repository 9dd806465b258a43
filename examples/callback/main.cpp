// A sign-up that waits for a code: a callback with a payload, a wrong code and the right one, and
// the errors that their senders get.
#include <pawl/builder.hpp>
#include <pawl/engine.hpp>
#include <pawl/memory.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <iostream>

struct sign_up {
    std::string email;
    std::string code; ///< the one that was sent
    bool confirmed = false;
};
BOOST_DESCRIBE_STRUCT(sign_up, (), (email, code, confirmed))

struct typed_code {
    std::string digits;
};
BOOST_DESCRIBE_STRUCT(typed_code, (), (digits))

enum class stage { requested = 1, code_sent, confirmed };
BOOST_DESCRIBE_ENUM(stage, requested, code_sent, confirmed)
using enum stage;

// Name and payload type of the callback, declared once for the workflow and its clients.
constexpr pawl::callback<typed_code> enter_code{"enter-code"};

pawl::step<code_sent> send_code(pawl::run<sign_up>& run)
{
    // once() stores the code. If the process dies after this line, the next attempt gets the same
    // code.
    run.object().code = co_await run.once("make-code", [] { return std::string{"271828"}; });
    co_return pawl::to<code_sent>;
}

pawl::step<confirmed> check_code(pawl::run<sign_up>& run, const typed_code& typed)
{
    if (typed.digits != run.object().code)
        throw std::runtime_error("that is not the code"); // the caller gets callback_failed
    run.object().confirmed = true;
    co_return pawl::to<confirmed>;
}

using sign_up_client = pawl::client<sign_up, stage>;

boost::asio::awaitable<void> send_digits(sign_up_client sign_ups, std::string digits)
{
    std::string answer = "welcome";
    try {
        // The foreign id names the run: the user knows the address, but not the run id.
        co_await sign_ups.async_call("ada@example.org", enter_code, {digits});
    } catch (const pawl::system_error& e) {
        answer = e.code() == pawl::errc::callback_failed ? "wrong code" : e.what();
    }
    std::cout << digits << ": " << answer << "\n";
}

boost::asio::awaitable<void> demonstrate(pawl::engine& engine, sign_up_client sign_ups)
{
    co_await engine.async_start();
    const auto run =
        co_await sign_ups.async_trigger("ada@example.org", {.email = "ada@example.org"});
    co_await sign_ups.async_await(run, {code_sent});
    co_await send_digits(sign_ups, "314159");
    co_await send_digits(sign_ups, "271828");
    const auto end = co_await sign_ups.async_await_finished(run);
    std::cout << end.object.email << (end.object.confirmed ? " is confirmed\n" : " is not\n");
    co_await engine.async_stop();
}

int main()
{
    pawl::builder<sign_up, stage> b{"sign-ups"};
    b.step<requested>(send_code);
    b.callback<code_sent>(enter_code, check_code)
        .retry({.max_attempts = 1}); // the handler rejects a code by throwing
    b.end<confirmed>();

    boost::asio::io_context io; // the engine and its handlers run in io.run()
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory(), .log = {}}};
    auto client = engine.add(std::move(b).build()); // before the engine starts
    // use_future: done.get() throws what the coroutine has thrown.
    auto done = boost::asio::co_spawn(io, demonstrate(engine, client), boost::asio::use_future);
    io.run(); // returns when the coroutine has ended and the engine has stopped
    done.get();
}
