// Where a store connects to when there are several places, and servers that take no writes.
#include "pawl/error.hpp"
#include "postgres/proxy.hpp"
#include "postgres/support.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"
#include "stores/postgres/target.hpp"

#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

BOOST_AUTO_TEST_SUITE(postgres_hosts)

namespace {

using namespace std::chrono_literals;
using pawl::apply_status;
using pawl::errc;
using pawl::postgres::target;

std::string socket_of(const postgres_server& where)
{
    return fmt::format("{}/.s.PGSQL.{}", where.folder(), where.port());
}

std::string through(const std::string& ports)
{
    std::string hosts = "127.0.0.1";
    for (const char c : ports)
        hosts += c == ',' ? ",127.0.0.1" : "";
    return fmt::format("host={} port={} user=postgres dbname=postgres gssencmode=disable "
                       "sslmode=disable",
                       hosts, ports);
}

/// With one writer and one reader, as long as nothing is asked at the same time.
pawl::postgres_options without_notify()
{
    return {.schema = fresh_schema(), .connect_timeout = 1s, .poll_only = true};
}

std::string hosts_of(const std::string& uri)
{
    std::string all;
    for (const auto& address : target{uri, {}}.addresses())
        all += fmt::format("{}|{}|{} ", address.host, address.ip, address.port);
    return all;
}

void wait_for_setting(const std::string& name, const std::string& value)
{
    ask("SELECT pg_reload_conf()");
    while (ask("SHOW " + name) != value) {
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(lists_of_hosts_are_taken_apart)
{
    BOOST_TEST(hosts_of("host=/a,/b port=1,2") == "/a||1 /b||2 ");
    BOOST_TEST(hosts_of("host=/a,/b port=7") == "/a||7 /b||7 ");
    BOOST_TEST(hosts_of("host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1,2") ==
               "a|10.0.0.1|1 b|10.0.0.2|2 ");
    BOOST_TEST(hosts_of("postgresql://127.0.0.1:1,127.0.0.2:2/x") ==
               "127.0.0.1|127.0.0.1|1 127.0.0.2|127.0.0.2|2 ");
    // libpq refuses these.
    BOOST_TEST(hosts_of("host=/a,/b port=1,2,3") == "/a,/b||1,2,3 ");
}

BOOST_AUTO_TEST_CASE(the_address_of_the_latest_session_is_tried_first)
{
    const target where{"host=/a,/b,/c port=1", {}};
    const auto addresses = where.addresses();
    BOOST_REQUIRE(addresses.size() == 3u);
    BOOST_TEST(!where.is_latest(addresses[0]));
    where.set_latest(addresses[2]);
    BOOST_TEST(where.is_latest(addresses[2]));
    const auto again = where.addresses();
    BOOST_TEST((again == std::vector{addresses[2], addresses[0], addresses[1]}));
}

BOOST_AUTO_TEST_CASE(a_silent_or_refusing_host_is_passed_over)
{
    proxy silent{socket_of(server())};
    silent.hold();
    proxy sound{socket_of(server())};
    const auto uri = through(fmt::format("1,{},{}", silent.port(), sound.port()));
    const auto store =
        pawl::open_postgres(backend(), uri, {.schema = fresh_schema(), .connect_timeout = 1s});
    auto run = make_run(1, "order-1");
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST((finish(store->find(run.id)) == run));
    // Each later session is opened at the host that served.
    BOOST_TEST(silent.connections() == 1);
}

BOOST_AUTO_TEST_CASE(a_host_that_falls_silent_is_left)
{
    proxy first{socket_of(server())};
    proxy second{socket_of(server())};
    const auto uri = through(fmt::format("{},{}", first.port(), second.port()));
    const auto store = pawl::open_postgres(backend(), uri, without_notify());
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST(second.connections() == 0);
    first.cut();
    first.hold();
    BOOST_TEST((finish(store->find(run.id)) == run));
    ++run.version;
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST(second.connections() == 2);
}

BOOST_AUTO_TEST_CASE(no_session_stays_behind_at_a_host_that_others_left)
{
    proxy first{socket_of(server())};
    proxy second{socket_of(server())};
    const auto uri = through(fmt::format("{},{}", first.port(), second.port()));
    const auto store = pawl::open_postgres(backend(), uri, without_notify());
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    BOOST_TEST((finish(store->find(run.id)) == run));
    // The writer loses its session and cannot come back for the moment; the reader's is sound.
    first.lose_request(".apply(");
    ++run.version;
    BOOST_CHECK_THROW(apply_one(*store, store_as(run)), pawl::error);
    first.refuse();
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST(second.connections() == 1);
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST(second.connections() == 2);
}

BOOST_AUTO_TEST_CASE(a_server_that_takes_no_writes_is_passed_over)
{
    const postgres_server standby{{"default_transaction_read_only=on"}};
    const auto uri =
        fmt::format("host={},{} port={},{} user=postgres dbname=postgres", standby.folder(),
                    server().folder(), standby.port(), server().port());
    const auto store = pawl::open_postgres(backend(), uri, {.schema = fresh_schema()});
    const auto run = make_run(1, "order-1");
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_CHECK_EXCEPTION(pawl::open_postgres(backend(), standby.uri()), pawl::error,
                          fails_with(errc::store_read_only, {"read-only"}));
    // One host may come back as a primary.
    BOOST_CHECK_EXCEPTION(
        pawl::open_postgres(backend(), fmt::format("host={},/nowhere port={} user=postgres",
                                                   standby.folder(), standby.port())),
        pawl::error, fails_with(errc::store_unavailable, {"read-only", "/nowhere"}));
}

BOOST_AUTO_TEST_CASE(a_read_only_server_is_opened_only_when_asked_for)
{
    const auto schema = fresh_schema();
    pawl::open_postgres(backend(), server().uri(), {.schema = schema});
    ask("CREATE ROLE " + schema + " LOGIN SUPERUSER; ALTER ROLE " + schema +
        " SET default_transaction_read_only = on");
    const auto uri = fmt::format("host={} port={} dbname=postgres user={}", server().folder(),
                                 server().port(), schema);
    BOOST_CHECK_EXCEPTION(pawl::open_postgres(backend(), uri, {.schema = schema}), pawl::error,
                          fails_with(errc::store_read_only, {"read-only"}));
    const auto store =
        pawl::open_postgres(backend(), uri + " target_session_attrs=any", {.schema = schema});
    BOOST_TEST(finish(store->leases()).size() == 64u);
    const auto run = make_run(1, "order-1");
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error,
                          fails_with(errc::store_read_only, {"read-only transaction"}));
    // The session that was refused is not kept.
    ask("ALTER ROLE " + schema + " RESET default_transaction_read_only");
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
}

BOOST_AUTO_TEST_CASE(a_server_that_becomes_read_only_is_used_again_afterwards)
{
    const auto store = open_fresh();
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    BOOST_TEST((finish(store->find(run.id)) == run));
    const auto stored = run;
    ask("ALTER SYSTEM SET default_transaction_read_only = on");
    wait_for_setting("default_transaction_read_only", "on");
    ++run.version;
    for (int i = 0; i < 2; ++i)
        BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error,
                              fails_with(errc::store_read_only, {"read-only"}));
    BOOST_TEST((finish(store->find(run.id)) == stored));
    {
        session writing;
        writing.ask("SET default_transaction_read_only = off");
        writing.ask("ALTER SYSTEM RESET default_transaction_read_only");
    }
    wait_for_setting("default_transaction_read_only", "off");
    BOOST_TEST(apply_one(*store, store_as(run)).status == apply_status::accepted);
    BOOST_TEST((finish(store->find(run.id)) == run));
}

BOOST_AUTO_TEST_SUITE_END()
