// An engine on memory and manual time, on one thread that the test drives.
#pragma once

#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/memory.hpp"
#include "pawl/testing/manual_clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace engine_test {

namespace asio = boost::asio;
using namespace std::chrono_literals;

enum class light { red = 1, yellow, green, off, broken };
BOOST_DESCRIBE_ENUM(light, red, yellow, green, off, broken)

/// What the runs of these tests work on.
struct lamp {
    int value = 0;
    std::vector<std::string> trail;
};
BOOST_DESCRIBE_STRUCT(lamp, (), (value, trail))

using lamps = pawl::client<lamp, light>;
using lamp_builder = pawl::builder<lamp, light>;
using lamp_run = pawl::run<lamp>;

/// Waits on the test's time; cancellable.
inline asio::awaitable<void> wait_on(pawl::clock& clock, pawl::duration span)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto timer = clock.make_timer(executor);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, pawl::timer* t, pawl::duration s) {
            asio::any_completion_handler<void()> erased{std::move(handler)};
            if (auto slot = erased.get_cancellation_slot(); slot.is_connected())
                slot.assign([t](asio::cancellation_type) { t->cancel(); });
            t->wait(s, std::move(erased));
        },
        asio::use_awaitable, timer.get(), span);
}

struct world {
    asio::io_context io;
    std::shared_ptr<pawl::testing::manual_clock> clock =
        std::make_shared<pawl::testing::manual_clock>();
    std::shared_ptr<pawl::record_store> store = pawl::open_memory();
    std::vector<std::string> log;
    pawl::engine_options options;
    std::optional<pawl::engine> engine;

    world()
    {
        options.log = [this](const pawl::log_entry& entry) {
            log.push_back(to_string(entry));
        };
    }

    ~world()
    {
        if (engine)
            stop();
    }

    /// Begins anew on the same store, as a process does after a restart.
    lamps start(pawl::workflow<lamp, light> workflow)
    {
        options.store = store;
        options.clock = clock;
        engine.emplace(io.get_executor(), options);
        auto client = engine->add(std::move(workflow));
        wait_for(engine->async_start(asio::use_awaitable));
        return client;
    }

    void stop(pawl::duration drain = 0s)
    {
        bool stopped = false;
        engine->async_stop(drain, [&](pawl::error_code) { stopped = true; });
        advance_until([&] { return stopped; });
        engine.reset();
    }

    /// Runs everything that can run without time going on.
    void settle()
    {
        do
            io.restart();
        while (io.poll() > 0);
    }

    void advance(pawl::duration span)
    {
        clock->advance(span);
        settle();
    }

    /// Goes from one wait to the next until `done`, for at most `limit` of time.
    void advance_until(const std::function<bool()>& done, pawl::duration limit = 24h)
    {
        const auto end = clock->now() + limit;
        settle();
        while (!done()) {
            const auto next = clock->next_wait();
            BOOST_REQUIRE(next.has_value());
            BOOST_REQUIRE(*next <= end);
            advance(std::max<pawl::duration>(*next - clock->now(), 0us));
        }
    }

    /// Runs an operation to its end; throws what it throws.
    template <class T>
    T wait_for(asio::awaitable<T> operation)
    {
        std::optional<T> result;
        std::exception_ptr failure;
        asio::co_spawn(io, std::move(operation), [&](std::exception_ptr e, T value) {
            failure = e;
            result.emplace(std::move(value));
        });
        advance_until([&] { return result.has_value(); });
        if (failure)
            std::rethrow_exception(failure);
        return std::move(*result);
    }

    void wait_for(asio::awaitable<void> operation)
    {
        bool done = false;
        std::exception_ptr failure;
        asio::co_spawn(io, std::move(operation), [&](std::exception_ptr e) {
            failure = e;
            done = true;
        });
        advance_until([&] { return done; });
        if (failure)
            std::rethrow_exception(failure);
    }

    /// The code with which an operation fails; none if it does not.
    template <class T>
    pawl::error_code error_of(asio::awaitable<T> operation)
    {
        try {
            wait_for(std::move(operation));
        } catch (const pawl::system_error& e) {
            return e.code();
        }
        return {};
    }

    pawl::snapshot<lamp, light> state_of(lamps& client, pawl::run_id run)
    {
        auto found = wait_for(client.async_find(run, asio::use_awaitable));
        BOOST_REQUIRE(found.has_value());
        return std::move(*found);
    }

    std::vector<std::string> kinds_of(lamps& client, pawl::run_id run)
    {
        std::vector<std::string> kinds;
        for (const auto& what : wait_for(client.async_history(run, 0, 1000, asio::use_awaitable)))
            kinds.push_back(to_string(what.kind));
        return kinds;
    }
};

} // namespace engine_test
