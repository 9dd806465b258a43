#include "testing/conformance/receiving.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pawl::testing {

namespace asio = boost::asio;

namespace {

/// What is done by then needs no wait in real time.
constexpr int busy_rounds = 1'000;

constexpr auto poll_pause = std::chrono::milliseconds{1};

awaitable<std::vector<stream_event>> receive(event_receiver& from, std::size_t limit)
{
    auto events = co_await from.receive(limit);
    co_return events;
}

} // namespace

std::shared_ptr<pending_receive> begin_receive(const asio::any_io_executor& executor,
                                               event_receiver& from, std::size_t limit)
{
    const auto begun = std::make_shared<pending_receive>();
    asio::co_spawn(executor, receive(from, limit),
                   asio::bind_cancellation_slot(
                       begun->cancel.slot(),
                       [begun](std::exception_ptr thrown, std::vector<stream_event> events) {
                           begun->thrown = thrown;
                           begun->events = std::move(events);
                           begun->done = true;
                       }));
    return begun;
}

awaitable<void> run_ready_handlers()
{
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 200; ++i)
        co_await asio::post(executor, asio::use_awaitable);
}

awaitable<void> wait_until(const bool& done, std::string violation, duration timeout)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto end = std::chrono::steady_clock::now() + timeout;
    asio::steady_timer pause{executor};
    int round = 0;
    while (!done) {
        expect(std::chrono::steady_clock::now() < end, violation);
        if (++round < busy_rounds) {
            co_await asio::post(executor, asio::use_awaitable);
            continue;
        }
        pause.expires_after(poll_pause);
        co_await pause.async_wait(asio::use_awaitable);
    }
}

awaitable<void> end_receive(std::shared_ptr<pending_receive> begun, std::string subject,
                            duration timeout)
{
    begun->cancel.emit(asio::cancellation_type::terminal);
    co_await wait_until(begun->done, subject + ": the cancelled receive did not complete", timeout);
}

awaitable<void> complete_receive(std::shared_ptr<pending_receive> begun, std::string violation,
                                 duration timeout)
{
    std::exception_ptr late;
    try {
        co_await wait_until(begun->done, violation, timeout);
    } catch (...) {
        late = std::current_exception();
    }
    if (!late)
        co_return;
    co_await end_receive(std::move(begun), std::move(violation), timeout);
    std::rethrow_exception(late);
}

awaitable<std::vector<stream_event>> receive_events(event_receiver& receiver, std::size_t count,
                                                    std::string subject, duration timeout)
{
    const auto executor = co_await asio::this_coro::executor;
    std::vector<stream_event> events;
    while (events.size() < count) {
        const auto begun = begin_receive(executor, receiver, count - events.size());
        co_await complete_receive(
            begun, fmt::format("{}: received {} events of {}", subject, events.size(), count),
            timeout);
        if (begun->thrown)
            std::rethrow_exception(begun->thrown);
        expect(!begun->events->empty(), subject + ": receive() completed without an event");
        for (auto& received : *begun->events)
            events.push_back(std::move(received));
    }
    co_return events;
}

awaitable<void> expect_events(event_receiver& receiver, std::vector<std::string> expected,
                              std::string subject, duration timeout)
{
    const auto events = co_await receive_events(receiver, expected.size(), subject, timeout);
    std::vector<std::string> actual;
    for (const auto& received : events)
        actual.push_back(received.id);
    expect_equal(actual, expected, subject + ": ids of the received events");
}

} // namespace pawl::testing
