// A database that goes back behind what engines have read from it, as an asynchronous standby that
// is promoted does: here its rows are put back behind them.
#include "postgres/cluster.hpp"
#include "sqlite/support.hpp"

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
        std::string sql = "BEGIN;";
        for (const auto* table : tables)
            sql += fmt::format("LOCK TABLE {0}.{1}; DELETE FROM {0}.{1};", schema_, table);
        for (const auto* table : tables)
            sql += fmt::format("INSERT INTO {0}.{2} OVERRIDING SYSTEM VALUE SELECT * FROM {1}.{2};",
                               schema_, copy(), table);
        ask(sql + "COMMIT");
    }

private:
    static constexpr const char* tables[] = {"shards", "leases",      "runs",    "due",
                                             "events", "messages",    "cursors", "counts",
                                             "topics", "topic_events"};

    std::string copy() const { return schema_ + "_saved"; }

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

BOOST_AUTO_TEST_SUITE(postgres_lost_commits)

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
    BOOST_TEST((apply_one(*store, late).status == apply_status::fenced));
    const pawl::cursor_move beyond{.name = "hooks", .shard = 0, .position = 5, .epoch = next.epoch};
    BOOST_TEST((apply_one(*store, beyond).status == apply_status::fenced));
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
    BOOST_TEST((apply_one(*store, step).status == apply_status::fenced));
}

BOOST_AUTO_TEST_CASE(a_run_of_a_workflow_that_is_not_stored_is_refused)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 1});
    apply_one(*store, store_as(make_run(1, "order-1")));
    ask("DELETE FROM " + schema + ".runs");
    ask("DELETE FROM " + schema + ".due");
    ask("DELETE FROM " + schema + ".workflows");
    BOOST_CHECK_THROW(apply_one(*store, store_as(make_run(2, "order-2"))), pawl::error);
}

BOOST_AUTO_TEST_SUITE_END()
