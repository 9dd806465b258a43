#pragma once

#include "pawl/detail/transactions.hpp"
#include "pawl/log.hpp"
#include "pawl/postgres_session.hpp"
#include "pawl/record_store.hpp"
#include "pawl/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace pawl {

struct postgres_options {
    /// The schema of Pawl's tables. Each schema of a database is a store of its own. 1 to 48
    /// lower-case letters, digits and '_'; it begins neither with a digit nor with "pg_". Default
    /// "pawl".
    std::string schema = "pawl";

    /// The number of shards of each workflow; used when the schema is created and fixed from then
    /// on. 1 to 4,096; all workflows together have at most 32,768. Default 64. Each engine owns
    /// some of them: use several times as many as there will be engines.
    std::uint32_t shards = 64;

    /// Whether opening creates a missing schema, and migrates one of an older Pawl. Default true.
    /// If false, or if the role lacks the rights, an administrator runs pawl_schema.sql.
    bool create_schema = true;

    /// The most connections for reading. 1 to 100. Default 4. A store has four more: one writes,
    /// one is for leases, one listens, and one is for changes that wait for a lock of another
    /// session. All are opened when they are needed.
    std::size_t read_connections = 4;

    /// The most connections for postgres_transaction(), and so the number of such transactions that
    /// are open at a time; others wait. 1 to 100. Default 4. Opened when they are needed.
    std::size_t transaction_connections = 4;

    /// The longest time to establish a connection to one address of one host; then the next address
    /// is tried. 1 s to 10 min. Default 5 s. The URI's connect_timeout takes precedence.
    duration connect_timeout = std::chrono::seconds{5};

    /// The longest time that a statement may take in the server (statement_timeout). 10 ms to 1 h.
    /// Default 30 s. A server that has not answered five seconds later counts as lost.
    duration statement_timeout = std::chrono::seconds{30};

    /// The longest time that a statement waits for a lock (lock_timeout), and that a change waits
    /// for a shard or topic that another session has locked, while other changes go on. 10 ms to
    /// 1 h. Default 10 s.
    duration lock_timeout = std::chrono::seconds{10};

    /// How long a session may be idle in an open transaction, because its network is gone for
    /// example, until the server ends it (idle_in_transaction_session_timeout). 10 ms to 1 h.
    /// Default 10 s. Only the functions of postgres_transaction() leave a transaction open: a batch
    /// is one statement.
    duration idle_in_transaction_timeout = std::chrono::seconds{10};

    /// How long sent data may stay unacknowledged until a connection counts as lost
    /// (tcp_user_timeout), and after what silence it is probed (keepalives_idle). 1 s to 1 h.
    /// Default 15 s. The URI's own parameters take precedence.
    duration network_timeout = std::chrono::seconds{15};

    /// The wait before a lost connection is opened again: the first one, which doubles with each
    /// failure, and the longest. Each wait is shortened at random by up to a half, so that engines
    /// do not reconnect all at once. 1 ms to 10 min, the second not below the first. Defaults 50 ms
    /// and 2 s.
    duration reconnect_backoff_initial = std::chrono::milliseconds{50};
    duration reconnect_backoff_max = std::chrono::seconds{2};

    /// How long commits are collected before other processes are notified. 0 to 10 s. Default
    /// 10 ms. One NOTIFY, outside the commits' transactions, serves all commits of that time.
    duration notify_batch_interval = std::chrono::milliseconds{10};

    /// For transaction poolers, such as PgBouncer with pool_mode=transaction: the store uses
    /// nothing that outlasts a transaction. Default false.
    ///
    /// Then there is no LISTEN: commits of other processes are found by polling. There are no
    /// prepared statements, and no settings of a session: set the time limits above with ALTER
    /// ROLE, and default_transaction_isolation if it is not read committed in the database.
    ///
    /// Opening a store behind such a pooler without this option fails with store_access_denied. The
    /// pooler is recognized only while its pool is quiet; else statements fail later, with
    /// store_access_denied.
    bool poll_only = false;

