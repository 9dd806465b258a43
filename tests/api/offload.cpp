#include "pawl/offload.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>

#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

BOOST_AUTO_TEST_SUITE(offload)

namespace {

namespace asio = boost::asio;

struct ended {
    std::optional<std::string> value;
    std::exception_ptr thrown;
};

template <class Fn>
asio::awaitable<void> call(asio::thread_pool& pool, Fn fn, ended& end)
{
    try {
        end.value = co_await pawl::offload(pool, std::move(fn));
    } catch (...) {
        end.thrown = std::current_exception();
    }
}

void nothing(const std::exception_ptr&)
{
}

bool is_aborted(const std::exception_ptr& thrown)
{
    try {
        if (thrown)
            std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& e) {
        return e.code() == asio::error::operation_aborted;
    }
    return false;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_function_runs_elsewhere_and_its_caller_goes_on_here)
{
    asio::io_context io;
    asio::thread_pool pool{1};
    std::thread::id worked;
    std::thread::id resumed;
    const auto work = [&]() -> asio::awaitable<void> {
        co_await pawl::offload(pool.get_executor(), [&] { worked = std::this_thread::get_id(); });
        resumed = std::this_thread::get_id();
    };
    asio::co_spawn(io, work, nothing);
    io.run(); // ends with the work only: the wait counts as work of its context
    BOOST_TEST((worked != std::thread::id{} && worked != std::this_thread::get_id()));
    BOOST_TEST((resumed == std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(results_and_exceptions_come_back)
{
    asio::io_context io;
    asio::thread_pool pool{2};
    ended good;
    ended bad;
    asio::co_spawn(
        io,
        call(
            pool, [owned = std::make_unique<int>(7)] { return std::to_string(*owned); }, good),
        nothing);
    asio::co_spawn(
        io, call(pool, []() -> std::string { throw std::runtime_error("mine"); }, bad), nothing);
    io.run();
    BOOST_TEST(good.value.value_or("") == "7");
    BOOST_REQUIRE(bad.thrown);
    BOOST_CHECK_EXCEPTION(std::rethrow_exception(bad.thrown), std::runtime_error,
                          [](const auto& e) { return std::string{e.what()} == "mine"; });
}

BOOST_AUTO_TEST_CASE(a_cancelled_caller_goes_on_at_once_and_the_late_result_is_ignored)
{
    asio::io_context io;
    asio::thread_pool pool{1};
    std::promise<void> release;
    const auto held = release.get_future().share();
    const auto owned = std::make_shared<std::string>("owned");
    ended end;
    asio::cancellation_signal cancel;
    asio::co_spawn(io,
                   call(
                       pool,
                       [held, owned] {
                           held.wait();
                           return *owned;
                       },
                       end),
                   asio::bind_cancellation_slot(cancel.slot(), nothing));
    asio::post(io, [&] { cancel.emit(asio::cancellation_type::terminal); });
    io.run();
    BOOST_TEST(is_aborted(end.thrown));
    release.set_value();
    pool.join();
    io.restart();
    BOOST_TEST(io.run() == 0u); // nothing comes of it
    BOOST_TEST(owned.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(cancellation_and_the_end_may_meet)
{
    asio::thread_pool workers{2};
    asio::thread_pool callers{2};
    std::vector<std::promise<void>> done(500);
    std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
    for (auto& each : done) {
        const auto strand = asio::make_strand(callers.get_executor());
        signals.push_back(std::make_unique<asio::cancellation_signal>());
        auto* const cancel = signals.back().get();
        const auto work = [&workers]() -> asio::awaitable<void> {
            auto text = std::make_shared<std::string>(100, 'x');
            co_await pawl::offload(workers.get_executor(), [text] { return text->size(); });
        };
        asio::post(strand, [&each, strand, cancel, work] {
            asio::co_spawn(
                strand, work,
                asio::bind_cancellation_slot(
                    cancel->slot(), [&each](const std::exception_ptr&) { each.set_value(); }));
            asio::post(strand, [cancel] { cancel->emit(asio::cancellation_type::terminal); });
        });
    }
    for (auto& each : done)
        each.get_future().wait();
    callers.join();
    workers.join();
    BOOST_TEST(done.size() == 500u);
}

BOOST_AUTO_TEST_CASE(a_function_that_is_dropped_unrun_does_not_leave_its_caller_waiting)
{
    asio::io_context io;
    ended end;
    {
        asio::thread_pool pool{1};
        std::promise<void> release;
        asio::post(pool, [held = release.get_future().share()] { held.wait(); });
        asio::co_spawn(io, call(pool, [] { return std::string{"never"}; }, end), nothing);
        io.poll();
        pool.stop();
        release.set_value();
    }
    io.restart();
    io.run();
    BOOST_TEST(is_aborted(end.thrown));
}

BOOST_AUTO_TEST_SUITE_END()
