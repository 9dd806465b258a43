// Connections that end at each bad moment, servers that go and come back, and locks of others.
#include "pawl/error.hpp"
#include "postgres/proxy.hpp"
#include "postgres/support.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"

#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <libpq-fe.h>

#include <future>
#include <optional>
#include <vector>

BOOST_AUTO_TEST_SUITE(postgres_loss)

namespace {

using namespace std::chrono_literals;
using pawl::apply_status;
using pawl::errc;

/// Ends every session of the stores, as an administrator would.
void terminate_sessions()
{
    ask("SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE "
        "application_name = "
        "'pawl'");
}

std::string through(const proxy& between)
{
    return fmt::format("host=127.0.0.1 port={} user=postgres dbname=postgres gssencmode=disable",
                       between.port());
}

std::string socket_of(const postgres_server& where)
{
    return fmt::format("{}/.s.PGSQL.{}", where.folder(), where.port());
}

} // namespace

BOOST_AUTO_TEST_CASE(sessions_that_ended_while_idle_are_made_anew)
{
    const auto store = open_fresh();
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    for (int i = 0; i < 3; ++i) {
        BOOST_TEST((finish(store->find(run.id)) == run));
        terminate_sessions();
        ++run.version;
        BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
        terminate_sessions();
        BOOST_TEST((finish(store->find(run.id)) == run));
    }
}

BOOST_AUTO_TEST_CASE(a_server_that_crashed_and_came_back_has_all_that_was_accepted)
{
    const auto store = open_fresh();
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    server().restart_at_once();
    BOOST_TEST((finish(store->find(run.id)) == run));
    ++run.version;
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST(finish(store->history(run.id, 0, 10)).size() == 2u);

    server().stop_at_once();
    const auto unavailable = fails_with(errc::store_unavailable, {"postgres"});
    BOOST_CHECK_EXCEPTION(finish(store->find(run.id)), pawl::error, unavailable);
    ++run.version;
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error, unavailable);
    BOOST_CHECK_EXCEPTION(finish(store->claim({0}, "me", 1h)), pawl::error, unavailable);
    server().start();
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST((finish(store->find(run.id)) == run));
}

BOOST_AUTO_TEST_CASE(a_batch_whose_request_or_answer_was_lost_is_not_guessed)
{
    proxy between{socket_of(server())};
    const auto store = pawl::open_postgres(backend(), through(between), {.schema = fresh_schema()});
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    const auto lost = fails_with(errc::store_unavailable, {"storing a batch"});

    const auto stored = run;
    ++run.version;
    between.lose_request("pawl_apply");
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error, lost);
    BOOST_TEST((finish(store->find(run.id)) == stored));
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);

    // Now it is stored, which its sender can only learn by reading.
    ++run.version;
    between.lose_answer("pawl_apply");
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error, lost);
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::conflict);
}

BOOST_AUTO_TEST_CASE(a_read_whose_request_or_answer_was_lost_is_repeated)
{
    proxy between{socket_of(server())};
    const auto store = pawl::open_postgres(backend(), through(between), {.schema = fresh_schema()});
    const auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    BOOST_TEST((finish(store->find(run.id)) == run));
    between.lose_request("pawl_find");
    BOOST_TEST((finish(store->find(run.id)) == run));
    between.lose_answer("pawl_find");
    BOOST_TEST((finish(store->find(run.id)) == run));
}

BOOST_AUTO_TEST_CASE(a_schema_that_was_restored_is_read_again)
{
    const auto schema = fresh_schema();
    const auto make_again = [&](std::uint32_t shards) {
        ask("SET client_min_messages = error; DROP SCHEMA " + schema + " CASCADE");
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = shards});
    };
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 4});
    const auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    BOOST_TEST((finish(store->find(run.id)) == run));
    for (const bool ends_sessions : {false, true}) {
        make_again(4);
        if (ends_sessions)
            terminate_sessions();
        BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
        BOOST_TEST((finish(store->find(run.id)) == run));
        BOOST_TEST(ask("SELECT count(*) FROM " + schema + ".runs_readable") == "1");
    }
    make_again(5);
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error,
                          fails_with(errc::store_corrupt, {schema, "5 shards", "open the store"}));
    ask("UPDATE " + schema + ".meta SET version = 77");
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error,
                          fails_with(errc::store_version_unsupported, {schema, "version 77"}));
}

BOOST_AUTO_TEST_CASE(sessions_that_cannot_connect_take_no_calls_from_others)
{
    const auto schema = fresh_schema();
    ask("CREATE ROLE " + schema + " LOGIN CONNECTION LIMIT 3; CREATE SCHEMA " + schema +
        " AUTHORIZATION " + schema);
    const auto uri = fmt::format("host={} port={} dbname=postgres user={}", server().folder(),
                                 server().port(), schema);
    const auto store =
        pawl::open_postgres(backend(), uri, {.schema = schema, .read_connections = 20});
    const auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    BOOST_TEST((finish(store->find(run.id)) == run));
    boost::asio::io_context context;
    std::vector<std::future<std::optional<pawl::record>>> found;
    for (int i = 0; i < 500; ++i)
        found.push_back(boost::asio::co_spawn(context, store->latest("orders", "order-1"),
                                              boost::asio::use_future));
    context.run();
    for (auto& each : found)
        BOOST_TEST((each.get() == run));
}

BOOST_AUTO_TEST_CASE(what_is_worked_around_is_in_the_log)
{
    proxy between{socket_of(server())};
    const auto schema = fresh_schema();
    const collected_log log;
    between.lose_request("LISTEN");
    const auto store = pawl::open_postgres(
        backend(), through(between), {.schema = schema, .poll_interval = 1h, .log = log.sink()});
    const auto listening = store->subscribe([](std::span<const pawl::shard_change>) {});
    BOOST_TEST(log.wait_for("does not receive notifications"));

    auto run = make_run(1, "order-1");
    ask("CREATE SEQUENCE " + schema + ".times; CREATE FUNCTION " + schema +
        ".mine() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('" + schema +
        ".times') = 1 THEN RAISE EXCEPTION 'a deadlock' USING ERRCODE = '40P01'; END IF; "
        "RETURN NEW; END $$; CREATE TRIGGER mine BEFORE INSERT ON " +
        schema + ".runs FOR EACH ROW EXECUTE FUNCTION " + schema + ".mine()");
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST(log.count("a deadlock") == 1u);

    terminate_sessions();
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST(log.wait_for("lost a connection"));
    between.refuse();
    terminate_sessions();
    BOOST_CHECK_THROW(finish(store->find(run.id)), pawl::error);
    BOOST_TEST(log.wait_for("could not connect"));
}

BOOST_AUTO_TEST_CASE(locks_of_others_are_waited_for_only_so_long)
{
    const auto schema = fresh_schema();
    const auto store = pawl::open_postgres(backend(), server().uri(),
                                           {.schema = schema, .shards = 1, .lock_timeout = 50ms});
    const auto run = make_run(1, "order-1");
    const std::unique_ptr<PGconn, decltype(&PQfinish)> other{PQconnectdb(server().uri().c_str()),
                                                             &PQfinish};
    PQclear(PQexec(other.get(), ("BEGIN; LOCK TABLE " + schema + ".shards").c_str()));
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error,
                          fails_with(errc::store_unavailable, {"lock timeout"}));
    PQclear(PQexec(other.get(), "ROLLBACK"));
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
}

BOOST_AUTO_TEST_SUITE_END()
