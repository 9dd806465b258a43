// What a program asks for by SQL, in a transaction of its own, happens if and only if that
// transaction commits: once, in order, and with a dead letter where it cannot happen.
#include "pawl/builder.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/engine.hpp"
#include "pawl/forwarding_store.hpp"
#include "pawl/postgres.hpp"
#include "pawl/postgres_requests.hpp"
#include "pawl/request_queue.hpp"
#include "postgres/support.hpp"
#include "sqlite/support.hpp"

#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(postgres_requests)

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;

namespace {

struct poem {
    std::string title;
    std::vector<int> lines;
};
BOOST_DESCRIBE_STRUCT(poem, (), (title, lines))

enum class stage { draft = 1, written };
BOOST_DESCRIBE_ENUM(stage, draft, written)

struct line {
    int number = 0;
};
BOOST_DESCRIBE_STRUCT(line, (), (number))

constexpr pawl::callback<line> add_line{"line"};
constexpr pawl::callback<void> finish_poem{"finish"};

/// The poems that were finished, by foreign id.
class shelf {
public:
    void put(const std::string& id, const poem& finished)
    {
        const std::lock_guard lock{mutex_};
        poems_[id].push_back(finished);
        changed_.notify_all();
    }

    /// Waits until that many poems are there; false after a minute.
    bool wait_for(std::size_t count)
    {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, 1min, [&] { return total() >= count; });
    }

    std::size_t count()
    {
        const std::lock_guard lock{mutex_};
        return total();
    }

    std::vector<poem> of(const std::string& id)
    {
        const std::lock_guard lock{mutex_};
        return poems_[id];
    }

private:
    std::size_t total() const
    {
        std::size_t sum = 0;
        for (const auto& [id, finished] : poems_)
            sum += finished.size();
        return sum;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::vector<poem>> poems_;
};

pawl::workflow<poem, stage> make_poems(shelf& finished)
{
    pawl::builder<poem, stage> b{"poems"};
    b.callback<stage::draft>(add_line,
                             [](pawl::run<poem>& run, line added) -> pawl::step<stage::draft> {
                                 run.object().lines.push_back(added.number);
                                 co_return pawl::to<stage::draft>;
                             });
    b.callback<stage::draft>(finish_poem,
                             [&finished](pawl::run<poem>& run) -> pawl::step<stage::written> {
                                 finished.put(run.foreign_id(), run.object());
                                 co_return pawl::to<stage::written>;
                             });
    b.end<stage::written>();
    return std::move(b).build();
}

std::shared_ptr<pawl::record_store> open(const std::string& schema)
{
    return pawl::open_postgres(backend(), server().uri(), {.schema = schema, .log = {}});
}

/// An engine that runs until the end of the object.
struct service {
    service(shelf& finished, std::shared_ptr<pawl::record_store> store, pawl::log_sink log = {})
        : engine{backend(),
                 {.store = std::move(store), .lease_duration = 2s, .log = std::move(log)}},
          client{engine.add(make_poems(finished))}
    {
        engine.async_start(asio::use_future).get();
    }
    ~service() { engine.async_stop(10s, asio::use_future).get(); }

    service(const service&) = delete;
    service& operator=(const service&) = delete;

    pawl::engine engine;
    pawl::client<poem, stage> client;
};

std::string start(const std::string& id)
{
    return fmt::format("SELECT start('poems', '{}', '{{\"title\":\"Ode\",\"lines\":[]}}');", id);
}

std::string finish_of(const std::string& id)
{
    return fmt::format("SELECT send('poems', '{}', 'finish', 'null');", id);
}

/// A session whose statements find the functions of the schema.
struct sql_session : session {
    explicit sql_session(const std::string& schema) { ask("SET search_path = " + schema); }

    /// The text of the error.
    std::string refuse(const std::string& sql)
    {
        try {
            ask(sql);
        } catch (const std::exception& e) {
            return e.what();
        }
        return "accepted";
    }

