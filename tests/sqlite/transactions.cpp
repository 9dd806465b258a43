// What a handler writes to the program's own tables is stored with its recorded effect, or not at
// all: whatever fails, and whenever the process is killed.
#include "pawl/builder.hpp"
#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"
#include "pawl/testing/harness.hpp"
#include "temporary_folder.hpp"
#include "transfers.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/unit_test.hpp>

#include "sqlite/faulty_disk.hpp"
#include "sqlite/support.hpp"

#include <sqlite3.h>

#include <array>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>

#include <unistd.h>

BOOST_AUTO_TEST_SUITE(sqlite_transactions)

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using namespace transfers;

namespace {

/// Throws what SQLite says.
void execute(sqlite3* database, const std::string& sql)
{
    if (sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
        throw std::runtime_error{sqlite3_errmsg(database)};
}

std::int64_t number(sqlite3* database, const std::string& sql)
{
    sqlite3_stmt* query = nullptr;
    if (sqlite3_prepare_v2(database, sql.c_str(), -1, &query, nullptr) != SQLITE_OK)
        throw std::runtime_error{sqlite3_errmsg(database)};
    const auto value = sqlite3_step(query) == SQLITE_ROW ? sqlite3_column_int64(query, 0) : -1;
    sqlite3_finalize(query);
    return value;
}

/// As another program sees the file.
std::int64_t read_from(const std::string& path, const std::string& sql)
{
    sqlite3* database = nullptr;
    BOOST_REQUIRE(sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr) ==
                  SQLITE_OK);
    const auto value = number(database, sql);
    sqlite3_close(database);
    return value;
}

void make_tables(sqlite3* database)
{
    execute(database, "CREATE TABLE IF NOT EXISTS entries (entry INTEGER PRIMARY KEY, "
                      "transfer TEXT NOT NULL, amount INTEGER NOT NULL)");
}

int book(sqlite3* database, const std::string& id, int amount)
{
    execute(database, "INSERT INTO entries (transfer, amount) VALUES ('" + id + "', " +
                          std::to_string(amount) + ")");
    return static_cast<int>(sqlite3_last_insert_rowid(database));
}

std::shared_ptr<pawl::record_store> open(const std::string& path)
{
    return pawl::open_sqlite(path, {.prepare = make_tables});
}

using transfer_harness = pawl::testing::harness<transfer, stage>;

pawl::testing::harness_options on(std::shared_ptr<pawl::record_store> store)
{
    pawl::testing::harness_options options;
    options.engine.store = std::move(store);
    options.real_time_timeout = 10s;
    return options;
}

template <class Step>
pawl::workflow<transfer, stage> with_step(Step step)
{
    pawl::builder<transfer, stage> b{"transfers"};
    b.template step<stage::open>(std::move(step)).retry({.initial = 1s, .max_attempts = 3});
    b.template end<stage::booked>();
    return std::move(b).build();
}

/// A step that books, and counts how often it really does.
auto booking(int* calls)
{
    return [calls](transfer_run& run) -> transfer_step {
        const std::string id = run.foreign_id();
        const int amount = run.object().amount;
        run.object().entry =
            co_await pawl::sqlite_transaction(run, "book", [calls, id, amount](sqlite3* database) {
                ++*calls;
                return book(database, id, amount);
            });
        co_return pawl::to<stage::booked>;
    };
}

std::string last_error(transfer_harness& world, pawl::run_id run)
{
    return world.wait_for(world.store().find(run))->last_error;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_row_and_the_effect_are_stored_once)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    int calls = 0;
    int attempts = 0;
    auto step = [&](transfer_run& run) -> transfer_step {
        const std::string id = run.foreign_id();
        const int entry = co_await pawl::sqlite_transaction(run, "book", [&](sqlite3* database) {
            ++calls;
            return book(database, id, 7);
        });
        if (++attempts < 3)
            throw std::runtime_error{"after the effect"};
        run.object().entry = entry;
        co_return pawl::to<stage::booked>;
    };
    {
        transfer_harness world{with_step(step), on(open(path))};
        const auto run = world.trigger("t-1", {.amount = 7});
        BOOST_TEST(world.await_finished(run).object.entry == 1);
    }
    BOOST_TEST(attempts == 3);
    BOOST_TEST(calls == 1);
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 1);
}