    /// How often a store that has subscribers polls for commits of other processes, shortened at
    /// random by up to a quarter. 10 ms to 1 h, or 0. Default 0: 250 ms with `poll_only`; else 5 s,
    /// because then polling only makes up for lost notifications.
    duration poll_interval{0};

    /// Where the store logs problems that it works around: connections that are lost or cannot be
    /// opened, refused LISTEN, repeated statements, notifications that are not Pawl's. Each kind at
    /// most once a minute, with its count. May be empty: no log. Default: standard error.
    log_sink log = log_to_stderr;
};

/// Opens a database in PostgreSQL 13 or later: the store that the engines of several processes
/// share.
///
/// **Connecting.** `uri` is a URI or conninfo string of libpq, such as
/// "postgresql://user@db.example/orders". Together with the environment (PGHOST, PGPASSWORD, …),
/// ~/.pgpass and service files it says how to connect, with which TLS and as whom. Settings of the
/// server go into its parameter `options`. If it names several hosts or addresses, the store uses
/// the first one that answers in time and takes writes, and tries the one that served last first;
/// it closes its sessions at other servers then. The parameter target_session_attrs selects another
/// kind of server; the store's default is read-write.
///
/// **Blocking.** The function blocks until the schema has been checked and, if need be, created or
/// migrated. An advisory lock makes it safe to open in several processes at once. It blocks at most
/// `connect_timeout` for each address and five seconds more than `statement_timeout` for each
/// statement; at most an hour to create or migrate the schema, or to wait for a process that does.
///
/// **Executor.** The store has no threads: it waits for its sockets on `executor`, whose threads
/// also do the work of libpq. It keeps the executor busy only while a call is in progress or a
/// handle of subscribe() exists. Destroy the store before the context of the executor, and while no
/// call is in progress. libpq resolves host names with a blocking call; give addresses (hostaddr)
/// if the resolver may hang.
///
/// **Lost connections.** The next call that needs a lost connection opens it again, with backoff.
/// Calls that read are repeated once. A batch whose answer was lost may be stored or not: apply()
/// throws store_unavailable; read to find out.
///
/// **Batches.** A batch is one transaction, unless it has more than 32 MiB, a trim, or many changes
/// of one key: then it is stored in several transactions, in its order.
///
/// Durability: as the server's synchronous_commit and fsync say, which are on by default: accepted
/// changes survive kill -9, a crash of the machine and power loss. A replica that takes over has
/// them only with synchronous replication.
///
/// Errors: throws definition_error if an option is out of its range, and pawl::error, which names
/// server and database, never the password: invalid_argument — `uri` cannot be parsed;
/// store_unavailable — unknown host, connection refused, no answer in time; store_access_denied —
/// wrong password, unknown database or role, missing rights, a server before 13, a missing schema
/// that may not be created, a pooler that needs `poll_only` or rejects `options`;
/// store_version_unsupported — a newer Pawl wrote the schema; store_corrupt — the schema has other
/// tables than Pawl's; store_read_only — the server is a standby, or default_transaction_read_only
/// is on.
///
/// Errors of the store's functions, with the server's own text: store_unavailable — the connection
/// was lost, or a statement exceeded `statement_timeout` or `lock_timeout`, which the text names;
/// store_read_only; store_full; store_access_denied — missing rights, or a pooler that needs
/// `poll_only`; invalid_argument — a value that the server, or a constraint or trigger of yours,
/// rejects; too_large; store_corrupt.
std::shared_ptr<record_store> open_postgres(boost::asio::any_io_executor executor, std::string uri,
                                            postgres_options options = {});

