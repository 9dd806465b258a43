// Two engines on one PostgreSQL, one of them behind a network that fails: the other takes over what
// it drove, nothing happens twice, and it takes part again when the network is sound.
#include "postgres/cluster.hpp"

BOOST_AUTO_TEST_SUITE(postgres_cluster)

using namespace postgres_test;

namespace {

/// Runs that have begun in the shards of `owner`, whose steps wait at its gate.
std::vector<pawl::run_id> begin_runs(cluster& all, member& owner, std::size_t count)
{
    owner.steps.close();
    const auto runs = all.trigger(owner, all.ids_of(owner, count));
    for (const auto run : runs)
        all.wait_until([&] {
            const auto seen =
                owner.finish(owner.client->async_find(run, asio::use_awaitable)).value();
            return seen.version == 2; // the effect is recorded
        });
    return runs;
}

void check_taken_over(cluster& all, member& by, const std::vector<pawl::run_id>& runs)
{
    all.wait_until([&] { return by.leases().size() == shard_count; });
    for (const auto run : runs) {
        const auto end = all.end_of(by, run);
        BOOST_TEST(end.object.packed_by == by.name);
    }
}

/// It drives runs again, in as many shards as before.
void check_rejoined(cluster& all, member& other, member& back)
{
    all.wait_for_shares(other, back);
    BOOST_TEST(back.engine->ready());
    back.steps.open();
    for (const auto run : all.trigger(other, all.ids_of(back, 3))) {
        const auto end = all.end_of(other, run);
        BOOST_TEST(end.object.packed_by == back.name);
        all.check_history(other, run);
    }
}

/// Starts a run for each event, then waits at the gate.
void connect_orders(member& to, const pawl::workflow<parcel, place>& flow)
{
    const auto start_run = [&to](arrived& in) -> asio::awaitable<void> {
        co_await in.trigger("parcel of " + in.event().id, parcel{});
        ++to.events_begun;
        co_await to.events.pass();
    };
    const auto topics = pawl::store_streamer(to.store);
    to.engine->connect("orders", pawl::from_topic(topics, "orders"), flow, start_run,
                       {.max_concurrency = 3});
}

std::vector<pawl::stream_event> events(int count)
{
    std::vector<pawl::stream_event> made(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        made[static_cast<std::size_t>(i)].id = std::to_string(i);
        made[static_cast<std::size_t>(i)].key = std::to_string(i % 4);
    }
    return made;
}

} // namespace

BOOST_AUTO_TEST_CASE(commits_that_the_network_held_back_past_the_lease_are_fenced)
{
    cluster all;
    auto& a = all.start_beside("a");
    auto& b = all.start_behind_proxy("b");
    all.wait_for_shares(a, b);
    const auto runs = begin_runs(all, b, 6);

    all.between.hold_from("pawl_apply");
    b.steps.open();
    BOOST_REQUIRE(all.between.wait_until_held());
    check_taken_over(all, a, runs);
    // Nobody told it; but it can count.
    all.wait_until([&] { return !b.engine->ready(); });
    BOOST_TEST(b.leases().empty());
    BOOST_TEST(a.engine->ready());
    BOOST_TEST(b.counted->late == 0);

    all.between.heal();
    all.wait_until([&] { return b.counted->late == 6; });
    check_rejoined(all, a, b);
    for (const auto run : runs)
        all.check_history(a, run);
    all.check_used(runs.size() + 3);
    BOOST_TEST(a.counted->late == 0);
}

BOOST_AUTO_TEST_CASE(an_engine_that_is_cut_off_is_replaced_and_takes_part_again)
{
    cluster all;
    auto& a = all.start_beside("a");
    auto& b = all.start_behind_proxy("b");
    all.wait_for_shares(a, b);
    const auto runs = begin_runs(all, b, 6);

    all.between.cut();
    check_taken_over(all, a, runs);
    // Its steps end with its leases.
    all.wait_until([&] { return b.counted->interrupted == 6; });
    BOOST_TEST(b.leases().empty());
    BOOST_TEST(!b.engine->ready());
    BOOST_TEST(a.engine->ready());
    BOOST_CHECK_THROW(all.trigger(b, {"nobody hears of it"}), pawl::system_error);

    all.between.heal();
    check_rejoined(all, a, b);
    for (const auto run : runs)
        all.check_history(a, run);
    all.check_used(runs.size() + 3);
}

BOOST_AUTO_TEST_CASE(a_connector_goes_on_elsewhere_and_each_event_starts_one_run)
{
    constexpr int event_count = 9;
    cluster all;
    auto& b = all.start_behind_proxy("b", connect_orders);
    all.wait_until([&] { return b.leases().size() == shard_count; });
    b.events.close();
    const auto topics = pawl::store_streamer(b.store);
    b.finish(topics->send("orders", events(event_count)));
    all.wait_until([&] { return b.events_begun == 3; });
    auto& a = all.start_beside("a", connect_orders);
    all.wait_for_shares(a, b);

    all.between.cut();
    all.wait_until([&] { return a.events_begun == event_count; });
    all.between.heal();
    b.events.open();
    all.wait_for_shares(a, b);
    all.wait_until([&] {
        pawl::record_query query;
        query.states = {pawl::run_state::completed};
        return a.finish(a.store->list(query)).runs.size() == event_count;
    });
    all.check_used(event_count);
    BOOST_TEST(b.events_begun == 3);
}

BOOST_AUTO_TEST_SUITE_END()
