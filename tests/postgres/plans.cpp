// That no statement of the store's daily work reads more rows than it needs, however many there
// are: planned while the tables were empty, while the planner knew nothing of them, and after it
// had looked. Rows are counted by the server, for the sessions of one store after the other.
#include "pawl/request_queue.hpp"
#include "postgres/support.hpp"
#include "sqlite/support.hpp"

#include <boost/test/unit_test.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <functional>
#include <iterator>
#include <sstream>

BOOST_AUTO_TEST_SUITE(postgres_plans)

namespace {

using namespace std::chrono_literals;

/// More often than a session plans one statement anew.
constexpr int repetitions = 10;

/// Rows and entries of indexes that all operations may read, repeated. They need half of that, and
/// one repeated look at all of a table, or at all runs of a busy customer, would be more.
constexpr long most_read = 4000;

constexpr const char* topic = "news";
constexpr const char* busy_customer = "busy";

/// Runs with these numbers are in the tables, beside thousands of others.
constexpr std::uint8_t waiting = 1;  ///< with a message
constexpr std::uint8_t finished = 2; ///< a pattern of many
constexpr std::uint8_t busy = 3;     ///< with hundreds of settled messages
constexpr std::uint8_t child = 4;    ///< of the busy one
constexpr std::uint8_t first_new = 100;

std::uint8_t nth(int repetition, int more = 0)
{
    return static_cast<std::uint8_t>(first_new + more + repetition);
}

pawl::run_id id_of(std::uint8_t number)
{
    return make_run(number, "").id;
}

pawl::delivery message_to(std::uint8_t number, std::string key)
{
    pawl::delivery sent;
    sent.content.run = id_of(number);
    sent.content.key = std::move(key);
    sent.content.name = "press";
    sent.content.sent_at = pawl::time_point{1s};
    return sent;
}

pawl::publication event_to_send(std::string id)
{
    pawl::publication sent;
    sent.topic = topic;
    sent.content.id = std::move(id);
    return sent;
}

/// The next version of a run as it is; of one that is not there, the second.
pawl::transition next_of(pawl::record_store& store, std::uint8_t number)
{
    auto next = finish(store.find(id_of(number))).value_or(make_run(number, "nobody"));
    ++next.version;
    return store_as(next);
}

void settle_one(pawl::record_store& store, int i)
{
    const auto sent = apply_one(store, message_to(busy, fmt::format("again-{}", i)));
    auto next = next_of(store, busy);
    next.settled.push_back({sent.sequence, pawl::message_outcome::handled, ""});
    next.inbox_seen = sent.sequence;
    apply_one(store, next);
}

struct operation {
    const char* name;
    std::function<void(pawl::record_store&, int repetition)> run;
};

const std::vector<operation> operations{
    {"starting a run",
     [](auto& store, int i) {
         apply_one(store, store_as(make_run(nth(i), fmt::format("new-{}", i))));
     }},
    {"starting a run of somebody who had many",
     [](auto& store, int i) {
         auto run = make_run(nth(i, 20), busy_customer);
         run.start_key = fmt::format("another-{}", i);
         auto first = store_as(run);
         first.start = i % 2 ? pawl::id_reuse_policy::reject_duplicate
                             : pawl::id_reuse_policy::allow_after_finish;
         apply_one(store, first);
     }},
    {"a transition",
     [](auto& store, int) {
         apply_one(store, next_of(store, waiting));
     }},
    {"a message, and its settlement", settle_one},
    {"a cursor",
     [](auto& store, int i) {
         apply_one(store, pawl::cursor_move{.name = "hooks",
                                            .position = static_cast<std::uint64_t>(i) + 1});
         finish(store.cursor("hooks", 0));
     }},
    {"retention",
     [](auto& store, int) {
         const auto old = finish(store.finished_before(0, "orders", pawl::time_point{24h}, 5));
         for (const auto& each : old)
             apply_one(store, pawl::removal{each.id, each.version});
         if (old.empty())
             apply_one(store, pawl::removal{id_of(first_new), 1});
     }},
    {"finished runs behind a place, and the end of the log",
     [](auto& store, int i) {
         finish(store.finished_behind(0, "orders",
                                      {pawl::time_point{1h}, id_of(static_cast<std::uint8_t>(i))},
                                      pawl::time_point{24h}, 5));
         finish(store.log_end(0));
     }},
    {"an event to a topic",
     [](auto& store, int i) {
         apply_one(store, event_to_send(fmt::format("sent-{}", i)));
     }},
    {"an event to a topic again",
     [](auto& store, int) {
         apply_one(store, event_to_send("7"));
     }},
    {"trimming a topic",
     [](auto& store, int i) {
         apply_one(store, pawl::topic_trim{topic, 1000 + static_cast<std::uint64_t>(i) * 5});
     }},
    {"reading a run",
     [](auto& store, int) {
         finish(store.find(id_of(waiting)));
     }},
    {"the latest run",
     [](auto& store, int) {
         finish(store.latest("orders", busy_customer));
     }},
    {"what is due",
     [](auto& store, int) {
         const auto page = finish(store.due(0, {}, pawl::time_point{200s}, 10));
         if (page.next)
             finish(store.due(0, *page.next, pawl::time_point{200s}, 10));
     }},
    {"events",
     [](auto& store, int i) {
         finish(store.events(0, static_cast<std::uint64_t>(i) * 300, 10));
     }},
    {"a history",
     [](auto& store, int) {
         finish(store.history(id_of(finished), 0, 10));
     }},
    {"an inbox",
     [](auto& store, int) {
         finish(store.inbox(id_of(waiting), 0, 10));
         finish(store.inbox(id_of(busy), 0, 10));
         finish(store.outcome(id_of(busy), 100));
     }},
    {"the newest runs",
     [](auto& store, int) {
         pawl::record_query query;
         query.order = pawl::sort_order::newest_first;
         query.limit = 10;
         const auto page = finish(store.list(query));
         query.workflow = "orders";
         query.after = page.next;
         finish(store.list(query));
     }},
    {"runs of some foreign ids",
     [](auto& store, int) {
         pawl::record_query query;
         query.workflow = "orders";
         query.foreign_ids = {"order-17", "order-1700", "nobody"};
         query.limit = 10;
         finish(store.list(query));
     }},
    {"unfinished runs, paused runs, and runs with errors",
     [](auto& store, int i) {
         pawl::record_query query;
         query.workflow = "orders";
         query.limit = 10;
         query.order = i % 2 ? pawl::sort_order::newest_first : pawl::sort_order::oldest_first;
         query.states = {pawl::run_state::initiated, pawl::run_state::running,
                         pawl::run_state::paused};
         finish(store.list(query));
         query.states = {pawl::run_state::paused};
         finish(store.list(query));
         query.states.reset();
         query.has_error = true;
         finish(store.list(query));
         query.workflow.clear();
         finish(store.list(query));
         query.states = {pawl::run_state::initiated, pawl::run_state::running,
                         pawl::run_state::paused};
         finish(store.list(query));
         query.workflow = "orders";
         finish(store.list(query));
     }},
    {"runs of a customer who has thousands",
     [](auto& store, int i) {
         pawl::record_query query;
         query.workflow = "orders";
         query.attributes = {{"customer", "c-7"}};
         query.limit = 5;
         query.order = i % 2 ? pawl::sort_order::newest_first : pawl::sort_order::oldest_first;
         query.after = finish(store.list(query)).next;
         query.attributes.push_back({"cents", 5, pawl::attribute_comparison::greater});
         finish(store.list(query));
         query.attributes = {{"cents", 1'000'000, pawl::attribute_comparison::greater}};
         finish(store.list(query));
         query.foreign_ids = {"order-17", "order-1700", "nobody"};
         query.attributes = {{"customer", "c-7"}};
         finish(store.list(query));
     }},
    {"changing attributes",
     [](auto& store, int i) {
         auto next = next_of(store, waiting);
         next.attributes.values = {{"cents", i}, {"city", {}}};
         apply_one(store, next);
         pawl::attribute_update update{id_of(waiting), next.next.version, {}};
         update.attributes = {.replaces_all = true, .values = {{"cents", i}, {"customer", "c-7"}}};
         for (int times = 0; times < 4; ++times)
             apply_one(store, update);
     }},
    {"counts",
     [](auto& store, int) {
         finish(store.count("orders", true));
     }},
    {"children",
     [](auto& store, int) {
         pawl::record_query query;
         query.parent = id_of(busy);
         query.limit = 10;
         finish(store.list(query));
         finish(store.count_children(id_of(busy)));
     }},
    {"a topic",
     [](auto& store, int i) {
         finish(store.topic_events(topic, 1000 + static_cast<std::uint64_t>(i) * 100, 10));
         finish(store.topic_end(topic));
     }},
    {"requests",
     [](auto& store, int) {
         std::vector<std::uint64_t> taken;
         const auto requests = finish(store.requests()->take({"orders"}, 5, 1s));
         for (const auto& each : requests)
             taken.push_back(each.id);
         finish(store.requests()->settle({}, taken, 0s));
     }},
    {"leases and roles",
     [](auto& store, int) {
         finish(store.claim({0}, "me", 1h));
         finish(store.claim_role("pawl.engine/me", "me", 1h));
         finish(store.roles("pawl.engine/"));
         finish(store.leases());
     }},
};

void repeat(pawl::record_store& store, const std::vector<operation>& all, int times = repetitions)
{
    for (const auto& each : all)
        for (int i = 0; i < times; ++i)
            each.run(store, i);
}

/// Of rows and of entries of indexes that fit; and of the pages in which all of them were sought.
struct counts {
    long rows = 0;
    long blocks = 0;
};

/// A store, and how its sessions are called.
struct opened {
    std::shared_ptr<pawl::record_store> store;
    std::string name;
};

/// A schema, and an administrator who looks into it.
class stage {
public:
    stage()
    {
        close(open()); // makes the schema
        for (const char* table : tables)
            admin_.ask(
                fmt::format("ALTER TABLE {}.{} SET (autovacuum_enabled = off)", schema_, table));
    }