    void wait_until_requests_are_settled()
    {
        while (ask("SELECT count(*) FROM requests") != "0")
            ;
    }
};

std::vector<pawl::stream_event> dead_letters(pawl::record_store& store)
{
    return finish(store.topic_events(pawl::request_dead_letter_topic("poems"), 0, 100));
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_exists_if_and_only_if_the_transaction_commits)
{
    const auto schema = fresh_schema();
    shelf finished;
    const service running{finished, open(schema)};
    sql_session program{schema};
    for (const std::string end : {"ROLLBACK", "COMMIT"}) {
        program.ask("BEGIN");
        for (int i = 0; i < 500; ++i)
            program.ask(start(end + std::to_string(i)) + finish_of(end + std::to_string(i)));
        program.ask(end);
    }
    BOOST_TEST(finished.wait_for(500));
    program.wait_until_requests_are_settled();
    BOOST_TEST(program.ask("SELECT count(*) FROM runs") == "500");
    BOOST_TEST(finished.count() == 500u);
    BOOST_TEST(finished.of("COMMIT499").size() == 1u);
}

BOOST_AUTO_TEST_CASE(an_open_transaction_delays_no_run)
{
    const auto schema = fresh_schema();
    shelf finished;
    const service running{finished, open(schema)};
    sql_session program{schema};
    program.ask("BEGIN");
    program.ask(start("first") + finish_of("first"));
    sql_session other{schema};
    other.ask("BEGIN;" + start("second") + finish_of("second") + "COMMIT");
    BOOST_TEST(finished.wait_for(1));
    BOOST_TEST(finished.of("second").size() == 1u);
    BOOST_TEST(finished.of("first").empty());
    program.ask("COMMIT");
    BOOST_TEST(finished.wait_for(2));
    BOOST_TEST(finished.of("first").size() == 1u);
}

BOOST_AUTO_TEST_CASE(requests_of_one_foreign_id_keep_their_order)
{
    const auto schema = fresh_schema();
    shelf finished;
    const service one{finished, open(schema)};
    const service other{finished, open(schema)};
    sql_session program{schema};
    constexpr int poems = 30;
    constexpr int lines = 40;
    // The requests of a poem are in several pages, and engines take turns.
    for (int poem = 0; poem < poems; ++poem)
        program.ask(start("poem-" + std::to_string(poem)));
    for (int number = 0; number < lines; ++number) {
        program.ask("BEGIN");
        for (int poem = 0; poem < poems; ++poem)
            program.ask(fmt::format("SELECT send('poems', 'poem-{}', 'line', '{{\"number\":{}}}')",
                                    poem, number));
        program.ask("COMMIT");
    }
    for (int poem = 0; poem < poems; ++poem)
        program.ask(finish_of("poem-" + std::to_string(poem)));
    BOOST_TEST(finished.wait_for(poems));
    std::vector<int> expected;
    for (int number = 0; number < lines; ++number)
        expected.push_back(number);
    for (int poem = 0; poem < poems; ++poem) {
        const auto written = finished.of("poem-" + std::to_string(poem));
        BOOST_REQUIRE(written.size() == 1u);
        BOOST_TEST(written.front().lines == expected, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(what_a_killed_engine_had_taken_happens_once)
{
    const auto schema = fresh_schema();
    const auto store = open(schema);
    sql_session program{schema};
    finish(store->first_shards({"poems"}));
    program.ask(start("ode"));
    program.ask("SELECT send('poems', 'ode', 'line', '{\"number\":1}')");
    // An engine was killed after it had carried the requests out, and before it had removed them.
    {
        shelf finished;
        struct unsettled final : pawl::forwarding_store, pawl::request_queue {
            using forwarding_store::forwarding_store;
            pawl::request_queue* requests() noexcept override { return this; }
            asio::awaitable<std::vector<pawl::stored_request>>
            take(std::vector<std::string> workflows, std::size_t limit,
                 pawl::duration lease) override
            {
                auto taken = co_await inner().requests()->take(std::move(workflows), limit, lease);
                co_return taken;
            }
            asio::awaitable<void> settle(std::vector<std::uint64_t>, std::vector<std::uint64_t>,
                                         pawl::duration) override
            {
                carried_out.set_value();
                throw pawl::error{errc::store_unavailable, "killed"};
                co_return;
            }
            std::shared_ptr<void> subscribe(std::function<void()>) override { return {}; }
            std::shared_ptr<void> subscribe(pawl::change_handler handler) override
            {
                return inner().subscribe(std::move(handler));
            }
            std::promise<void> carried_out;
        };
        const auto killed = std::make_shared<unsettled>(store);
        const service running{finished, killed};
        killed->carried_out.get_future().get();
    }
    BOOST_TEST(program.ask("SELECT count(*) FROM requests") == "2");
    BOOST_TEST(program.ask("SELECT count(*) FROM runs") == "1");
    BOOST_TEST(finish(store->requests()->take({"poems"}, 10, 10s)).empty()); // its lease
    program.ask("UPDATE requests SET taken_until = 1");
    shelf finished;
    const service running{finished, store};
    program.ask(finish_of("ode"));
    BOOST_TEST(finished.wait_for(1));
    program.wait_until_requests_are_settled();
    BOOST_TEST(program.ask("SELECT count(*) FROM runs") == "1");
    BOOST_TEST(finished.of("ode").at(0).lines == std::vector<int>{1},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_key_makes_a_request_unique)
{
    const auto schema = fresh_schema();
    shelf finished;
    const service running{finished, open(schema)};
    sql_session program{schema};
    for (int i = 0; i < 2; ++i) {
        program.ask("SELECT start('poems', 'ode', '{\"title\":\"Ode\",\"lines\":[]}', 'k')");
        program.ask("SELECT send('poems', 'ode', 'line', '{\"number\":1}', 'k')");
    }
    program.ask(finish_of("ode"));
    BOOST_TEST(finished.wait_for(1));
    program.wait_until_requests_are_settled();
    BOOST_TEST(finished.of("ode").at(0).lines.size() == 1u);
    BOOST_TEST(program.ask("SELECT count(*) FROM runs") == "1");
    BOOST_TEST(dead_letters(*open(schema)).empty());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_carried_out_is_a_dead_letter_and_can_be_redriven)
{
    const auto schema = fresh_schema();
    shelf finished;
    collected_log log;
    const auto store = open(schema);
    service running{finished, store, log.sink()};
    sql_session program{schema};
    program.ask(start("ode"));
    program.ask(start("ode"));                                                    // it is under way
    program.ask("SELECT start('poems', 'sonnet', '{\"title\":7,\"lines\":[]}')"); // not a text
    program.ask("SELECT start('poems', 'sonnet', '{\"titel\":\"S\",\"lines\":[]}')"); // misspelt
    program.ask("SELECT send('poems', 'haiku', 'finish')");                           // no such run
    program.ask("SELECT send('poems', 'ode', 'burn')"); // no such callback
    program.wait_until_requests_are_settled();
    const auto letters = dead_letters(*store);
    BOOST_REQUIRE(letters.size() == 5u);
    std::multiset<std::string> kinds;
    std::string errors;
    for (const auto& letter : letters) {
        kinds.insert(letter.type + " " + letter.key);
        errors += letter.headers.at("error") + "\n";
    }
    BOOST_TEST((kinds == std::multiset<std::string>{"start ode", "start sonnet", "start sonnet",
                                                    "send haiku", "send ode"}));
    for (const std::string words :
         {"unfinished", "title: expected a string", "titel", "haiku", "burn"})
        BOOST_TEST(errors.find(words) != std::string::npos, errors << "has no " << words);
    BOOST_TEST(log.count("becomes a dead letter") == 5u);

    program.ask(start("haiku") + finish_of("ode"));
    BOOST_TEST(finished.wait_for(1));
    program.wait_until_requests_are_settled();
    const auto topic = pawl::request_dead_letter_topic("poems");
    const auto redriven = running.engine.async_redrive(topic, asio::use_future).get();
    BOOST_TEST(redriven.succeeded == 2u); // the second ode, and the end of the haiku
    BOOST_TEST(redriven.failed == 3u);
    BOOST_TEST(finished.wait_for(2));
    BOOST_TEST(finished.of("haiku").size() == 1u);
}

BOOST_AUTO_TEST_CASE(invalid_arguments_fail_in_the_transaction_of_the_caller)
{
    const auto schema = fresh_schema();
    finish(open(schema)->first_shards({"poems", "pawl.schedules"}));
    sql_session program{schema};
    const auto says = [&](const std::string& sql, const std::string& words) {
        const auto text = program.refuse("SELECT " + sql);
        BOOST_TEST(text.find(words) != std::string::npos, text << " has no " << words);
    };
    says("start('novels', 'a', '{}')", "there is no workflow \"novels\"");
    says("start(NULL, 'a', '{}')", "there is no workflow");
    says("start('pawl.schedules', 'a', '{}')", "there is no workflow \"pawl.schedules\"");
    says("start('poems', '', '{}')", "the foreign id has 0 bytes; it must have 1 to 1024");
    says("start('poems', NULL, '{}')", "the foreign id has 0 bytes");
    says("start('poems', repeat('x', 1025), '{}')", "the foreign id has 1025 bytes");
    says("start('poems', 'a', NULL)", "the object is NULL");
    says("start('poems', 'a', '{')", "invalid input syntax for type json");
    says("start('poems', 'a', '{}', 'pawl.key')", "must not begin with \"pawl.\"");
    says("start('poems', 'a', '{}', repeat('k', 1025))", "at most 1024 bytes");
    says("start('poems', 'a', '{}', 'k', 0)", "the version is 0");
    says("send('poems', 'a', '')", "the name of the callback has 0 bytes");
    says("send('poems', 'a', NULL)", "the name of the callback has 0 bytes");
    says("send('poems', 'a', 'line', NULL)", "the payload is NULL");
    BOOST_TEST(program.ask("SELECT count(*) FROM requests") == "0");
}

BOOST_AUTO_TEST_CASE(a_role_that_may_only_ask_needs_three_rights)
{
    const auto schema = fresh_schema();
    finish(open(schema)->first_shards({"poems"}));
    sql_session program{schema};
    program.ask("CREATE ROLE asker; SET ROLE asker");
    BOOST_TEST(program.refuse(start("ode")) != "accepted");
    program.ask(
        fmt::format("RESET ROLE; GRANT USAGE ON SCHEMA {0} TO asker; GRANT SELECT ON "
                    "{0}.workflows TO asker; GRANT INSERT, SELECT (request) ON {0}.requests TO "
                    "asker; SET ROLE asker",
                    schema));
    program.ask(start("ode"));
    BOOST_TEST(program.refuse("SELECT count(*) FROM runs") != "accepted");
    BOOST_TEST(program.refuse("SELECT payload FROM requests") != "accepted");
    program.ask("RESET ROLE; DROP OWNED BY asker; DROP ROLE asker");
}

BOOST_AUTO_TEST_CASE(a_program_asks_with_its_own_connection_and_types)
{
    const auto schema = fresh_schema();
    shelf finished;
    const service running{finished, open(schema)};
    const auto poems = running.client.definition();
    const pawl::postgres_request_options options{.schema = schema};
    const std::unique_ptr<PGconn, decltype(&PQfinish)> link{PQconnectdb(server().uri().c_str()),
                                                            &PQfinish};
    const auto execute = [&](const char* sql) {
        PQclear(PQexec(link.get(), sql));
    };
    execute("BEGIN");
    pawl::postgres_start(link.get(), poems, "undone", {"It's", {}}, options);
    execute("ROLLBACK");
    execute("BEGIN");
    pawl::postgres_start(link.get(), poems, "ode", {"It's", {}}, options);
    pawl::postgres_send(link.get(), poems, "ode", add_line, {7}, options);
    ask("SELECT " + schema + ".start('poems', 'end', '{}')"); // another session
    execute("COMMIT");
    ask("SELECT " + schema + ".send('poems', 'ode', 'finish')");
    BOOST_TEST(finished.wait_for(1));
    const auto written = finished.of("ode").at(0);
    BOOST_TEST(written.title == "It's");
    BOOST_TEST(written.lines == std::vector<int>{7}, boost::test_tools::per_element());
    const auto refused = [&](const pawl::postgres_request_options& given,
                             const std::string& words) {
        BOOST_CHECK_EXCEPTION(pawl::postgres_start(link.get(), poems, "x", {}, given), pawl::error,
                              fails_with(errc::invalid_argument, {words}));
    };
    refused({.schema = "a\"b"}, "postgres_request_options::schema");
    refused({.schema = schema, .idempotency_key = "pawl.x"}, "must not begin");
    refused({.schema = schema, .idempotency_key = std::string(3, '\0')}, "NUL");
}

BOOST_AUTO_TEST_SUITE_END()