BOOST_AUTO_TEST_CASE(what_a_function_that_throws_has_written_is_undone)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    int calls = 0;
    auto step = [&](transfer_run& run) -> transfer_step {
        run.object().entry = co_await pawl::sqlite_transaction(run, "book", [&](sqlite3* database) {
            const int entry = book(database, "t", 1);
            if (++calls == 1)
                throw std::runtime_error{"after the row"};
            return entry;
        });
        co_return pawl::to<stage::booked>;
    };
    {
        transfer_harness world{with_step(step), on(open(path))};
        const auto run = world.trigger("t-1");
        BOOST_TEST(last_error(world, run) == "after the row");
        BOOST_TEST(world.await_finished(run).object.entry == 1);
    }
    BOOST_TEST(calls == 2);
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 1);
}

BOOST_AUTO_TEST_CASE(a_result_that_cannot_be_recorded_undoes_the_row)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    auto options = on(open(path));
    options.engine.max_object_size = 1000;
    auto step = [](transfer_run& run) -> transfer_step {
        co_await pawl::sqlite_transaction(run, "book", [](sqlite3* database) {
            book(database, "t", 1);
            return std::string(2000, 'x');
        });
        co_return pawl::to<stage::booked>;
    };
    {
        transfer_harness world{with_step(step), std::move(options)};
        const auto run = world.trigger("t-1");
        BOOST_TEST(last_error(world, run).find("1000") != std::string::npos,
                   last_error(world, run));
    }
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 0);
}

BOOST_AUTO_TEST_CASE(a_function_can_do_nothing_but_use_its_own_tables)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const std::array refused{
        "COMMIT",
        "BEGIN",
        "ROLLBACK",
        "ATTACH ':memory:' AS other",
        "PRAGMA synchronous = OFF",
        "PRAGMA user_version = 3",
        "UPDATE runs SET status = 9",
        "DELETE FROM events",
        "INSERT INTO cursors VALUES (0, 'x', 1)",
        "DROP TABLE messages",
        "ALTER TABLE runs ADD COLUMN mine",
        "CREATE INDEX mine ON runs (version)",
        "CREATE TRIGGER mine AFTER INSERT ON events BEGIN SELECT 1; END",
        "CREATE TRIGGER mine AFTER INSERT ON entries BEGIN DELETE FROM runs; END; "
        "INSERT INTO entries (transfer, amount) VALUES ('x', 1)",
        "CREATE TABLE Pawl_mine (a)",
        "CREATE TEMP TABLE runs (a)",
        "CREATE TEMP VIEW events AS SELECT 1",
        "INSERT INTO entries VALUES (1, 'x', 1); INSERT OR ROLLBACK INTO entries VALUES (1, 'x', "
        "1)",
    };
    std::vector<std::string> said;
    auto step = [&](transfer_run& run) -> transfer_step {
        for (const auto* sql : refused) {
            try {
                co_await pawl::sqlite_transaction(
                    run, sql, [sql](sqlite3* database) { execute(database, sql); });
                said.emplace_back("allowed");
            } catch (const std::runtime_error& e) {
                said.emplace_back(e.what());
            }
        }
        co_await pawl::sqlite_transaction(run, "allowed", [](sqlite3* database) {
            execute(database, "SAVEPOINT a; CREATE TABLE own (a); INSERT INTO own SELECT count(*) "
                              "FROM runs; RELEASE a; PRAGMA table_info(own)");
        });
        co_return pawl::to<stage::booked>;
    };
    {
        transfer_harness world{with_step(step), on(open(path))};
        const auto run = world.trigger("t-1");
        world.await_finished(run);
    }
    BOOST_TEST_REQUIRE(said.size() == refused.size());
    for (std::size_t i = 0; i < refused.size(); ++i)
        BOOST_TEST(said[i] != "allowed", refused[i] << ": " << said[i]);
    BOOST_TEST(read_from(path, "SELECT a FROM own") == 1);
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 0);
}

