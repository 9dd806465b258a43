// Machines whose clocks disagree, on one store that is shared: what is due, and what has expired,
// is decided by the store's clock.
#include "engine/cluster.hpp"
#include "printing.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>

BOOST_AUTO_TEST_SUITE(store_time)

using namespace engine_test;
using enum light;
namespace data = boost::unit_test::data;

namespace {

using pawl::testing::manual_clock;

/// By what a machine's clock is wrong, in seconds.
const auto errors = data::make(std::vector<int>{-3600, -5, 5, 3600});

struct machines : cluster {
    std::vector<pawl::time_point> begun; ///< what steps take for the present time

    member& serve(bool drive, pawl::duration wrong_by)
    {
        auto& added = add(std::make_shared<manual_clock>(clock->now() + wrong_by));
        added.options.client_only = !drive;
        start(added, [this](member& self) {
            lamp_builder b{"lamps"};
            b.step<red>([this](lamp_run& run) -> pawl::step<yellow> {
                begun.push_back(run.now());
                co_return pawl::to<yellow>;
            });
            b.callback<yellow>("press", [](lamp_run& run, int value) -> pawl::step<yellow> {
                run.object().value = value;
                co_return pawl::to<yellow>;
            });
            b.timeout<yellow>(1h, [](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
            b.end<off>();
            self.client = self.engine->add(std::move(b).build());
        });
        return added;
    }

    void check(member& driver, member& client)
    {
        advance(2s);
        const auto run = trigger(client, "id");
        settle(); // no time goes on
        BOOST_REQUIRE(begun.size() == 1u);
        BOOST_TEST((begun.back() - clock->now()).count() == 0);
        BOOST_TEST(state_of(driver, run).status == yellow);

        std::optional<pawl::error_code> pressed;
        client.client->async_call(
            run, "press", 7, {.expires_after = 30s},
            [&](pawl::error_code code, const pawl::settlement&) { pressed = code; });
        settle();
        BOOST_REQUIRE(pressed.has_value());
        BOOST_TEST(!*pressed);
        BOOST_TEST(state_of(driver, run).object.value == 7);

        // A message to a run that does not take it waits for its time limit, no more and no less.
        std::optional<pawl::error_code> early;
        const auto other = trigger(client, "other");
        settle();
        wait_for(client, client.client->async_pause(other, {}, asio::use_awaitable));
        client.client->async_call(
            other, "press", 1, {.expires_after = 30s},
            [&](pawl::error_code code, const pawl::settlement&) { early = code; });
        advance(29s);
        BOOST_TEST(!early.has_value());
        advance(7s); // and at most until the next look
        BOOST_REQUIRE(early.has_value());
        BOOST_TEST(*early == pawl::errc::expired);

        advance(1h);
        BOOST_TEST(state_of(driver, run).status == off);
        const auto ended = state_of(client, run);
        BOOST_TEST(ended.status == off);
    }
};

} // namespace

BOOST_DATA_TEST_CASE(a_client_with_a_wrong_clock_delays_and_expires_nothing, errors, wrong_by)
{
    machines all;
    auto& driver = all.serve(true, 0s);
    auto& client = all.serve(false, std::chrono::seconds{wrong_by});
    all.check(driver, client);
}

BOOST_DATA_TEST_CASE(a_driver_with_a_wrong_clock_delays_and_expires_nothing, errors, wrong_by)
{
    machines all;
    auto& driver = all.serve(true, std::chrono::seconds{wrong_by});
    auto& client = all.serve(false, 0s);
    all.check(driver, client);
}

BOOST_DATA_TEST_CASE(a_clock_that_is_set_while_the_engine_runs_changes_nothing, errors, wrong_by)
{
    machines all;
    auto& driver = all.serve(true, 0s);
    auto& client = all.serve(false, 0s);
    client.clock->step(std::chrono::seconds{wrong_by});
    driver.clock->step(std::chrono::seconds{-wrong_by});
    all.check(driver, client);
}

BOOST_AUTO_TEST_CASE(a_machine_that_restarts_with_a_wrong_clock_goes_on_in_time)
{
    machines all;
    auto& driver = all.serve(true, 0s);
    all.advance(2s);
    const auto run = all.trigger(driver, "id");
    all.advance(30min);
    all.stop(driver);
    auto& restarted = all.serve(true, -24h * 365);
    all.advance(29min);
    BOOST_TEST(all.state_of(restarted, run).status == yellow);
    all.advance(1min);
    BOOST_TEST(all.state_of(restarted, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_store_that_does_not_answer_leaves_the_time_as_it_was)
{
    machines all;
    auto& driver = all.serve(true, 1h);
    all.advance(2s);
    const auto run = all.trigger(driver, "id");
    all.settle();
    driver.door->fails = [](const std::string& call) {
        return call == "now" ? fault::refused : fault::none;
    };
    all.advance(59min);
    BOOST_TEST(all.state_of(driver, run).status == yellow);
    all.advance(1min);
    BOOST_TEST(all.state_of(driver, run).status == off);
}

BOOST_AUTO_TEST_SUITE_END()