    opened open()
    {
        const auto name = fmt::format("{}-{}", schema_, ++opened_);
        return {pawl::open_postgres(backend(), server().uri() + "&application_name=" + name,
                                    {.schema = schema_, .shards = 1, .read_connections = 1}),
                name};
    }

    void fill();

    void analyse()
    {
        for (const char* table : tables)
            admin_.ask(fmt::format("ANALYZE {}.{}", schema_, table));
    }

    std::vector<std::string> indexes()
    {
        const auto names = admin_.ask(
            fmt::format("SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM "
                        "pg_indexes WHERE schemaname = '{}' AND tablename = ANY ('{{{}}}')",
                        schema_, fmt::join(tables, ",")));
        std::istringstream words{names};
        return {std::istream_iterator<std::string>{words}, {}};
    }

    /// So that the planner does not know of it.
    void hide(const std::string& index, bool hidden)
    {
        admin_.ask(
            fmt::format("UPDATE pg_index SET indisvalid = {} WHERE indexrelid = '{}.{}'::regclass",
                        !hidden, schema_, index));
    }

    /// What the store's sessions read for that.
    counts cost(opened by, const std::vector<operation>& of, int times = repetitions)
    {
        const auto before = read_so_far();
        repeat(*by.store, of, times);
        close(std::move(by));
        const auto after = read_so_far();
        return {after.rows - before.rows, after.blocks - before.blocks};
    }

private:
    static constexpr const char* tables[] = {"runs",         "due",        "events",  "messages",
                                             "topic_events", "attributes", "requests"};