namespace detail {

struct postgres_adapter {
    /// `fn` and `result` live in the frame of the coroutine that awaits the work.
    template <class Fn, class Result>
    static transaction_work work(Fn& fn, Result& result)
    {
        return [&fn, &result](postgres_session& session) {
            return run(fn, result, session);
        };
    }

private:
    template <class Fn, class Result>
    static boost::asio::awaitable<void> run(Fn& fn, Result& result, postgres_session& session)
    {
        if constexpr (std::is_void_v<typename effect_result<
                          std::invoke_result_t<Fn&, postgres_session&>>::type>) {
            co_await fn(session);
            result.emplace();
        } else {
            auto value = co_await fn(session);
            result.emplace(std::move(value));
        }
    }
};

/// Of a coroutine that postgres_transaction() takes.
template <class Fn>
using postgres_result =
    typename effect_result<std::remove_cvref_t<std::invoke_result_t<Fn&, postgres_session&>>>::type;

} // namespace detail

/// Writes to the program's own tables and records an effect, in one transaction: exactly once,
/// without an idempotency key. The tables are in the database of the engine's store, which
/// open_postgres() opened, in any of its schemas.
///
/// @code
/// const auto entry = co_await pawl::postgres_transaction(
///     run, "book", [&](pawl::postgres_session& session) -> boost::asio::awaitable<std::int64_t> {
///         const auto rows = co_await session.execute(
///             "INSERT INTO entries (account, amount) VALUES ($1, $2) RETURNING entry",
///             {order.account, order.amount});
///         co_return rows.get<std::int64_t>(0);
///     });
/// @endcode
///
/// If the handler's scope has an effect of this name, its result is decoded and returned, and `fn`
/// is not called, as in run::once(). Else `fn` is called with a session in which a transaction has
/// begun. Its result and the run's object are stored in the same transaction, under the conditions
/// of every change of a run: the engine owns the run, and nothing else has changed it. So the
/// writes of `fn` are stored if and only if the effect is. If `fn` throws, if the handler was
/// cancelled or abandoned, or if the engine has lost the run, all of it is rolled back.
///
/// `fn` takes a postgres_session& and returns boost::asio::awaitable<T>; T is void or has a codec.
/// It is moved into the coroutine and runs where the handler runs. It holds a session and the locks
/// of its statements until it ends, so it should only execute statements: after
/// `idle_in_transaction_timeout` without one the server ends the session. No commit of another run
/// waits for it; Pawl's own rows are locked only for the one statement that follows it.
///
/// At most `transaction_connections` of these transactions are open in a store; others wait for a
/// session. `fn` must not call postgres_transaction(): when all sessions are in use, such calls
/// wait for each other.
///
/// Other transactions use the session afterwards: `fn` leaves nothing behind that outlasts a
/// transaction (SET without LOCAL, temporary tables, LISTEN, advisory locks of the session). The
/// isolation level is READ COMMITTED, which `fn` must not change. Savepoints are allowed;
/// statements that begin or end transactions, and COPY, are errors. `fn` must not change Pawl's
/// tables, which are in the schema `postgres_options::schema`.
///
/// Completes: on the handler's executor, when the writes of `fn` and the effect are durable.
///
/// Durability: see open_postgres(). A crash before the commit leaves neither, and the next attempt
/// calls `fn` again; a crash after the commit leaves both. If the answer to the commit is lost, the
/// engine reads the run, and finds the effect or not.
///
/// Errors: the exceptions of `fn`, which count as a failed attempt as every exception of a handler
/// does; store_unavailable among them — the connection was lost while `fn` ran. Those of
/// run::once(). invalid_argument — the engine's store is not PostgreSQL; `fn` returned although one
/// of its statements had failed; or the server rejects the commit, for a deferred constraint of the
/// program for example.
///
/// Cancellation: terminal; it is passed on to what `fn` awaits. A statement that was sent is
/// awaited.
template <class Object, std::invocable<postgres_session&> Fn>
auto postgres_transaction(run<Object>& run, std::string name, Fn fn)
    -> boost::asio::awaitable<detail::postgres_result<Fn>>
{
    return detail::transactions::perform<detail::postgres_result<Fn>, detail::postgres_adapter>(
        run, std::move(name), std::move(fn));
}

} // namespace pawl
