// What an engine lets go of, and what it refuses out of its time.
#include "engine/support.hpp"
#include "pawl/connector.hpp"
#include "printing.hpp"

#include <boost/json/value.hpp>

#include <stdexcept>

BOOST_AUTO_TEST_SUITE(lifetimes)

using namespace engine_test;
using enum light;

namespace {

pawl::step<off> finish(lamp_run&)
{
    co_return pawl::to<off>;
}

pawl::workflow<lamp, light> plain(const std::string& name)
{
    lamp_builder b{name};
    b.step<red>(finish);
    b.end<off>();
    return std::move(b).build();
}

/// A workflow whose handlers hold a client of another one.
pawl::workflow<lamp, light> calling(const lamps& other)
{
    lamp_builder b{"callers"};
    b.step<red>([other](lamp_run& run) -> pawl::step<off> {
        auto client = other;
        co_await client.async_trigger(std::string{run.foreign_id()}, lamp{});
        co_return pawl::to<off>;
    });
    b.on_complete(
        [other](const pawl::snapshot<lamp, light>&) -> asio::awaitable<void> { co_return; });
    b.end<off>();
    return std::move(b).build();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_client_that_a_handler_captured_keeps_nothing_alive)
{
    for (const bool started : {true, false})
        BOOST_TEST_CONTEXT("started " << started)
        {
            world w;
            const std::weak_ptr<pawl::record_store> left = w.store;
            w.options.store = std::move(w.store);
            w.options.clock = w.clock;
            w.engine.emplace(w.io.get_executor(), w.options);
            w.options.store.reset();
            std::optional<lamps> outside;
            {
                auto called = w.engine->add(plain("lamps"));
                outside = w.engine->add(calling(called));
            }
            if (started) {
                w.wait_for(w.engine->async_start());
                const auto run = w.wait_for(outside->async_trigger("a", lamp{}));
                w.settle();
                BOOST_TEST(w.state_of(*outside, run).status == off);
                w.stop();
            }
            w.engine.reset();
            BOOST_TEST(left.expired());
            // Clients of an engine that is over say so.
            BOOST_TEST(
                (w.error_of(outside->async_trigger("b", lamp{})) == pawl::errc::not_running));
            BOOST_TEST(w.error_of(outside->async_list({})) == pawl::errc::not_running);
            BOOST_TEST(w.error_of(outside->async_cancel("a", "no")) == pawl::errc::not_running);
        }
}

BOOST_AUTO_TEST_CASE(an_engine_that_was_started_takes_no_workflow_and_no_connector)
{
    world w;
    auto c = w.start(plain("lamps"));
    const auto refuses = [](const char* name) {
        return [name](const pawl::definition_error& e) {
            return std::string{e.what()}.find(name) != std::string::npos;
        };
    };
    BOOST_CHECK_EXCEPTION(w.engine->add(plain("late")), pawl::definition_error,
                          refuses("\"late\""));
    auto source = w.engine->events("lamps");
    BOOST_CHECK_EXCEPTION(
        w.engine->connect(
            "late", source, c,
            [](pawl::event_context<lamp, light>&) -> asio::awaitable<void> { co_return; }),
        pawl::definition_error, refuses("\"late\""));
    w.engine->async_stop(0s, [](pawl::error_code) {});
    w.settle();
    BOOST_CHECK_EXCEPTION(w.engine->add(plain("later")), pawl::definition_error,
                          refuses("\"later\""));
    BOOST_CHECK_THROW(w.engine->events("lamps"), pawl::definition_error);
}

BOOST_AUTO_TEST_CASE(an_engine_that_is_destroyed_while_it_runs_says_so_and_ends)
{
    world w;
    const std::weak_ptr<pawl::record_store> left = w.store;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*clock, 1000h);
        co_return pawl::to<off>;
    });
    b.end<off>();
    {
        auto c = w.start(std::move(b).build());
        w.wait_for(c.async_trigger("a", lamp{}));
        w.settle();
    }
    w.store.reset();
    w.options.store.reset();
    w.engine.reset();
    BOOST_REQUIRE(!w.log.empty());
    BOOST_TEST(w.log.back().find("async_stop") != std::string::npos);
    w.advance(1s);
    BOOST_TEST(left.expired());
}

BOOST_AUTO_TEST_CASE(an_upgrade_leaves_other_numbers_as_they_are)
{
    const std::string numbers = "[10384.798806484063,0.1,1e-07,9007199254740993]";
    world w;
    lamp_builder b{"lamps"};
    b.upgrade(1, [](boost::json::value&) {});
    b.step<red>(finish);
    b.end<off>();
    const auto flow = std::move(b).build();
    BOOST_TEST(flow.impl()->upgrades.front()(numbers) == numbers);
}

BOOST_AUTO_TEST_SUITE_END()