    /// A session tells what it has read when it ends.
    void close(opened gone)
    {
        gone.store.reset();
        const auto sessions =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = '" + gone.name + "'";
        const auto end = std::chrono::steady_clock::now() + 1min;
        while (admin_.ask(sessions) != "0")
            BOOST_REQUIRE((std::chrono::steady_clock::now() < end));
    }

    counts read_so_far()
    {
        admin_.ask("SELECT pg_stat_force_next_flush()");
        const auto of = fmt::format("WHERE schemaname = '{}' AND relname = ANY ('{{{}}}')", schema_,
                                    fmt::join(tables, ","));
        const auto ask = [&](const char* sums) {
            return std::stol(admin_.ask(fmt::format(fmt::runtime(sums), of)));
        };
        return {ask("SELECT (SELECT sum(seq_tup_read) FROM pg_stat_all_tables {0}) + "
                    "(SELECT sum(idx_tup_read) FROM pg_stat_all_indexes {0})"),
                ask("SELECT (SELECT sum(heap_blks_read + heap_blks_hit) FROM "
                    "pg_statio_all_tables {0}) + "
                    "(SELECT sum(idx_blks_read + idx_blks_hit) FROM pg_statio_all_indexes {0})")};
    }

    const std::string schema_ = fresh_schema();
    session admin_;
    int opened_ = 0;
};

/// A few runs by the store; then thousands of their like, with what belongs to them.
void stage::fill()
{
    auto by = open();
    auto& store = *by.store;
    auto first = store_as(make_run(waiting, "first"));
    first.attributes.values = {{"customer", "c-7"}, {"cents", 10}};
    apply_one(store, first);
    apply_one(store, message_to(waiting, "key"));
    auto old = make_run(finished, "second");
    old.start_key = "key";
    apply_one(store, store_as(old));
    ++old.version;
    old.state = pawl::run_state::completed;
    old.wake_at.reset();
    apply_one(store, store_as(old));
    apply_one(store, store_as(make_run(busy, "third")));
    settle_one(store, 0);
    auto small = make_run(child, "fourth");
    small.parent = pawl::parent_link{id_of(busy), "ended", {}, false};
    apply_one(store, store_as(small));
    apply_one(store, event_to_send("first"));
    close(std::move(by));

    const auto like = [&](const char* table, const char* of, int count, const char* changed) {
        admin_.ask(fmt::format("INSERT INTO {0}.{1} SELECT n.* FROM {0}.{1} r, "
                               "generate_series(2, {2}) g, LATERAL jsonb_populate_record(r, "
                               "jsonb_build_object({3})) n WHERE {4}",
                               schema_, table, count, changed, of));
    };
    const auto run = [](std::uint8_t number) {
        return "'" + to_string(id_of(number)) + "'";
    };
    const auto id_is = [&](const char* column, std::uint8_t number) {
        return fmt::format("r.{} = {}", column, run(number));
    };
    // Each event, before there are more of them.
    like("events", id_is("run", waiting).c_str(), 2500,
         "'run', md5('waits' || g)::uuid, 'position', 1000 + g");
    like("events", id_is("run", finished).c_str(), 2500,
         "'run', md5('done' || g)::uuid, 'position', 5000 + 2 * g + r.version");
    like("messages", id_is("run", waiting).c_str(), 2500, "'run', md5('waits' || g)::uuid");
    like("messages", id_is("run", busy).c_str(), 800, "'sequence', g, 'key', ('key-' || g)::bytea");
    like("runs", id_is("id", waiting).c_str(), 2500,
         "'id', md5('waits' || g)::uuid, 'foreign_id', ('order-' || g)::bytea, "
         "'created_at', 10000 + g, 'wake_at', g * 100000");
    like("runs", id_is("id", finished).c_str(), 2500,
         "'id', md5('done' || g)::uuid, 'foreign_id', "
         "(CASE WHEN g > 1700 THEN 'busy' ELSE 'old-' || g END)::bytea, "
         "'start_key', ('start-' || g)::bytea, 'created_at', g, 'finished_at', 1000 + g, "
         "'last_error', CASE WHEN g % 8 = 0 THEN 'no answer'::bytea END");
    like("runs", id_is("id", child).c_str(), 2500,
         "'id', md5('child' || g)::uuid, 'foreign_id', ('child-' || g)::bytea, 'created_at', "
         "20000 + g, 'wake_at', NULL, 'details', NULL, 'parent', md5('parent' || g)::uuid");
    admin_.ask(fmt::format("INSERT INTO {0}.requests (workflow, at, foreign_id, payload) SELECT "
                           "w.workflow + 1 - g / 2500, 1, ('order-' || g)::bytea, '{{}}' FROM "
                           "generate_series(1, 5000) g, {0}.workflows w WHERE w.name = 'orders'",
                           schema_));
    like("due", id_is("run", waiting).c_str(), 2500,
         "'run', md5('waits' || g)::uuid, 'wake_at', g * 100000");
    like("attributes", id_is("run", waiting).c_str(), 2500,
         "'run', md5('waits' || g)::uuid, 'created_at', 10000 + g");
    like("topic_events", "r.id = 'first'", 2500,
         "'position', 1000 + g, 'id', ('event-' || g)::bytea");
    admin_.ask(fmt::format("UPDATE {0}.shards SET next_sequence = 100000;"
                           "UPDATE {0}.topics SET next_position = 100000;"
                           "UPDATE {0}.runs SET inbox_last = 800 WHERE id = {1}",
                           schema_, run(busy)));
}

void check_cost(stage& at, opened by)
{
    const auto read = at.cost(std::move(by), operations);
    BOOST_TEST_MESSAGE(read.rows << " rows, " << read.blocks << " blocks");
    BOOST_TEST(read.rows < most_read);
    if (read.rows < most_read)
        return;
    for (const auto& each : operations)
        BOOST_TEST_MESSAGE(each.name << ": " << at.cost(at.open(), {each}).rows);
}

} // namespace