BOOST_AUTO_TEST_CASE(a_statement_that_is_left_unfinished_is_an_error)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    sqlite3_stmt* left = nullptr;
    auto step = [&](transfer_run& run) -> transfer_step {
        co_await pawl::sqlite_transaction(run, "book", [&](sqlite3* database) {
            book(database, "t", 1);
            if (!left) {
                sqlite3_prepare_v2(database, "SELECT 1 UNION SELECT 2", -1, &left, nullptr);
                sqlite3_step(left);
            }
        });
        co_return pawl::to<stage::booked>;
    };
    {
        transfer_harness world{with_step(step), on(open(path))};
        const auto run = world.trigger("t-1");
        BOOST_TEST(last_error(world, run).find("unfinished") != std::string::npos,
                   last_error(world, run));
        world.await_finished(run);
        sqlite3_finalize(left);
    }
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 1);
}

BOOST_AUTO_TEST_CASE(what_follows_a_rollback_of_sqlite_itself_is_not_stored)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    int attempts = 0;
    auto step = [&](transfer_run& run) -> transfer_step {
        const bool fails = ++attempts < 3;
        co_await pawl::sqlite_transaction(run, "book", [fails](sqlite3* database) {
            execute(database, "INSERT INTO entries VALUES (1, 'first', 1)");
            if (!fails)
                return;
            BOOST_CHECK_THROW(
                execute(database, "INSERT OR ROLLBACK INTO entries VALUES (1, 'again', 1)"),
                std::runtime_error);
            BOOST_CHECK_THROW(execute(database, "INSERT INTO entries VALUES (2, 'alone', 1)"),
                              std::runtime_error);
        });
        co_return pawl::to<stage::booked>;
    };
    {
        transfer_harness world{with_step(step), on(open(path))};
        const auto run = world.trigger("t-1");
        BOOST_TEST(last_error(world, run).find("ended the transaction") != std::string::npos,
                   last_error(world, run));
        world.await_finished(run);
    }
    BOOST_TEST(attempts == 3);
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 1);
}

BOOST_AUTO_TEST_CASE(a_transaction_that_its_sibling_cancels_is_not_a_failure_of_the_store)
{
    using namespace asio::experimental::awaitable_operators;
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    int attempts = 0;
    const auto book_one = [](sqlite3* database) {
        book(database, "sibling", 1);
    };
    const auto fail = [](sqlite3*) {
        throw std::runtime_error{"the first one fails"};
    };
    auto step = [&](transfer_run& run) -> transfer_step {
        if (++attempts < 3)
            co_await (pawl::sqlite_transaction(run, "fails", fail) &&
                      pawl::sqlite_transaction(run, "books", book_one));
        else
            co_await pawl::sqlite_transaction(run, "books", book_one);
        co_return pawl::to<stage::booked>;
    };
    {
        transfer_harness world{with_step(step), on(open(path))};
        world.await_finished(world.trigger("t-1"));
    }
    BOOST_TEST(attempts == 3); // each failed one was counted
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 1);
}

BOOST_AUTO_TEST_CASE(other_stores_refuse_it)
{
    int calls = 0;
    transfer_harness world{with_step(booking(&calls)), on(pawl::open_memory())};
    const auto run = world.trigger("t-1");
    BOOST_TEST(last_error(world, run).find("not SQLite") != std::string::npos,
               last_error(world, run));
    BOOST_TEST(calls == 0);
}

