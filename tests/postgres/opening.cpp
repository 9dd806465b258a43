// What a schema holds after it was opened again, and what stands in the way of opening one: servers
// that cannot be reached or are too old, users and rights, schemas of others and of newer versions.
#include "pawl/error.hpp"
#include "pawl/request_queue.hpp"
#include "postgres/proxy.hpp"
#include "postgres/support.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"
#include "stores/postgres/target.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

BOOST_AUTO_TEST_SUITE(postgres_opening)

namespace {

using namespace std::chrono_literals;
using pawl::errc;

auto open(const std::string& uri, pawl::postgres_options options = {})
{
    return pawl::open_postgres(backend(), uri, options);
}

/// A role that logs in over TCP with the password "secret".
std::string tcp_uri(const std::string& role, const std::string& password = "secret",
                    const std::string& database = "postgres")
{
    return fmt::format("postgresql://{}:{}@127.0.0.1:{}/{}", role, password, server().port(),
                       database);
}

/// A variable of the environment, as long as it lives.
class variable {
public:
    variable(const char* name, const std::string& value) : name_(name)
    {
        ::setenv(name, value.c_str(), 1);
    }
    ~variable() { ::unsetenv(name_); }

    variable(const variable&) = delete;
    variable& operator=(const variable&) = delete;

private:
    const char* const name_;
};

/// As psql would run it.
std::string schema_script(const std::string& schema, int shards)
{
    std::ifstream file{PAWL_SCHEMA_FILE};
    std::string script;
    for (std::string line; std::getline(file, line);)
        if (!line.starts_with('\\'))
            script += line + '\n';
    for (const auto& [name, value] :
         {std::pair{std::string{":\"schema\""}, schema}, {":shards", std::to_string(shards)}})
        for (std::size_t at = 0; (at = script.find(name, at)) != script.npos; at += value.size())
            script.replace(at, name.size(), value);
    return "BEGIN;" + script + "COMMIT";
}

/// Answers one client as a server of that version would.
void pretend_to_be(boost::asio::ip::tcp::acceptor& acceptor, const std::string& version)
{
    namespace asio = boost::asio;
    auto client = acceptor.accept();
    for (;;) {
        std::array<unsigned char, 8> head{};
        asio::read(client, asio::buffer(head));
        const auto length = std::size_t{head[2]} * 256 + head[3];
        const bool is_startup = head[4] == 0 && head[5] == 3;
        std::vector<char> rest(length - head.size());
        asio::read(client, asio::buffer(rest));
        if (is_startup)
            break;
        asio::write(client, asio::buffer("N", 1)); // no TLS here
    }
    std::string answer{"R\0\0\0\x8\0\0\0\0", 9};
    const std::string status = "server_version" + std::string(1, '\0') + version + '\0';
    answer += std::string{"S\0\0\0", 4} + static_cast<char>(4 + status.size()) + status;
    answer += std::string{"Z\0\0\0\x5I", 6};
    asio::write(client, asio::buffer(answer));
    char end = 0;
    boost::system::error_code ignored;
    asio::read(client, asio::buffer(&end, 1), ignored); // until it goes
}

} // namespace