BOOST_AUTO_TEST_CASE(nothing_reads_more_when_the_tables_have_grown)
{
    stage at;
    auto early = at.open();
    repeat(*early.store, operations);
    at.fill();
    BOOST_TEST_CONTEXT("planned while the tables were empty")
    check_cost(at, std::move(early));
    BOOST_TEST_CONTEXT("planned without statistics")
    check_cost(at, at.open());
    at.analyse();
    BOOST_TEST_CONTEXT("planned with statistics")
    check_cost(at, at.open());
}

BOOST_AUTO_TEST_CASE(each_index_is_missed_when_it_is_not_there)
{
    stage at;
    at.fill();
    at.analyse();
    const auto sound = at.cost(at.open(), operations, 2);
    const auto indexes = at.indexes();
    BOOST_TEST(indexes.size() == 24u);
    for (const auto& index : indexes) {
        at.hide(index, true);
        const auto read = at.cost(at.open(), operations, 2);
        BOOST_TEST_MESSAGE("without " << index << ": " << read.rows << " rows, not " << sound.rows
                                      << ", " << read.blocks << " blocks, not " << sound.blocks);
        BOOST_TEST((read.rows > 2 * sound.rows || read.blocks > 2 * sound.blocks),
                   index << " is not missed");
        at.hide(index, false);
    }
}

BOOST_AUTO_TEST_SUITE_END()