BOOST_AUTO_TEST_CASE(effects_and_transactions_beside_each_other)
{
    using namespace asio::experimental::awaitable_operators;
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const auto book_one = [](transfer_run& run, std::string name) -> asio::awaitable<void> {
        co_await pawl::sqlite_transaction(run, name,
                                          [name](sqlite3* database) { book(database, name, 1); });
        co_await run.once("beside " + name, [] {});
    };
    auto step = [&](transfer_run& run) -> transfer_step {
        co_await (book_one(run, "a") && book_one(run, "b") && book_one(run, "a"));
        co_return pawl::to<stage::booked>;
    };
    {
        transfer_harness world{with_step(step), on(open(path))};
        world.await_finished(world.trigger("t-1"));
    }
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 2);
}

namespace {

/// What a transaction of the next version does, and what its store says.
pawl::apply_result book_next(pawl::record_store& store, pawl::record next, std::uint64_t epoch,
                             int* calls)
{
    ++next.version;
    pawl::transition made = store_as(next);
    made.kind = pawl::event_kind::checkpointed;
    made.epoch = epoch;
    made.next.effects.push_back({.name = "book " + std::to_string(next.version)});
    const auto open = store.make_transaction([calls](sqlite3* database) {
        ++*calls;
        book(database, "run", *calls);
    });
    const std::function<void(pawl::transition&)> complete = [](pawl::transition& change) {
        change.next.effects.back().value = "1";
    };
    finish([&]() -> asio::awaitable<int> {
        co_await open->run();
        co_return 0;
    }());
    return finish(open->commit(made, complete));
}

} // namespace

BOOST_AUTO_TEST_CASE(an_engine_that_has_lost_the_run_stores_nothing)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    int calls = 0;
    {
        const auto store = open(path);
        const auto taken = finish(store->claim({0}, "engine", 10s));
        const auto run = make_run(1, "order-1");
        apply_one(*store, store_as(run));
        using enum pawl::apply_status;
        BOOST_TEST((book_next(*store, run, taken.front().epoch + 1, &calls).status == fenced));
        auto old = run;
        old.version = 7;
        BOOST_TEST((book_next(*store, old, taken.front().epoch, &calls).status == conflict));
        auto unknown = run;
        unknown.id.bytes.fill(9);
        BOOST_TEST((book_next(*store, unknown, 0, &calls).status == not_found));
        BOOST_TEST(calls == 0);
        BOOST_TEST((book_next(*store, run, taken.front().epoch, &calls).status == accepted));
        BOOST_TEST(calls == 1);
    }
    BOOST_TEST(read_from(path, "SELECT count(*) FROM entries") == 1);
}

namespace {

constexpr int bookings = 12;

/// Books as often as the disk lets it; how many were reported as done.
int book_on(const std::string& path)
{
    int done = 0;
    try {
        const auto store =
            pawl::open_sqlite(path, {.wal_autocheckpoint_pages = 24, .prepare = make_tables});
        const auto run = make_run(1, "order-1");
        apply_one(*store, store_as(run));
        int calls = 0;
        for (int i = 0; i < bookings; ++i) {
            try {
                const auto stored = finish(store->find(run.id));
                if (stored &&
                    book_next(*store, *stored, 0, &calls).status == pawl::apply_status::accepted)
                    ++done;
            } catch (const pawl::error&) {
            } catch (const std::runtime_error&) { // of the function's own statement
            }
        }
    } catch (const pawl::error&) {
    } catch (const std::runtime_error&) {
    }
    return done;
}

void check_bookings(const std::string& path, int done)
{
    std::size_t effects = 0;
    {
        const auto store = open(path);
        const auto stored = finish(store->find(make_run(1, "").id));
        effects = stored ? stored->effects.size() : 0;
        if (stored)
            BOOST_TEST(stored->version == effects + 1);
    }
    BOOST_TEST(static_cast<std::size_t>(read_from(path, "SELECT count(*) FROM entries")) ==
               effects);
    BOOST_TEST(effects >= static_cast<std::size_t>(done));
}

} // namespace