BOOST_AUTO_TEST_CASE(everything_is_there_after_opening_again)
{
    const auto schema = fresh_schema();
    auto run = make_run(1, "order-1");
    run.effects = {{"charge", "{}", true}};
    run.start_key = "click";
    pawl::delivery paid;
    paid.content = {.run = run.id,
                    .name = "paid",
                    .payload = "{}",
                    .key = "p",
                    .sent_at = pawl::time_point{1s}};
    std::vector<pawl::event> log;
    pawl::lease held;
    {
        const auto store = open(server().uri(), {.schema = schema, .shards = 4});
        apply_one(*store, store_as(run));
        ++run.version;
        apply_one(*store, store_as(run));
        apply_one(*store, paid);
        apply_one(*store, pawl::cursor_move{.name = "hooks", .shard = 2, .position = 7});
        log = finish(store->history(run.id, 0, 10));
        held = finish(store->claim({3}, "first", 1h)).at(0);
        BOOST_REQUIRE(log.size() == 2u);
    }
    run.inbox_last = 1;
    run.inbox_pending = 1;

    // The option counts only when a schema is made.
    const auto store = open(server().uri(), {.schema = schema, .shards = 9});
    BOOST_TEST(store->shards() == 4u);
    BOOST_TEST(store->shared());
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST((finish(store->history(run.id, 0, 10)) == log));
    BOOST_TEST(finish(store->inbox(run.id, 0, 10)).size() == 1u);
    BOOST_TEST(finish(store->cursor("hooks", 2)) == 7u);
    BOOST_TEST(finish(store->count("orders", true)).size() == 1u);
    BOOST_TEST(apply_one(*store, paid).status == pawl::apply_status::duplicate);
    // Others may be at work: leases go on.
    BOOST_TEST(finish(store->claim({3}, "second", 1h)).empty());
    BOOST_TEST(finish(store->leases()).at(3).owner == "first");
    ++run.version;
    BOOST_TEST(apply_one(*store, store_as(run)).sequence == 3u);
}

BOOST_AUTO_TEST_CASE(an_older_schema_is_migrated_with_its_runs)
{
    const auto schema = fresh_schema();
    auto run = make_run(1, "order-1");
    {
        const auto store = open(server().uri(), {.schema = schema});
        apply_one(*store, store_as(run));
    }
    return_to_second_version(schema);
    const auto store = open(server().uri(), {.schema = schema});
    BOOST_TEST((finish(store->find(run.id)) == run));
    auto child = make_run(2, "parcel-1");
    child.parent = pawl::parent_link{run.id, "ended", pawl::parent_cancel::cancel, false};
    apply_one(*store, store_as(child));
    BOOST_TEST((finish(store->find(child.id)) == child));
    BOOST_TEST(finish(store->count_children(run.id)).all() == 1u);
    apply_one(*store, pawl::attribute_update{run.id, 1, {.values = {{"customer", "c-7"}}}});
    const auto found =
        finish(store->list({.workflow = "orders", .attributes = {{"customer", "c-7"}}}));
    BOOST_TEST(found.runs.size() == 1u);
    ask("SELECT " + schema + ".start('orders', 'order-2', '{}')");
    BOOST_TEST(finish(store->requests()->take({"orders"}, 10, 1s)).size() == 1u);
}

BOOST_AUTO_TEST_CASE(many_may_open_a_new_schema_at_once)
{
    const auto schema = fresh_schema();
    server();
    std::vector<std::future<std::shared_ptr<pawl::record_store>>> stores;
    for (int i = 0; i < 8; ++i)
        stores.push_back(std::async(std::launch::async, [&] {
            return open(server().uri(), {.schema = schema, .shards = 3});
        }));
    for (auto& each : stores)
        BOOST_TEST(each.get()->shards() == 3u);
}

BOOST_AUTO_TEST_CASE(schemas_of_one_database_are_apart)
{
    const auto one = open_fresh();
    const auto other = open_fresh();
    apply_one(*one, store_as(make_run(1, "order-1")));
    BOOST_TEST(!finish(other->latest("orders", "order-1")));
    BOOST_TEST((apply_one(*other, store_as(make_run(1, "order-1"))).status ==
                pawl::apply_status::accepted));
}

BOOST_AUTO_TEST_CASE(a_newer_schema_is_refused_and_left_alone)
{
    const auto schema = fresh_schema();
    open(server().uri(), {.schema = schema});
    ask("UPDATE " + schema + ".meta SET version = 77");
    BOOST_CHECK_EXCEPTION(open(server().uri(), {.schema = schema}), pawl::error,
                          fails_with(errc::store_version_unsupported, {schema, "version 77"}));
    BOOST_TEST(ask("SELECT version FROM " + schema + ".meta") == "77");
}

