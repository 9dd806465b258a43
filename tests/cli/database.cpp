// `pawl` with real ways to Pawl: a SQLite file, and a Unix socket.
#include "pawl/admin/server.hpp"
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/sqlite.hpp"
#include "support.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/describe.hpp>

#include <thread>

BOOST_AUTO_TEST_SUITE(cli_database)

using namespace cli_test;

namespace {

struct parcel {
    std::string city;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (city))

enum class stage { packed = 1, sent };
BOOST_DESCRIBE_ENUM(stage, packed, sent)

pawl::step<stage::sent> send_parcel(pawl::run<parcel>&)
{
    co_return pawl::to<stage::sent>;
}

pawl::workflow<parcel, stage> parcels()
{
    pawl::builder<parcel, stage> b{"parcels"};
    b.step<stage::packed>(send_parcel);
    b.end<stage::sent>();
    return std::move(b).build();
}

asio::awaitable<std::string> send_one(pawl::engine& engine, pawl::client<parcel, stage> client)
{
    co_await engine.async_start();
    const parcel object{"Turin"};
    const auto run = co_await client.async_trigger("p-1", object);
    co_await client.async_await_finished(run);
    co_await engine.async_stop();
    co_return to_string(run);
}

/// A file with one finished run, whose id is returned.
std::string fill(const std::string& file)
{
    asio::io_context io;
    pawl::engine engine(io.get_executor(), {.store = pawl::open_sqlite(file)});
    auto sent = asio::co_spawn(io, send_one(engine, engine.add(parcels())), asio::use_future);
    io.run();
    return sent.get();
}

outcome run_real(const std::string& line)
{
    std::ostringstream out;
    std::ostringstream errors;
    outcome got;
    got.code = pawl::cli::run_program(
        words_of(line), [](const std::string&) { return std::string{}; }, out, errors);
    got.out = out.str();
    got.errors = errors.str();
    return got;
}

asio::awaitable<void> start(pawl::engine& engine, pawl::admin::server& server)
{
    co_await engine.async_start();
    server.start();
}

asio::awaitable<void> stop(pawl::engine& engine, pawl::admin::server& server)
{
    co_await server.async_stop(std::chrono::seconds{1});
    co_await engine.async_stop();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_stopped_file_is_read_without_an_engine)
{
    const temporary_folder folder;
    const auto file = folder.file("parcels.db");
    const auto id = fill(file);
    const auto list = run_real("runs ls -w parcels --status sent -o ids --database " + file);
    BOOST_TEST(list.out == id + "\n");
    BOOST_TEST(list.code == 0, list.errors);
    const auto object = run_real("runs object parcels:p-1 --database " + file);
    BOOST_TEST(object.out == "{\"city\":\"Turin\"}\n");
    BOOST_TEST(run_real("runs get parcels:p-2 --database " + file).code == 4);
}

BOOST_AUTO_TEST_CASE(a_missing_or_open_file_is_told)
{
    const temporary_folder folder;
    const auto file = folder.file("parcels.db");
    const auto missing = run_real("status --database " + file);
    BOOST_TEST(missing.code == 6);
    BOOST_TEST(missing.errors == "pawl: there is no database file '" + file + "'\n");
    fill(file);
    const auto open = pawl::open_sqlite(file);
    const auto locked = run_real("status --database " + file);
    BOOST_TEST(locked.code == 6);
    BOOST_TEST(locked.errors.find("pawl: the database cannot be opened: ") == 0u, locked.errors);
}

BOOST_AUTO_TEST_CASE(a_server_is_reached_by_its_socket)
{
    const temporary_folder folder;
    const auto file = folder.file("parcels.db");
    const auto id = fill(file);
    asio::io_context io;
    pawl::engine engine(io.get_executor(), {.store = pawl::open_sqlite(file)});
    engine.add(parcels());
    pawl::admin::api_options options;
    options.authenticator = pawl::admin::loopback_only();
    options.prefix = "/admin";
    pawl::admin::server server(io.get_executor(), engine.operations(), std::move(options),
                               {.socket_path = folder.file("pawl.sock")});
    auto work = asio::make_work_guard(io);
    std::thread serving([&] { io.run(); });
    asio::co_spawn(io, start(engine, server), asio::use_future).get();
    const auto way = " --prefix /admin --socket " + folder.file("pawl.sock");
    const auto status = run_real("status" + way);
    const auto list = run_real("runs ls -o ids" + way);
    auto stopped = asio::co_spawn(io, stop(engine, server), asio::use_future);
    stopped.wait();
    work.reset();
    serving.join();
    stopped.get();
    BOOST_TEST(status.code == 0, status.errors);
    BOOST_TEST(status.out.find("ready     yes\n") == 0u, status.out);
    BOOST_TEST(list.out == id + "\n");
}

BOOST_AUTO_TEST_SUITE_END()
