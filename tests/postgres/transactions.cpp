// What a handler writes to the program's own tables in PostgreSQL is stored with its recorded
// effect, or not at all: whatever is lost on the way, and whenever the process is killed.
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/postgres.hpp"
#include "postgres/proxy.hpp"
#include "postgres/support.hpp"
#include "sqlite/support.hpp"
#include "transfers.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <functional>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

BOOST_AUTO_TEST_SUITE(postgres_transactions)

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using namespace transfers;

namespace {

using step_function = std::function<transfer_step(transfer_run&)>;

/// A schema for Pawl, and a table of the program's.
struct place {
    std::string schema = fresh_schema();
    std::string table = "entries_of_" + schema;

    place()
    {
        ask("CREATE TABLE " + table +
            " (entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, transfer text NOT NULL, "
            "amount int NOT NULL CHECK (amount < 1000))");
    }

    std::string insert() const
    {
        return "INSERT INTO " + table + " (transfer, amount) VALUES ($1, $2) RETURNING entry";
    }

    int rows() const { return std::stoi(ask("SELECT count(*) FROM " + table)); }

    int different_rows() const
    {
        return std::stoi(ask("SELECT count(DISTINCT transfer) FROM " + table));
    }
};

asio::awaitable<std::int64_t> book(pawl::postgres_session* session, std::string insert,
                                   std::string id, int amount)
{
    const auto rows = co_await session->execute(insert, {id, amount});
    co_return rows.get<std::int64_t>(0);
}

/// A step that books, and counts how often it does.
step_function booking(const place& where, int* calls)
{
    return [insert = where.insert(), calls](transfer_run& run) -> transfer_step {
        const std::string id = run.foreign_id();
        const int amount = run.object().amount;
        run.object().entry = co_await pawl::postgres_transaction(
            run, "book", [insert, calls, id, amount](pawl::postgres_session& session) {
                ++*calls;
                return book(&session, insert, id, amount);
            });
        co_return pawl::to<stage::booked>;
    };
}

pawl::workflow<transfer, stage> with_step(step_function step)
{
    pawl::builder<transfer, stage> b{"transfers"};
    b.step<stage::open>(std::move(step)).retry({.initial = 10ms, .max_attempts = 3});
    b.end<stage::booked>();
    return std::move(b).build();
}

std::shared_ptr<pawl::record_store>
open(const place& where, const std::string& uri = server().uri(), std::size_t connections = 4)
{
    return pawl::open_postgres(
        backend(), uri,
        {.schema = where.schema, .transaction_connections = connections, .log = {}});
}

/// Runs an engine until `work` has ended.
template <class Work>
void with_engine(const std::shared_ptr<pawl::record_store>& store, step_function step, Work work)
{
    asio::io_context io;
    pawl::engine engine{io.get_executor(), {.store = store, .log = {}}};
    auto client = engine.add(with_step(std::move(step)));
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

/// What a transaction with this work throws; the run goes on.
template <class Work>
std::string failure_of(const place& where, Work work)
{
    std::string why;
    auto step = [&](transfer_run& run) -> transfer_step {
        try {
            co_await pawl::postgres_transaction(run, "book", work);
        } catch (const std::exception& e) {
            why = e.what();
        }
        co_return pawl::to<stage::booked>;
    };
    with_engine(open(where), step, [&](transfer_client& client) -> asio::awaitable<void> {
        const auto run = co_await client.async_trigger("t-1", transfer{}, {}, asio::use_awaitable);
        co_await client.async_await_finished(run, asio::use_awaitable);
    });
    return why;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_row_and_the_effect_are_stored_once)
{
    const place where;
    int calls = 0;
    int attempts = 0;
    std::string plans;
    auto step = [&](transfer_run& run) -> transfer_step {
        const auto entry = co_await pawl::postgres_transaction(
            run, "book", [&](pawl::postgres_session& session) -> asio::awaitable<std::int64_t> {
                ++calls;
                const auto shown = co_await session.execute("SHOW enable_seqscan");
                plans = shown.get<std::string>(0);
                const auto rows = co_await session.execute(where.insert(), {"t", 7});
                BOOST_TEST(rows.size() == 1u);
                BOOST_TEST(rows.affected() == 1u);
                co_return rows.get<std::int64_t>(0);
            });
        if (++attempts < 3)
            throw std::runtime_error{"after the effect"};
        run.object().entry = entry;
        co_return pawl::to<stage::booked>;
    };
    with_engine(open(where), step, [&](transfer_client& client) -> asio::awaitable<void> {
        const auto run = co_await client.async_trigger("t-1", transfer{}, {}, asio::use_awaitable);
        const auto end = co_await client.async_await_finished(run, asio::use_awaitable);
        BOOST_TEST(end.object.entry == 1);
    });
    BOOST_TEST(attempts == 3);
    BOOST_TEST(calls == 1);
    BOOST_TEST(plans == "on"); // the program's statements are planned as everywhere
    BOOST_TEST(where.rows() == 1);
}

BOOST_AUTO_TEST_CASE(what_a_function_that_throws_has_written_is_undone)
{
    const place where;
    std::set<std::string> sessions;
    int calls = 0;
    auto step = [&](transfer_run& run) -> transfer_step {
        co_await pawl::postgres_transaction(
            run, "book", [&](pawl::postgres_session& session) -> asio::awaitable<void> {
                const auto process = co_await session.execute("SELECT pg_backend_pid()");
                sessions.insert(process.get<std::string>(0));
                co_await session.execute(where.insert(), {"t", 1});
                if (++calls < 3)
                    throw std::runtime_error{"after the row"};
            });
        co_return pawl::to<stage::booked>;
    };
    with_engine(open(where), step, [&](transfer_client& client) -> asio::awaitable<void> {
        const auto run = co_await client.async_trigger("t-1", transfer{}, {}, asio::use_awaitable);
        co_await client.async_await_finished(run, asio::use_awaitable);
    });
    BOOST_TEST(calls == 3);
    BOOST_TEST(where.rows() == 1);
    BOOST_TEST(sessions.size() == 1u); // it is rolled back, and not closed
}

BOOST_AUTO_TEST_CASE(errors_of_the_server_reach_the_handler)
{
    const place where;
    const auto insert = where.insert();
    const auto says = [&](auto work, const std::string& words) {
        const auto why = failure_of(where, work);
        BOOST_TEST(why.find(words) != std::string::npos, why);
    };
    says(
        [&](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute(insert, {"t", 1000});
        },
        "violates check constraint");
    says(
        [&](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute(insert, {"t", 1});
            try {
                co_await session.execute("SELECT 1 / 0");
            } catch (const pawl::error&) {
            }
        },
        "has returned without an exception");
    says(
        [&](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute(insert, {"t", 1});
            co_await session.execute("ROLLBACK");
        },
        "must not begin or end transactions: ROLLBACK");
    for (const std::string sql :
         {"COMMIT", " /* a */ commit and chain", "-- a\nROLLBACK AND CHAIN", "BEGIN", "end",
          "abort", "PREPARE TRANSACTION 'a'", "rollback work", "START TRANSACTION"})
        says(
            [&, sql](pawl::postgres_session& session) -> asio::awaitable<void> {
                co_await session.execute(insert, {"t", 1});
                co_await session.execute(sql);
            },
            "must not begin or end");
    for (const std::string& sql :
         {"COPY " + where.table + " TO STDOUT", "COPY " + where.table + " (transfer) FROM STDIN"})
        says(
            [sql](pawl::postgres_session& session) -> asio::awaitable<void> {
                co_await session.execute(sql);
            },
            "COPY is not supported");
    says(
        [](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute("-- nothing");
        },
        "the statement is empty");
    says(
        [&](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute(insert, {"t", 1});
            co_await session.execute("RELEASE SAVEPOINT pawl_transaction");
        },
        "ended the transaction");
    says(
        [&](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute(insert, {"t", 1});
            co_await session.execute("SET TRANSACTION READ ONLY");
        },
        "read-only");
    says(
        [&](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute("SELECT nothing FROM nowhere");
        },
        "does not exist");
    says(
        [&](pawl::postgres_session& session) -> asio::awaitable<void> {
            const auto rows = co_await session.execute("SELECT NULL, 'x'");
            BOOST_TEST(!rows.text(0, 0));
            rows.get<int>(0, 1);
        },
        "row 0, column 1 is not a number");
    BOOST_TEST(where.rows() == 0);
}

BOOST_AUTO_TEST_CASE(a_session_that_ends_while_the_function_runs_fails_the_handler)
{
    const place where;
    const auto insert = where.insert();
    const auto why =
        failure_of(where, [insert](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute(insert, {"t", 1});
            const auto process = co_await session.execute("SELECT pg_backend_pid()");
            ask("SELECT pg_terminate_backend(" + process.get<std::string>(0) + ", 10000)");
        });
    BOOST_TEST(why.find("the session ended") != std::string::npos, why);
    BOOST_TEST(where.rows() == 0);
}

BOOST_AUTO_TEST_CASE(a_constraint_that_is_checked_at_the_commit_fails_the_handler)
{
    const place where;
    ask("ALTER TABLE " + where.table +
        " ADD UNIQUE (transfer) DEFERRABLE INITIALLY DEFERRED; INSERT INTO " + where.table +
        " (transfer, amount) VALUES ('t', 1)");
    const auto insert = where.insert();
    const auto why = failure_of(where, [insert](pawl::postgres_session& session) {
        return book(&session, insert, "t", 1);
    });
    BOOST_TEST(why.find("duplicate key") != std::string::npos, why);
    BOOST_TEST(where.rows() == 1);
}

BOOST_AUTO_TEST_CASE(a_savepoint_lets_a_function_go_on_after_an_error)
{
    const place where;
    auto step = [&](transfer_run& run) -> transfer_step {
        co_await pawl::postgres_transaction(
            run, "book", [&](pawl::postgres_session& session) -> asio::awaitable<void> {
                co_await session.execute("SAVEPOINT before");
                bool failed = false;
                try {
                    co_await session.execute(where.insert(), {"t", 1000});
                } catch (const pawl::error&) {
                    failed = true;
                }
                BOOST_TEST(failed);
                co_await session.execute("ROLLBACK /* a */ TRANSACTION\nTO before");
                co_await session.execute("PREPARE own AS SELECT 'TRANSACTION'");
                co_await session.execute("DEALLOCATE own");
                co_await session.execute(where.insert(), {"t", 1});
            });
        co_return pawl::to<stage::booked>;
    };
    with_engine(open(where), step, [&](transfer_client& client) -> asio::awaitable<void> {
        const auto run = co_await client.async_trigger("t-1", transfer{}, {}, asio::use_awaitable);
        co_await client.async_await_finished(run, asio::use_awaitable);
    });
    BOOST_TEST(where.rows() == 1);
}

namespace {

/// A transaction of the second run loses a request with this text, or the answer to it.
void lose(const std::string& text, bool loses_answer)
{
    const place where;
    proxy between{fmt::format("{}/.s.PGSQL.{}", server().folder(), server().port())};
    const auto store = open(where, fmt::format("host=127.0.0.1 port={} user=postgres "
                                               "dbname=postgres gssencmode=disable",
                                               between.port()));
    bool is_lost = false;
    const auto lose_at = [&](const char* moment, const std::string& id) {
        const bool is_first = text == moment && id == "second" && !is_lost;
        if (!is_first)
            return;
        is_lost = true;
        if (loses_answer)
            between.lose_answer(text);
        else
            between.lose_request(text);
    };
    auto step = [&](transfer_run& run) -> transfer_step {
        const std::string id = run.foreign_id();
        lose_at("BEGIN", id);
        run.object().entry = co_await pawl::postgres_transaction(
            run, "book", [&](pawl::postgres_session& session) -> asio::awaitable<std::int64_t> {
                lose_at("INSERT INTO entries", id);
                const auto entry = co_await book(&session, where.insert(), id, 1);
                lose_at("pawl_apply", id);
                lose_at("COMMIT", id);
                co_return entry;
            });
        co_return pawl::to<stage::booked>;
    };
    with_engine(store, step, [](transfer_client& client) -> asio::awaitable<void> {
        for (const char* id : {"first", "second"}) {
            const auto run = co_await client.async_trigger(id, transfer{}, {}, asio::use_awaitable);
            const auto end = co_await client.async_await_finished(run, asio::use_awaitable);
            BOOST_TEST(end.object.entry > 0);
        }
    });
    BOOST_TEST(is_lost);
    BOOST_TEST(where.rows() == 2);
    BOOST_TEST(where.different_rows() == 2);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_lost_request_or_answer_leaves_both_or_neither)
{
    for (const std::string text : {"BEGIN", "INSERT INTO entries", "pawl_apply", "COMMIT"})
        for (const bool loses_answer : {false, true})
            BOOST_TEST_CONTEXT(text << ", answer " << loses_answer)
    lose(text, loses_answer);
}

namespace {

/// What a transaction of the next version does, and what its store says.
pawl::apply_result book_next(pawl::record_store& store, const place& where, pawl::record next,
                             std::uint64_t epoch)
{
    ++next.version;
    pawl::transition made = store_as(next);
    made.kind = pawl::event_kind::checkpointed;
    made.epoch = epoch;
    made.next.effects.push_back({.name = "book"});
    const auto open = store.make_transaction(
        [insert = where.insert()](pawl::postgres_session& session) -> asio::awaitable<void> {
            co_await session.execute(insert, {"run", 1});
        });
    const std::function<void(pawl::transition&)> complete = [](pawl::transition& change) {
        change.next.effects.back().value = "1";
    };
    const auto all = [&]() -> asio::awaitable<pawl::apply_result> {
        co_await open->run();
        auto decided = co_await open->commit(made, complete);
        co_return decided;
    };
    return finish(all());
}

} // namespace

BOOST_AUTO_TEST_CASE(an_engine_that_has_lost_the_run_stores_nothing)
{
    const place where;
    const auto store = open(where);
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    const auto shard = finish(store->first_shards({"orders"})).front() +
                       pawl::shard_of("order-1", store->shards());
    const auto taken = finish(store->claim({shard}, "engine", 1h));
    const auto epoch = taken.front().epoch;
    using enum pawl::apply_status;
    BOOST_TEST((book_next(*store, where, run, epoch + 1).status == fenced));
    auto old = run;
    old.version = 7;
    BOOST_TEST((book_next(*store, where, old, epoch).status == conflict));
    BOOST_TEST(where.rows() == 0);
    BOOST_TEST((book_next(*store, where, run, epoch).status == accepted));
    BOOST_TEST(where.rows() == 1);
    BOOST_TEST(finish(store->find(run.id))->effects.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_transaction_that_stays_open_delays_no_other_run)
{
    const place where;
    const auto insert = where.insert();
    using signal = asio::experimental::concurrent_channel<void(pawl::error_code)>;
    signal begun{backend(), 1};
    signal gate{backend(), 1};
    auto step = [&](transfer_run& run) -> transfer_step {
        if (run.foreign_id() == "slow")
            co_await pawl::postgres_transaction(
                run, "book", [&](pawl::postgres_session& session) -> asio::awaitable<void> {
                    co_await session.execute(insert, {"slow", 1});
                    co_await begun.async_send(pawl::error_code{}, asio::use_awaitable);
                    co_await gate.async_receive(asio::use_awaitable);
                });
        co_return pawl::to<stage::booked>;
    };
    with_engine(open(where), step, [&](transfer_client& client) -> asio::awaitable<void> {
        const auto slow =
            co_await client.async_trigger("slow", transfer{}, {}, asio::use_awaitable);
        co_await begun.async_receive(asio::use_awaitable);
        // These are in all shards, that of the slow one too.
        for (int i = 0; i < 200; ++i) {
            const auto run = co_await client.async_trigger("t-" + std::to_string(i), transfer{}, {},
                                                           asio::use_awaitable);
            if (i % 20 == 19)
                co_await client.async_await_finished(run, asio::use_awaitable);
        }
        BOOST_TEST(where.rows() == 0);
        co_await gate.async_send(pawl::error_code{}, asio::use_awaitable);
        co_await client.async_await_finished(slow, asio::use_awaitable);
    });
    BOOST_TEST(where.rows() == 1);
}

BOOST_AUTO_TEST_CASE(a_run_that_is_cancelled_meanwhile_leaves_nothing)
{
    const place where;
    const auto insert = where.insert();
    using signal = asio::experimental::concurrent_channel<void(pawl::error_code)>;
    signal begun{backend(), 1};
    signal never{backend(), 1};
    auto step = [&](transfer_run& run) -> transfer_step {
        co_await pawl::postgres_transaction(
            run, "book", [&](pawl::postgres_session& session) -> asio::awaitable<void> {
                co_await session.execute(insert, {run.foreign_id(), 1});
                if (run.foreign_id() != "cancelled")
                    co_return;
                co_await begun.async_send(pawl::error_code{}, asio::use_awaitable);
                co_await never.async_receive(asio::use_awaitable);
            });
        co_return pawl::to<stage::booked>;
    };
    with_engine(open(where, server().uri(), 1), step,
                [&](transfer_client& client) -> asio::awaitable<void> {
                    const auto run = co_await client.async_trigger("cancelled", transfer{}, {},
                                                                   asio::use_awaitable);
                    co_await begun.async_receive(asio::use_awaitable);
                    co_await client.async_cancel(run, {"test"}, asio::use_awaitable);
                    co_await client.async_await_finished(run, asio::use_awaitable);
                    // The only session is free again.
                    const auto next =
                        co_await client.async_trigger("next", transfer{}, {}, asio::use_awaitable);
                    co_await client.async_await_finished(next, asio::use_awaitable);
                });
    BOOST_TEST(where.rows() == 1);
}

BOOST_AUTO_TEST_CASE(a_transaction_that_its_sibling_cancels_is_not_a_failure_of_the_store)
{
    using namespace asio::experimental::awaitable_operators;
    const place where;
    const auto insert = where.insert();
    int attempts = 0;
    const auto fail = [](pawl::postgres_session& session) -> asio::awaitable<void> {
        co_await session.execute("SELECT 1 / 0");
    };
    const auto book_one = [insert](pawl::postgres_session& session) -> asio::awaitable<void> {
        co_await session.execute(insert, {"sibling", 1});
    };
    auto step = [&](transfer_run& run) -> transfer_step {
        if (++attempts < 3)
            co_await (pawl::postgres_transaction(run, "fails", fail) &&
                      pawl::postgres_transaction(run, "books", book_one));
        else
            co_await pawl::postgres_transaction(run, "books", book_one);
        co_return pawl::to<stage::booked>;
    };
    // With one session, the sibling still waits for it when it is cancelled.
    with_engine(open(where, server().uri(), 1), step,
                [](transfer_client& client) -> asio::awaitable<void> {
                    const auto run =
                        co_await client.async_trigger("t-1", transfer{}, {}, asio::use_awaitable);
                    co_await client.async_await_finished(run, asio::use_awaitable);
                });
    BOOST_TEST(attempts == 3); // each failed one was counted
    BOOST_TEST(where.rows() == 1);
}

BOOST_AUTO_TEST_CASE(more_transactions_than_sessions_wait_their_turn)
{
    const place where;
    int calls = 0;
    constexpr int many = 40;
    with_engine(open(where, server().uri(), 2), booking(where, &calls),
                [&](transfer_client& client) -> asio::awaitable<void> {
                    std::vector<pawl::run_id> runs;
                    for (int i = 0; i < many; ++i)
                        runs.push_back(co_await client.async_trigger(
                            "t-" + std::to_string(i), transfer{}, {}, asio::use_awaitable));
                    for (const auto run : runs)
                        co_await client.async_await_finished(run, asio::use_awaitable);
                });
    BOOST_TEST(calls == many);
    BOOST_TEST(where.rows() == many);
    const auto sessions = std::stoi(ask("SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                                        "'ROLLBACK' AND application_name = 'pawl'"));
    BOOST_TEST(sessions == 0); // nothing had to be undone
}

namespace {

/// Books without end, and reports now and then. In a process of its own, with threads of its own.
[[noreturn]] void transfer_until_killed(const place& where, const std::string& uri,
                                        int pipe) noexcept
{
    asio::thread_pool threads{1};
    const auto store =
        pawl::open_postgres(threads.get_executor(), uri, {.schema = where.schema, .log = {}});
    int calls = 0;
    with_engine(
        store, booking(where, &calls), [pipe](transfer_client& client) -> asio::awaitable<void> {
            for (int started = 1;; ++started) {
                const auto id = std::to_string(::getpid()) + "-" + std::to_string(started);
                co_await client.async_trigger(id, transfer{.amount = 1}, {}, asio::use_awaitable);
                if (started % 8 == 0 && ::write(pipe, "x", 1) != 1)
                    ::_exit(1);
            }
        });
    ::_exit(2);
}

} // namespace

#if defined(__SANITIZE_THREAD__)
constexpr bool is_thread_sanitized = true;
#elif defined(__has_feature)
constexpr bool is_thread_sanitized = __has_feature(thread_sanitizer);
#else
constexpr bool is_thread_sanitized = false;
#endif

BOOST_AUTO_TEST_CASE(rows_and_runs_agree_whenever_the_process_is_killed)
{
    if (is_thread_sanitized)
        return; // it lets no child of a process with threads begin threads
    const place where;
    std::mt19937 random{std::random_device{}()};
    for (int round = 0; round < 5; ++round) {
        run_and_kill(2 + static_cast<int>(random() % 10), [&, uri = server().uri()](int pipe) {
            transfer_until_killed(where, uri, pipe);
        });
        // Nobody waits for the lease of the dead.
        ask("UPDATE " + where.schema + ".leases SET lease_until = 0 WHERE lease_until > 0");
    }
    int calls = 0;
    with_engine(
        open(where), booking(where, &calls), [](transfer_client& client) -> asio::awaitable<void> {
            const auto page = co_await client.async_list({.limit = 1000}, asio::use_awaitable);
            BOOST_TEST(!page.runs.empty());
            for (const auto& run : page.runs) {
                const auto end = co_await client.async_await_finished(run.id, asio::use_awaitable);
                BOOST_TEST(end.object.entry > 0);
            }
        });
    const auto runs = std::stoi(ask("SELECT count(*) FROM " + where.schema + ".runs"));
    BOOST_TEST(where.rows() == runs);
    BOOST_TEST(where.different_rows() == runs);
}

BOOST_AUTO_TEST_SUITE_END()
