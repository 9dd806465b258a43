// A database that goes back behind what engines have read from it, as an asynchronous standby that
// is promoted does: here its rows are put back behind them.
#include "postgres/cluster.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"

BOOST_AUTO_TEST_SUITE(postgres_lost_commits)

using namespace postgres_test;
using pawl::apply_status;

namespace {

/// What a schema holds at one time.
class saved_rows {
public:
    explicit saved_rows(std::string schema) : schema_(std::move(schema))
    {
        std::string sql = "BEGIN; CREATE SCHEMA " + copy() + ";";
        for (const auto* table : tables)
            sql += fmt::format("CREATE TABLE {1}.{2} AS TABLE {0}.{2};", schema_, copy(), table);
        ask(sql + "COMMIT");
    }

    void put_back() const
    {
        const auto end = std::chrono::steady_clock::now() + patience;
        while (!try_put_back())
            if (std::chrono::steady_clock::now() > end)
                throw std::runtime_error("the tables of " + schema_ + " are always locked");
    }

private:
    static constexpr const char* tables[] = {"shards", "leases",      "runs",    "due",
                                             "events", "messages",    "cursors", "counts",
                                             "topics", "topic_events"};

    std::string copy() const { return schema_ + "_saved"; }

    /// Locks all tables or none: a session that waited for a lock with others in hand could wait
    /// for an engine that waits for those. False if an engine has one.
    bool try_put_back() const
    {
        std::string sql = "BEGIN;";
        for (const auto* table : tables)
            sql += fmt::format("LOCK TABLE {0}.{1} NOWAIT; DELETE FROM {0}.{1};", schema_, table);
        for (const auto* table : tables)
            sql += fmt::format("INSERT INTO {0}.{2} OVERRIDING SYSTEM VALUE SELECT * FROM {1}.{2};",
                               schema_, copy(), table);
        try {
            ask(sql + "COMMIT");
        } catch (const std::runtime_error& failure) {
            if (std::string_view{failure.what()}.find("could not obtain lock") ==
                std::string_view::npos)
                throw;
            return false;
        }
        return true;
    }

    const std::string schema_;
};

std::vector<std::string> ids(const std::string& prefix, int count)
{
    std::vector<std::string> all;
    for (int i = 0; i < count; ++i)
        all.push_back(fmt::format("{}-{}", prefix, i));
    return all;
}

void check_ended(cluster& all, const std::vector<std::string>& expected)
{
    all.wait_until([&] {
        const auto ended = all.ended.all();
        return std::ranges::all_of(expected, [&](const auto& id) { return ended.contains(id); });
    });
    for (const auto& id : expected)
        BOOST_TEST(all.ended.all()[id] == 1, id);
}

} // namespace

BOOST_AUTO_TEST_CASE(hooks_see_what_is_committed_after_commits_were_lost)
{
    cluster all;
    auto& a = all.start_beside("a");
    const saved_rows before{all.schema};
    const auto lost = ids("lost", 40);
    for (const auto run : all.trigger(a, lost))
        all.end_of(a, run);
    check_ended(all, lost);

    before.put_back();
    const auto kept = ids("kept", 60);
    std::vector<pawl::run_id> runs;
    for (const auto& id : kept)
        for (bool accepted = false; !accepted;) {
            const auto [failure, run] = a.finish(
                a.client->async_trigger(id, parcel{}, {}, asio::as_tuple(asio::use_awaitable)));
            accepted = !failure;
            if (accepted)
                runs.push_back(run);
        }
    for (const auto run : runs)
        all.end_of(a, run);
    check_ended(all, kept);
}

BOOST_AUTO_TEST_CASE(a_wait_ends_though_commits_that_it_was_told_of_were_lost)
{
    cluster all;
    auto& a = all.start_beside("a");
    auto& b = all.start_beside("b");
    all.wait_for_shares(a, b);
    a.steps.close();
    const auto id = all.ids_of(a, 1).front();
    const auto run = all.trigger(a, {id}).front();
    all.wait_until([&] {
        return a.finish(a.client->async_find(run, asio::use_awaitable)).value().version == 2;
    });
    const saved_rows before{all.schema};
    auto end = b.client->async_await_finished(run, asio::use_future);

    // The shard's log grows, and is read by the one who waits.
    const auto shard = pawl::shard_of(id, shard_count);
    std::vector<pawl::run_id> others;
    for (const auto& other : all.ids_of(a, 40))
        if (pawl::shard_of(other, shard_count) == shard)
            others.push_back(all.trigger(a, {other}).front());
    BOOST_REQUIRE(others.size() > 2);
    before.put_back();
    a.steps.open();
    BOOST_REQUIRE((end.wait_for(patience) == std::future_status::ready));
    BOOST_TEST(end.get().state == pawl::run_state::completed);
}

