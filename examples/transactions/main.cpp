// A ledger in the program's own tables. A step moves money between two accounts in the transaction
// that records the step's effect, so that the money moves exactly once, whatever fails.
#include <pawl/builder.hpp>
#include <pawl/engine.hpp>
#include <pawl/sqlite.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <iostream>
#include <memory>
#include <sqlite3.h>
#include <stdexcept>

struct transfer {
    std::string from, to;
    int cents = 0;
    int balance = 0; ///< of `from` afterwards
};
BOOST_DESCRIBE_STRUCT(transfer, (), (from, to, cents, balance))

enum class stage { requested = 1, booked, notified, refused };
BOOST_DESCRIBE_ENUM(stage, requested, booked, notified, refused)
using enum stage;

// Executes a statement with up to two parameters. Returns the first column of its first row, if
// any.
int execute(sqlite3* database, const char* sql, const std::string& text = {}, int number = 0)
{
    sqlite3_stmt* prepared = nullptr;
    if (sqlite3_prepare_v2(database, sql, -1, &prepared, nullptr) != SQLITE_OK)
        throw std::runtime_error(sqlite3_errmsg(database));
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement{prepared,
                                                                          sqlite3_finalize};
    sqlite3_bind_text(prepared, 1, text.c_str(), -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(prepared, 2, number);
    const int code = sqlite3_step(prepared);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        throw std::runtime_error(sqlite3_errmsg(database));
    return code == SQLITE_ROW ? sqlite3_column_int(prepared, 0) : 0;
}

void make_accounts(sqlite3* database)
{
    execute(database, "CREATE TABLE IF NOT EXISTS accounts (owner TEXT PRIMARY KEY, "
                      "cents INTEGER NOT NULL CHECK (cents >= 0))");
    execute(database, "INSERT OR IGNORE INTO accounts VALUES ('ada', 1000), ('grace', 0)");
}

pawl::step<booked, refused> book(pawl::run<transfer>& run)
{
    // The function captures a copy because it runs in the store's writer thread.
    const transfer order = run.object();
    const auto balance = co_await pawl::sqlite_transaction(
        run, "book", [order](sqlite3* database) -> std::optional<int> {
            if (execute(database, "SELECT cents FROM accounts WHERE owner = ?", order.from) <
                order.cents)
                return {};
            execute(database, "UPDATE accounts SET cents = cents + ?2 WHERE owner = ?1", order.to,
                    order.cents);
            return execute(database,
                           "UPDATE accounts SET cents = cents - ?2 WHERE owner = ?1 "
                           "RETURNING cents",
                           order.from, order.cents);
        });
    // From here on the balance is recorded: a further attempt reads it and books nothing.
    if (run.attempt() < 2)
        throw std::runtime_error("the step fails after its transaction");
    run.object().balance = balance.value_or(0);
    if (!balance)
        co_return pawl::to<refused>;
    co_return pawl::to<booked>;
}

pawl::step<notified> notify_customer(pawl::run<transfer>&)
{
    co_return pawl::to<notified>;
}

boost::asio::awaitable<void> demonstrate(pawl::engine& engine,
                                         pawl::client<transfer, stage> transfers)
{
    co_await engine.async_start();
    for (const int cents : {300, 900}) {
        const auto run = co_await transfers.async_trigger(
            "transfer of " + std::to_string(cents), {.from = "ada", .to = "grace", .cents = cents});
        const auto end = co_await transfers.async_await_finished(run);
        std::cout << end.foreign_id
                  << (end.status == notified ? ": booked, ada has " : ": refused, ")
                  << (end.status == notified ? std::to_string(end.object.balance) : "too little")
                  << "\n";
    }
    co_await engine.async_stop();
}

int main()
{
    pawl::builder<transfer, stage> b{"transfers"};
    b.step<requested>(book).retry({.initial = std::chrono::milliseconds{20}});
    b.step<booked>(notify_customer);
    b.end<notified, refused>();

    // In a file, the accounts and the transfers would survive the end of the program.
    const auto store = pawl::open_sqlite(":memory:", {.prepare = make_accounts});
    boost::asio::io_context io; // the engine and its handlers run in io.run()
    pawl::engine engine{io.get_executor(), {.store = store, .log = {}}};
    auto client = engine.add(std::move(b).build()); // before the engine starts
    // use_future: done.get() throws what the coroutine has thrown.
    auto done = boost::asio::co_spawn(io, demonstrate(engine, client), boost::asio::use_future);
    io.run(); // returns when the coroutine has ended and the engine has stopped
    done.get();
}