BOOST_AUTO_TEST_CASE(a_schema_of_somebody_else_is_refused_and_left_alone)
{
    const auto schema = fresh_schema();
    ask("CREATE SCHEMA " + schema + "; CREATE TABLE " + schema + ".customers (id integer)");
    BOOST_CHECK_EXCEPTION(open(server().uri(), {.schema = schema}), pawl::error,
                          fails_with(errc::store_corrupt, {schema, "none of Pawl's"}));
    BOOST_TEST(ask("SELECT count(*) FROM pg_tables WHERE schemaname = '" + schema + "'") == "1");
}

BOOST_AUTO_TEST_CASE(an_empty_schema_is_used)
{
    const auto schema = fresh_schema();
    ask("CREATE SCHEMA " + schema);
    const auto store = open(server().uri(), {.schema = schema});
    BOOST_TEST(store->shards() == 64u);
}

BOOST_AUTO_TEST_CASE(making_a_schema_can_be_forbidden)
{
    const auto schema = fresh_schema();
    BOOST_CHECK_EXCEPTION(open(server().uri(), {.schema = schema, .create_schema = false}),
                          pawl::error,
                          fails_with(errc::store_access_denied,
                                     {schema, "missing", "create_schema", "pawl_schema.sql"}));
    open(server().uri(), {.schema = schema});
    open(server().uri(), {.schema = schema, .create_schema = false});
}

BOOST_AUTO_TEST_CASE(a_role_without_rights_gets_the_script)
{
    const auto schema = fresh_schema();
    ask("CREATE ROLE plain LOGIN PASSWORD 'secret'");
    const auto uri = tcp_uri("plain");
    BOOST_CHECK_EXCEPTION(
        open(uri, {.schema = schema}), pawl::error,
        fails_with(errc::store_access_denied, {schema, "permission denied", "pawl_schema.sql"}));

    ask(schema_script(schema, 5));
    BOOST_CHECK_EXCEPTION(open(uri, {.schema = schema}), pawl::error,
                          fails_with(errc::store_access_denied, {schema, "permission denied"}));
    ask(fmt::format("GRANT USAGE ON SCHEMA {0} TO plain; GRANT SELECT ON ALL TABLES IN SCHEMA {0} "
                    "TO plain",
                    schema));
    {
        const auto store = open(uri, {.schema = schema});
        BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(make_run(1, "order-1"))), pawl::error,
                              fails_with(errc::store_access_denied, {"permission denied"}));
    }
    ask(fmt::format("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO plain", schema));
    const auto store = open(uri, {.schema = schema});
    BOOST_TEST(store->shards() == 5u);
    BOOST_TEST((apply_one(*store, store_as(make_run(1, "order-1"))).status ==
                pawl::apply_status::accepted));
    BOOST_TEST(finish(store->claim({0, 1}, "me", 1h)).size() == 2u);
}

BOOST_AUTO_TEST_CASE(words_of_sql_are_good_names_for_schemas)
{
    for (const std::string schema : {"order", "user", "table", "default", "end"}) {
        const auto store = open(server().uri(), {.schema = schema, .shards = 4});
        const auto run = make_run(1, "order-1");
        BOOST_TEST(apply_one(*store, store_as(run)).status == pawl::apply_status::accepted);
        BOOST_TEST((finish(store->find(run.id)) == run));
        BOOST_TEST(finish(store->claim({1}, "me", 1h)).size() == 1u);
    }
}

BOOST_AUTO_TEST_CASE(a_role_needs_no_right_in_the_database_to_fill_its_schema)
{
    const auto schema = fresh_schema();
    ask("CREATE ROLE filler LOGIN PASSWORD 'secret'; CREATE SCHEMA " + schema +
        " AUTHORIZATION filler");
    const auto store = open(tcp_uri("filler"), {.schema = schema});
    BOOST_TEST((apply_one(*store, store_as(make_run(1, "order-1"))).status ==
                pawl::apply_status::accepted));
}

