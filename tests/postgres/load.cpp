// The load that a PostgreSQL store reports: its pools of connections, and the requests that wait.
#include "pawl/error.hpp"
#include "pawl/memory.hpp"
#include "pawl/postgres_load.hpp"
#include "postgres/support.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <future>

BOOST_AUTO_TEST_SUITE(postgres_loads)

namespace asio = boost::asio;

namespace {

pawl::postgres_pool pool_of(const pawl::postgres_load& load, std::string_view name)
{
    const auto found = std::ranges::find(load.pools, name, &pawl::postgres_pool::name);
    BOOST_REQUIRE((found != load.pools.end()));
    return *found;
}

} // namespace

BOOST_AUTO_TEST_CASE(busy_connections_and_waiting_calls_are_counted)
{
    asio::thread_pool thread{1}; // begins what is spawned in its order
    const auto schema = fresh_schema();
    const auto store = pawl::open_postgres(thread.get_executor(), server().uri(),
                                           {.schema = schema, .read_connections = 2, .log = {}});
    session other;
    other.ask("BEGIN; LOCK TABLE " + schema + ".topics IN ACCESS EXCLUSIVE MODE");
    std::vector<std::future<std::uint64_t>> reads;
    const auto begin_reads = [&](int count) {
        for (int i = 0; i < count; ++i)
            reads.push_back(asio::co_spawn(thread, store->topic_end("news"), asio::use_future));
    };
    begin_reads(2);
    while (ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
               "query LIKE '%" +
               schema + "%'") != "2")
        ;
    begin_reads(3);
    auto reported = asio::co_spawn(thread, pawl::read_postgres_load(store), asio::use_future);
    other.ask("COMMIT");
    for (auto& read : reads)
        BOOST_TEST(read.get() == 0u);
    const auto load = reported.get();
    const auto readers = pool_of(load, "read");
    BOOST_TEST(readers.connections == 2u);
    BOOST_TEST(readers.busy == 2u);
    BOOST_TEST(readers.waiting == 3u);
    for (const char* name : {"write", "lease", "lock"}) {
        BOOST_TEST(pool_of(load, name).connections == 1u);
        BOOST_TEST(pool_of(load, name).busy == 0u);
    }
    BOOST_TEST(pool_of(load, "transaction").connections == 4u);
    BOOST_TEST(load.requests == 0u);
    BOOST_TEST(load.oldest_request.count() == 0);
}

BOOST_AUTO_TEST_CASE(requests_that_no_engine_takes_are_counted)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .log = {}});
    asio::co_spawn(backend(), store->first_shards({"poems"}), asio::use_future).get();
    session program;
    program.ask("SET search_path = " + schema);
    for (int i = 0; i < 3; ++i)
        program.ask("SELECT start('poems', 'ode-" + std::to_string(i) + "', '{}')");
    program.ask("UPDATE requests SET at = at - 60000000 WHERE foreign_id = 'ode-1'");
    auto load = asio::co_spawn(backend(), pawl::read_postgres_load(store), asio::use_future).get();
    BOOST_TEST(load.requests == 3u);
    BOOST_TEST(!load.has_more_requests);
    BOOST_TEST((load.oldest_request >= std::chrono::seconds{60}));
    program.ask("INSERT INTO requests (workflow, at, foreign_id, payload) SELECT workflow, at, "
                "foreign_id, payload FROM requests, generate_series(1, 5000) LIMIT 10000");
    load = asio::co_spawn(backend(), pawl::read_postgres_load(store), asio::use_future).get();
    BOOST_TEST(load.requests == 10'000u);
    BOOST_TEST(load.has_more_requests);
}

BOOST_AUTO_TEST_CASE(another_store_has_no_such_load)
{
    auto load =
        asio::co_spawn(backend(), pawl::read_postgres_load(pawl::open_memory()), asio::use_future);
    BOOST_CHECK_EXCEPTION(load.get(), pawl::error, [](const pawl::error& failure) {
        return failure.code() == pawl::errc::invalid_argument;
    });
}

BOOST_AUTO_TEST_SUITE_END()
