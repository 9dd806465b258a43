// pawl_check.sql finds each kind of damage, and reports nothing in a sound database.
#include "postgres/consistency.hpp"

#include "sqlite/support.hpp"

#include <boost/test/unit_test.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>

namespace {

/// As psql would run it.
std::string check_script(const std::string& schema)
{
    std::ifstream file{PAWL_CHECK_FILE};
    std::string script;
    for (std::string line; std::getline(file, line);)
        if (!line.starts_with('\\'))
            script += line + '\n';
    const std::string name = ":\"schema\"";
    for (std::size_t at = 0; (at = script.find(name, at)) != script.npos; at += schema.size())
        script.replace(at, name.size(), schema);
    return script;
}

} // namespace

std::map<std::string, std::string> broken_rules(session& by, const std::string& schema)
{
    // To compile the query takes the server seconds, and to run it on a few rows milliseconds.
    by.ask("SET jit = off");
    std::map<std::string, std::string> broken;
    for (const auto& row : by.rows(check_script(schema)))
        broken[row.at(0)] = row.at(1) + ": " + row.at(2);
    return broken;
}

BOOST_AUTO_TEST_SUITE(postgres_consistency)

namespace {

/// A schema with a few rows in each table.
struct sound_schema {
    sound_schema()
    {
        const auto store =
            pawl::open_postgres(backend(), server().uri(), {.schema = name, .shards = 2});
        auto run = make_run(1, "order-1");
        apply_one(*store, store_as(run));
        run.version = 2;
        run.state = pawl::run_state::running;
        apply_one(*store, store_as(run));
        pawl::delivery sent;
        sent.content.run = run.id;
        sent.content.sent_at = pawl::time_point{};
        apply_one(*store, sent);
        auto ended = make_run(2, "order-2");
        ended.state = pawl::run_state::completed;
        ended.wake_at.reset();
        auto change = store_as(ended);
        change.attributes.values = {{"customer", "c-7"}};
        apply_one(*store, change);
        auto paused = make_run(3, "order-3");
        paused.state = pawl::run_state::paused;
        paused.wake_at.reset();
        paused.parent = pawl::parent_link{run.id, "ended", {}, false};
        apply_one(*store, store_as(paused));
        auto schedule = make_run(4, "orders/daily");
        schedule.workflow = "pawl.schedules";
        apply_one(*store, store_as(schedule));
        pawl::publication event;
        event.topic = "news";
        apply_one(*store, event);
        ask("SELECT " + name + ".start('orders', 'order-4', '{}')");
        apply_one(*store, pawl::cursor_move{"hooks/orders/tell", 0, 1});
        apply_one(*store, pawl::cursor_move{"topic/4/news/reader", 0, 5});
    }

    const std::string name = fresh_schema();
};

struct damage {
    const char* sql;
    std::vector<std::string> rules; ///< words of those that it breaks
};

const std::vector<damage> damages{
    {"DELETE FROM due WHERE run = (SELECT id FROM runs WHERE foreign_id = 'order-1')",
     {"one row in due"}},
    {"INSERT INTO due SELECT shard, 7, id FROM runs WHERE foreign_id = 'order-2'",
     {"each row in due"}},
    {"UPDATE due SET wake_at = wake_at + 1", {"one row in due", "each row in due"}},
    {"UPDATE counts SET runs = runs + 1 WHERE state = 5", {"counts agrees"}},
    {"DELETE FROM counts", {"counts agrees"}},
    {"UPDATE child_counts SET runs = runs + 1", {"child_counts agrees"}},
    {"DELETE FROM child_counts", {"child_counts agrees"}},
    {"UPDATE runs SET inbox_pending = 2 WHERE foreign_id = 'order-1'", {"inbox_pending"}},
    {"UPDATE messages SET outcome = 1", {"inbox_pending"}},
    {"UPDATE runs SET inbox_last = 0", {"inbox_last"}},
    {"DELETE FROM messages; INSERT INTO messages SELECT md5('x')::uuid, 1, 0, NULL, 1, 0, '', "
     "NULL, NULL, NULL, 1, ''",
     {"inbox_pending", "each message is of a run"}},
    {"DELETE FROM events WHERE version = 2", {"each version of a run has one event"}},
    {"UPDATE events SET run = md5('x')::uuid WHERE version = 2",
     {"each version of a run has one event", "each event is of a run"}},
    {"UPDATE events SET position = position + (2::bigint << 48) WHERE version = 2",
     {"in the log of its shard", "next_sequence"}},
    {"UPDATE shards SET next_sequence = 1; UPDATE cursors SET position = 0", {"next_sequence"}},
    {"UPDATE cursors SET position = 1000", {"a cursor of hooks"}},
    {"UPDATE workflows SET workflow = DEFAULT WHERE name = 'pawl.schedules'",
     {"the workflow of each run"}},
    {"UPDATE runs SET shard = 9 WHERE foreign_id = 'order-2'",
     {"in the log of its shard", "in a shard of its workflow"}},
    {"DELETE FROM leases WHERE shard = 1", {"shards and in leases"}},
    {"UPDATE runs SET finished_at = NULL WHERE foreign_id = 'order-2'", {"finished_at"}},
    {"UPDATE runs SET paused = false", {"runs.paused"}},
    {"UPDATE attributes SET run = md5('x')::uuid", {"each attribute is of a run"}},
    {"UPDATE requests SET workflow = 77", {"the workflow of each request"}},
    {"UPDATE attributes SET created_at = 0", {"each attribute is of a run"}},
    {"UPDATE topics SET next_position = 1", {"topics.next_position"}},
    {"DELETE FROM topics", {"topics.next_position"}},
};

} // namespace

BOOST_AUTO_TEST_CASE(tables_that_the_store_has_written_agree)
{
    const sound_schema schema;
    session admin;
    BOOST_TEST(fmt::format("{}", broken_rules(admin, schema.name)) == "{}");
}

BOOST_AUTO_TEST_CASE(each_damage_is_found)
{
    const sound_schema schema;
    session admin;
    admin.ask("SET search_path = " + schema.name);
    for (const auto& each : damages) {
        admin.ask("BEGIN");
        admin.ask(each.sql);
        const auto broken = broken_rules(admin, schema.name);
        admin.ask("ROLLBACK");
        BOOST_TEST_CONTEXT(each.sql << ": " << fmt::format("{}", broken))
        {
            BOOST_TEST(broken.size() == each.rules.size());
            for (const auto& words : each.rules)
                BOOST_TEST(std::ranges::any_of(broken,
                                               [&](const auto& rule) {
                                                   return rule.first.find(words) !=
                                                          std::string::npos;
                                               }),
                           words);
        }
    }
}

BOOST_AUTO_TEST_CASE(what_a_removed_run_leaves_is_no_damage)
{
    const sound_schema schema;
    session admin;
    admin.ask("SET search_path = " + schema.name);
    admin.ask("INSERT INTO leftovers VALUES (md5('x')::uuid)");
    admin.ask("INSERT INTO events SELECT 1000, md5('x')::uuid, 1, 0, 1, 1, 1, 1, 1; "
              "UPDATE shards SET next_sequence = 1001");
    BOOST_TEST(fmt::format("{}", broken_rules(admin, schema.name)) == "{}");
}

BOOST_AUTO_TEST_SUITE_END()