BOOST_AUTO_TEST_CASE(settings_of_the_environment_and_of_services_count)
{
    const auto schema = fresh_schema();
    const auto read_only = fails_with(errc::store_read_only, {"read-only"});
    const std::string options = "-c default_transaction_read_only=on";
    {
        const variable changed{"PGOPTIONS", options};
        BOOST_CHECK_EXCEPTION(open(server().uri(), {.schema = schema}), pawl::error, read_only);
    }
    const std::filesystem::path folder = server().folder();
    std::ofstream{folder / "services"} << "[shop]\nhost=" << server().folder()
                                       << "\nport=" << server().port()
                                       << "\nuser=postgres\ndbname=postgres\nconnect_timeout=9"
                                       << "\noptions=" << options << "\n";
    {
        const variable changed{"PGSERVICEFILE", (folder / "services").string()};
        BOOST_CHECK_EXCEPTION(open("service=shop", {.schema = schema}), pawl::error, read_only);
        open("service=shop options='-c default_transaction_read_only=off'", {.schema = schema});
        BOOST_TEST((pawl::postgres::target{"service=shop", {}}.connect_timeout() == 9s));
        BOOST_CHECK_EXCEPTION(open("service=none"), pawl::error,
                              fails_with(errc::invalid_argument, {"none"}));
    }
    const variable changed{"PGCONNECT_TIMEOUT", "7"};
    BOOST_TEST((pawl::postgres::target{"host=/a", {}}.connect_timeout() == 7s));
    BOOST_TEST((pawl::postgres::target{"connect_timeout=3", {}}.connect_timeout() == 3s));
}

BOOST_AUTO_TEST_CASE(a_server_that_falls_silent_does_not_hold_the_start_up_for_ever)
{
    proxy between{fmt::format("{}/.s.PGSQL.{}", server().folder(), server().port())};
    between.hold_from("pg_namespace");
    const auto uri = fmt::format("host=127.0.0.1 port={} user=postgres gssencmode=disable "
                                 "sslmode=disable dbname=postgres",
                                 between.port());
    BOOST_CHECK_EXCEPTION(open(uri, {.schema = fresh_schema(), .statement_timeout = 10ms}),
                          pawl::error, fails_with(errc::store_unavailable, {"no answer"}));
}

BOOST_AUTO_TEST_CASE(what_a_server_refuses_is_named_for_what_it_is)
{
    const auto schema = fresh_schema();
    const auto store = open(server().uri(), {.schema = schema, .statement_timeout = 500ms});
    auto run = make_run(1, "order-1");
    const auto refused = [&](errc code, std::vector<std::string> words) {
        BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error,
                              fails_with(code, std::move(words)));
    };
    ask("ALTER TABLE " + schema + ".runs ADD CONSTRAINT mine CHECK (status <> 10)");
    refused(errc::invalid_argument, {"mine", "23514"});
    ask("ALTER TABLE " + schema + ".runs DROP CONSTRAINT mine");
    const auto trigger = [&](const std::string& body) {
        ask(fmt::format("CREATE OR REPLACE FUNCTION {0}.mine() RETURNS trigger LANGUAGE plpgsql AS "
                        "$$ BEGIN {1}; RETURN NEW; END $$; "
                        "CREATE OR REPLACE TRIGGER mine BEFORE INSERT ON {0}.runs FOR EACH ROW "
                        "EXECUTE FUNCTION {0}.mine()",
                        schema, body));
    };
    trigger("RAISE EXCEPTION 'not on Sundays'");
    refused(errc::invalid_argument, {"not on Sundays", "P0001"});
    trigger("RAISE EXCEPTION 'moved' USING ERRCODE = 'XX000'");
    refused(errc::store_unavailable, {"moved"});
    trigger("RAISE EXCEPTION 'broken' USING ERRCODE = 'XX001'");
    refused(errc::store_corrupt, {"broken"});
    trigger("RAISE EXCEPTION 'large' USING ERRCODE = '22003'");
    refused(errc::invalid_argument, {"large"});
    trigger("RAISE EXCEPTION 'pooled' USING ERRCODE = '42P05'");
    refused(errc::store_access_denied, {"pooled", "poll_only"});
    trigger("PERFORM pg_sleep(60)");
    refused(errc::store_unavailable, {"statement timeout", "postgres_options::statement_timeout"});
    ask("DROP TRIGGER mine ON " + schema + ".runs");
    BOOST_TEST(apply_one(*store, store_as(run)).status == pawl::apply_status::accepted);

    BOOST_TEST(finish(store->claim({0}, "me", pawl::duration::max())).size() == 1u);
    BOOST_TEST(finish(store->claim_role("leader", "me", pawl::duration::max())).has_value());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_connected_to_is_named)
{
    const auto refused = [](const std::string& uri, errc code, std::vector<std::string> words) {
        BOOST_CHECK_EXCEPTION(open(uri, {.connect_timeout = 2s}), pawl::error,
                              fails_with(code, std::move(words)));
    };
    refused("mysql://localhost", errc::invalid_argument, {"URI", "mysql"});
    refused("postgresql://localhost/?no_such_parameter=1", errc::invalid_argument,
            {"no_such_parameter"});
    refused("hostaddr=300.1.1.1 dbname=orders", errc::store_unavailable, {"300.1.1.1", "orders"});
    refused("host=/nowhere dbname=orders user=joe", errc::store_unavailable,
            {"/nowhere", "orders"});
    refused(server().uri("no_such_database"), errc::store_access_denied, {"no_such_database"});
    ask("CREATE ROLE joe LOGIN PASSWORD 'secret'");
    refused(tcp_uri("joe", "wrong-word"), errc::store_access_denied, {"password", "joe"});
    refused(tcp_uri("nobody_here"), errc::store_access_denied, {"nobody_here"});
    try {
        open(tcp_uri("joe", "wrong-word"));
        BOOST_ERROR("a wrong password is enough");
    } catch (const pawl::error& thrown) {
        BOOST_TEST(std::string{thrown.what()}.find("wrong-word") == std::string::npos);
        BOOST_TEST(!pawl::is_retryable(thrown.code()));
    }
}