BOOST_AUTO_TEST_CASE(rows_and_effects_agree_whatever_call_of_the_disk_fails)
{
    std::uint64_t calls = 0;
    {
        const temporary_folder folder;
        faulty_disk disk;
        BOOST_TEST(book_on(folder.file("a.db")) == bookings);
        calls = disk.calls();
    }
    BOOST_TEST_MESSAGE(calls << " calls");
    const std::uint64_t step = PAWL_DEFAULT_FAULT_STEP;
    for (std::uint64_t at = 1; at <= calls; at += step) {
        const temporary_folder folder;
        const auto path = folder.file("a.db");
        BOOST_TEST_CONTEXT("call " << at)
        {
            faulty_disk disk;
            const bool loses_power = at / step % 2 == 0;
            disk.fail({.first = at,
                       .calls = loses_power ? faulty_disk::for_ever : 1,
                       .what = at / step % 3 == 0 ? faulty_disk::fault::full
                                                  : faulty_disk::fault::error});
            const int done = book_on(path);
            if (loses_power)
                disk.lose_power(static_cast<std::uint32_t>(at), at % 3 == 0 ? 50 : 0);
            disk.heal();
            check_bookings(path, done);
        }
    }
}

namespace {

/// Runs an engine on the file until `work` has ended.
template <class Work>
void with_engine(const std::string& path, Work work)
{
    asio::io_context io;
    int calls = 0;
    pawl::engine engine{io.get_executor(), {.store = open(path), .log = {}}};
    auto client = engine.add(with_step(booking(&calls)));
    std::exception_ptr failure;
    const auto all = [&]() -> asio::awaitable<void> {
        co_await engine.async_start(asio::use_awaitable);
        co_await work(client);
        co_await engine.async_stop(0s, asio::use_awaitable);
    };
    asio::co_spawn(io, all, [&](std::exception_ptr e) { failure = e; });
    io.run();
    if (failure)
        std::rethrow_exception(failure);
}

/// Books without end, and reports now and then.
[[noreturn]] void transfer_until_killed(const std::string& path, int pipe) noexcept
{
    with_engine(path, [pipe](transfer_client& client) -> asio::awaitable<void> {
        for (int started = 1;; ++started) {
            const auto id = std::to_string(::getpid()) + "-" + std::to_string(started);
            co_await client.async_trigger(id, transfer{.amount = started});
            if (started % 8 == 0 && ::write(pipe, "x", 1) != 1)
                ::_exit(1);
        }
    });
    ::_exit(2);
}

} // namespace

BOOST_AUTO_TEST_CASE(rows_and_runs_agree_whenever_the_process_is_killed)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    std::mt19937 random{std::random_device{}()};
    for (int round = 0; round < 6; ++round)
        run_and_kill(2 + static_cast<int>(random() % 12),
                     [&](int pipe) { transfer_until_killed(path, pipe); });
    // Each row belongs to a run that says so, or will: its effect is recorded.
    with_engine(path, [](transfer_client& client) -> asio::awaitable<void> {
        const auto page = co_await client.async_list({.limit = 1000}, asio::use_awaitable);
        BOOST_TEST(!page.runs.empty());
        for (const auto& run : page.runs) {
            const auto ended = co_await client.async_await_finished(run.id, asio::use_awaitable);
            BOOST_TEST(ended.object.entry > 0);
        }
    });
    BOOST_TEST(read_from(path, "SELECT count(*) FROM runs") ==
               read_from(path, "SELECT count(*) FROM entries"));
    BOOST_TEST(read_from(path, "SELECT count(DISTINCT transfer) FROM entries") ==
               read_from(path, "SELECT count(*) FROM entries"));
}

BOOST_AUTO_TEST_SUITE_END()
