// Deletions of many rows, which take several statements, and changes that the server refuses.
#include "postgres/cluster.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"

BOOST_AUTO_TEST_SUITE(postgres_slices)

using namespace postgres_test;

namespace {

/// Counts the rows that each statement deletes.
void count_deletions(const std::string& schema, const std::string& table)
{
    ask(fmt::format("CREATE FUNCTION {0}.count_{1}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                    "INSERT INTO {0}.deletions SELECT count(*) FROM gone; RETURN NULL; END $$;"
                    "CREATE TRIGGER counts AFTER DELETE ON {0}.{1} REFERENCING OLD TABLE AS gone "
                    "FOR EACH STATEMENT EXECUTE FUNCTION {0}.count_{1}()",
                    schema, table));
}

std::string most_deleted(const std::string& schema)
{
    return ask("SELECT max(many) <= 5000 FROM " + schema + ".deletions");
}

} // namespace

BOOST_AUTO_TEST_CASE(a_trim_of_many_events_takes_statements_of_bounded_size)
{
    const auto schema = fresh_schema();
    const auto store = pawl::open_postgres(backend(), server().uri(), {.schema = schema});
    pawl::publication first;
    first.topic = "news";
    apply_one(*store, first);
    ask(fmt::format("INSERT INTO {0}.topic_events (topic, position, at, payload) "
                    "SELECT topic, n, 0, '' FROM {0}.topics, generate_series(2, 100000) n;"
                    "UPDATE {0}.topics SET next_position = 100001",
                    schema));
    ask("CREATE TABLE " + schema + ".deletions (many bigint)");
    count_deletions(schema, "topic_events");
    BOOST_TEST((apply_one(*store, pawl::topic_trim{"news", 99'990}).sequence == 0u));
    BOOST_TEST(finish(store->topic_events("news", 0, 100)).size() == 10u);
    BOOST_TEST(most_deleted(schema) == "t");
}

BOOST_AUTO_TEST_CASE(a_run_with_a_long_history_is_removed_in_statements_of_bounded_size)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 1});
    auto run = make_run(1, "order-1");
    run.state = pawl::run_state::completed;
    run.wake_at.reset();
    apply_one(*store, store_as(run));
    const auto other = make_run(2, "order-2");
    apply_one(*store, store_as(other));
    ask(fmt::format(
        "INSERT INTO {0}.events (position, run, version, at, from_status, to_status, attempt, "
        "kind, state) SELECT 10 + n, id, n, 0, 1, 1, 0, 3, 2 FROM {0}.runs, "
        "generate_series(2, 20000) n WHERE foreign_id = 'order-1';"
        "INSERT INTO {0}.messages (run, sequence, sent_at, kind, outcome, name, payload_version, "
        "payload) SELECT id, n, 0, 1, 2, '', 0, '' FROM {0}.runs, generate_series(1, 20000) n "
        "WHERE foreign_id = 'order-1'",
        schema));
    ask("CREATE TABLE " + schema + ".deletions (many bigint)");
    count_deletions(schema, "events");
    count_deletions(schema, "messages");
    const auto result = apply_one(*store, pawl::removal{run.id, 1});
    BOOST_TEST(result.status == pawl::apply_status::accepted);
    BOOST_TEST(result.sequence == 0u);
    BOOST_TEST(most_deleted(schema) == "t");
    BOOST_TEST(ask("SELECT count(*) FROM " + schema + ".events") == "1");
    BOOST_TEST(ask("SELECT count(*) FROM " + schema + ".messages") == "0");
    BOOST_TEST(ask("SELECT count(*) FROM " + schema + ".leftovers") == "0");
}

BOOST_AUTO_TEST_CASE(a_change_that_a_constraint_refuses_fails_alone)
{
    cluster all;
    auto& a = all.start_beside("a");
    ask("ALTER TABLE " + all.schema +
        ".runs ADD CONSTRAINT no_bad_ids CHECK (foreign_id <> 'bad')");
    std::vector<std::future<pawl::run_id>> started;
    std::promise<void> triggered;
    const std::vector<std::string> ids{"1", "2", "bad", "4", "5"};
    asio::post(a.io, [&] {
        for (const auto& id : ids)
            started.push_back(a.client->async_trigger(id, parcel{}, {}, asio::use_future));
        triggered.set_value();
    });
    triggered.get_future().get();
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] == "bad")
            BOOST_CHECK_THROW(started[i].get(), pawl::system_error);
        else
            all.end_of(a, started[i].get());
    }
}

BOOST_AUTO_TEST_SUITE_END()