BOOST_AUTO_TEST_CASE(an_old_server_is_refused_by_its_version)
{
    boost::asio::io_context context;
    boost::asio::ip::tcp::acceptor acceptor{context, {boost::asio::ip::address_v4::loopback(), 0}};
    std::thread old{[&acceptor] {
        pretend_to_be(acceptor, "12.22");
    }};
    const auto uri = fmt::format("host=127.0.0.1 port={} user=joe dbname=orders sslmode=prefer "
                                 "gssencmode=disable",
                                 acceptor.local_endpoint().port());
    BOOST_CHECK_EXCEPTION(open(uri), pawl::error,
                          fails_with(errc::store_access_denied, {"12.22", "13"}));
    old.join();
}

BOOST_AUTO_TEST_CASE(options_out_of_their_range_are_named)
{
    const auto refused = [](const pawl::postgres_options& options, const std::string& name) {
        BOOST_CHECK_EXCEPTION(
            open("", options), pawl::definition_error, [&](const pawl::definition_error& thrown) {
                return std::string{thrown.what()}.find("postgres_options::" + name) !=
                       std::string::npos;
            });
    };
    for (const auto* schema : {"", "Pawl", "9lives", "pg_mine", "a-b", "a\"b"})
        refused({.schema = schema}, "schema");
    refused({.schema = std::string(49, 'a')}, "schema");
    refused({.shards = 0}, "shards");
    refused({.read_connections = 0}, "read_connections");
    refused({.read_connections = 101}, "read_connections");
    refused({.connect_timeout = 10ms}, "connect_timeout");
    refused({.statement_timeout = 2h}, "statement_timeout");
    refused({.lock_timeout = 0s}, "lock_timeout");
    refused({.idle_in_transaction_timeout = 0s}, "idle_in_transaction_timeout");
    refused({.network_timeout = 0s}, "network_timeout");
    refused({.reconnect_backoff_initial = 0s}, "reconnect_backoff_initial");
    refused({.reconnect_backoff_initial = 2s, .reconnect_backoff_max = 1s},
            "reconnect_backoff_max");
    refused({.notify_batch_interval = -1ms}, "notify_batch_interval");
    refused({.poll_interval = 1ms}, "poll_interval");
}

BOOST_AUTO_TEST_SUITE_END()