BOOST_AUTO_TEST_CASE(receivers_get_what_is_published_after_commits_were_lost)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 1});
    const auto topics = pawl::store_streamer(store, {.poll_interval = 10ms});
    const auto send = [&](int first, int last) {
        std::vector<pawl::stream_event> events;
        for (int i = first; i <= last; ++i)
            events.emplace_back().id = std::to_string(i);
        finish(topics->send("news", events));
    };
    send(1, 2);
    asio::io_context context;
    const auto run_on = [&](auto call) {
        auto result = asio::co_spawn(context, std::move(call), asio::use_future);
        context.restart();
        context.run();
        return result.get();
    };
    const auto receiver =
        run_on(topics->subscribe("news", "reader", pawl::subscribe_from::beginning));
    BOOST_TEST(run_on(receiver->receive(10)).size() == 2u);
    run_on(receiver->ack(2));
    const saved_rows before{schema};
    send(3, 9);
    BOOST_TEST(run_on(receiver->receive(10)).size() == 7u);

    before.put_back();
    run_on(receiver->ack(9)); // of events that are lost
    send(10, 10);
    const auto next = run_on(receiver->receive(10));
    BOOST_REQUIRE(next.size() == 1u);
    BOOST_TEST(next.front().id == "10");
    run_on(receiver->ack(next.front().position));
    const auto later = run_on(topics->subscribe("news", "reader", pawl::subscribe_from::beginning));
    send(11, 11);
    const auto last = run_on(later->receive(10));
    BOOST_REQUIRE(last.size() == 1u);
    BOOST_TEST(last.front().id == "11");
}

BOOST_AUTO_TEST_CASE(epochs_and_cursors_of_lost_commits_are_refused)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 1});
    const saved_rows before{schema};
    const auto lost = finish(store->claim({0}, "a", 1h)).at(0);
    for (int i = 1; i <= 5; ++i)
        apply_one(*store, store_as(make_run(i, fmt::format("order-{}", i))));
    before.put_back();

    const auto next = finish(store->claim({0}, "b", 1h)).at(0);
    BOOST_TEST(next.epoch > lost.epoch);
    auto late = store_as(make_run(7, "order-7"));
    late.epoch = lost.epoch;
    BOOST_TEST(apply_one(*store, late).status == apply_status::fenced);
    const pawl::cursor_move beyond{.name = "hooks", .shard = 0, .position = 5, .epoch = next.epoch};
    BOOST_TEST(apply_one(*store, beyond).status == apply_status::fenced);
    BOOST_TEST(finish(store->cursor("hooks", 0)) == 0u);
}

BOOST_AUTO_TEST_CASE(an_owner_gets_the_next_epoch_once_commits_of_its_shard_are_lost)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 2});
    const auto held = finish(store->claim({0, 1}, "a", 1h));
    const saved_rows before{schema};
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    const auto shard = pawl::shard_of("order-1", 2);
    const auto renewed = finish(store->claim({0, 1}, "a", 1h));
    BOOST_TEST(renewed.at(shard).epoch == held.at(shard).epoch);

    // The log is as long as before, but another one.
    before.put_back();
    const auto others = pawl::open_postgres(backend(), server().uri(), {.schema = schema});
    run.id = make_run(2, "order-1").id;
    apply_one(*others, store_as(run));
    const auto again = finish(store->claim({0, 1}, "a", 1h));
    BOOST_TEST(again.at(shard).epoch > held.at(shard).epoch);
    BOOST_TEST(again.at(1 - shard).epoch == held.at(1 - shard).epoch);
    const auto once_more = finish(store->claim({0, 1}, "a", 1h));
    BOOST_TEST(once_more.at(shard).epoch == again.at(shard).epoch);
}

BOOST_AUTO_TEST_CASE(a_new_session_looks_for_lost_commits_before_it_stores_anything)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 1});
    const auto held = finish(store->claim({0}, "a", 1h)).at(0);
    const saved_rows before{schema};
    apply_one(*store, store_as(make_run(1, "order-1")));
    before.put_back();
    ask("SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE "
        "application_name = 'pawl'");
    auto step = store_as(make_run(2, "order-2"));
    step.epoch = held.epoch;
    BOOST_TEST(apply_one(*store, step).status == apply_status::fenced);
}

BOOST_AUTO_TEST_CASE(a_workflow_whose_number_was_lost_is_stored_again)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 1});
    apply_one(*store, store_as(make_run(1, "order-1")));
    ask("DELETE FROM " + schema + ".runs");
    ask("DELETE FROM " + schema + ".due");
    ask("DELETE FROM " + schema + ".workflows");
    const auto run = make_run(2, "order-2");
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST((finish(store->find(run.id)) == run));
}

BOOST_AUTO_TEST_SUITE_END()
