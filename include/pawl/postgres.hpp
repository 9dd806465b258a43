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
    /// The schema that holds Pawl's tables. Several may live in one database, each a store of its
    /// own. 1 to 48 characters: lower-case letters, digits and '_', not beginning with a digit.
    std::string schema = "pawl";

    /// Shards of each workflow, taken when the schema is made and kept with it; of an existing one
    /// it is not looked at. 1 to 4096; all workflows together have at most 32,768. Each engine owns
    /// some of them: use a few times as many as there will be engines.
    std::uint32_t shards = 64;

    /// Whether opening makes the schema when it is missing, or brings one of an older Pawl up to
    /// date. If not, and if the role may not, an administrator runs pawl_schema.sql.
    bool create_schema = true;

    /// Connections for reading, beside one that writes, one for leases, one that listens, and one
    /// for changes that wait for a lock of another session; opened when they are needed. 1 to 100.
    std::size_t read_connections = 4;

    /// Connections for postgres_transaction(), apart from those: so many transactions of programs
    /// are open at a time, and others wait. Opened when they are needed. 1 to 100.
    std::size_t transaction_connections = 4;

    /// How long a connection may take to be made, for each address of each host of the URI; then
    /// the next one is tried. 1 s to 10 min. The URI's connect_timeout takes precedence.
    duration connect_timeout = std::chrono::seconds{5};

    /// The most that a statement may take in the server (statement_timeout), 10 ms to 1 h. A server
    /// that has not answered for five seconds longer than this counts as lost.
    duration statement_timeout = std::chrono::seconds{30};

    /// The most that a statement may wait for a lock (lock_timeout), and that a change may wait for
    /// a shard or topic that another session has locked, while other changes go on. 10 ms to 1 h.
    duration lock_timeout = std::chrono::seconds{10};

    /// After how long the server ends a session that has left a transaction open, as one does whose
    /// network has gone (idle_in_transaction_session_timeout). 10 ms to 1 h. Pawl itself leaves
    /// none open: a batch is one statement.
    duration idle_in_transaction_timeout = std::chrono::seconds{10};

    /// How long the network may leave data unacknowledged before a connection counts as lost
    /// (tcp_user_timeout), and after how long silence it is probed (keepalives_idle). 1 s to 1 h.
    /// The URI's own parameters take precedence.
    duration network_timeout = std::chrono::seconds{15};

    /// The first wait before a lost connection is made anew, and the longest: it doubles with each
    /// failure. Each is shortened at random by up to a half, so that engines do not come back all
    /// at once. 1 ms to 10 min.
    duration reconnect_backoff_initial = std::chrono::milliseconds{50};
    duration reconnect_backoff_max = std::chrono::seconds{2};

    /// For how long news of commits is collected before the other processes are told, 0 to 10 s.
    /// One NOTIFY then serves all commits of that time, outside of their transactions.
    duration notify_batch_interval = std::chrono::milliseconds{10};

    /// For transaction poolers, e.g. PgBouncer with pool_mode=transaction: nothing that lasts
    /// longer than a transaction is used. No LISTEN: news of other processes is found by asking. No
    /// prepared statements, and none of the time limits above that are settings of a session: set
    /// those with ALTER ROLE, and default_transaction_isolation if the database's is not read
    /// committed. Without it, opening a store behind such a pooler is store_access_denied; the pool
    /// must be quiet for that to be noticed, else statements fail with store_access_denied later.
    bool poll_only = false;

    /// How often a listening store asks for news, shortened at random by up to a quarter. 10 ms to
    /// 1 h; zero: 250 ms with poll_only; else 5 s, because then it only covers for lost
    /// notifications.
    duration poll_interval{0};

    /// Where the store tells what it works around: connections that are lost or cannot be made,
    /// LISTEN refused, statements sent again, notifications that are not Pawl's. Each kind at most
    /// once a minute, with how often it has happened. May be empty.
    log_sink log = log_to_stderr;
};

/// Opens a database in PostgreSQL 13 or later: the store that several engines share.
///
/// `uri` is a URI or conninfo string of libpq, e.g. "postgresql://user@db.example/orders"; it, the
/// environment (PGHOST, PGPASSWORD, …), ~/.pgpass and service files say how to connect, with which
/// TLS and as whom. Options of the server go in its `options` parameter.
///
/// Of several hosts, and of the addresses of one, the first is used that answers in time and takes
/// writes; the one that served last is tried first. Sessions at other servers are closed then. With
/// target_session_attrs another kind of server is asked for, by default it is read-write.
///
/// Blocks until the schema has been looked at, and made or migrated if it must be (under an
/// advisory lock, so that any number of processes may open at once): for each address at most
/// `connect_timeout`, and for each statement at most five seconds more than `statement_timeout`;
/// for making or migrating the schema, and for waiting for a process that does so, at most an hour.
///
/// The store has no threads: its sockets are waited for on `executor`, whose threads also do the
/// work of libpq. It keeps that executor busy only while a call or a subscribe() handle lives. It
/// must be destroyed before the executor's context, and no call may be in flight then. libpq looks
/// host names up with a blocking call when it connects; give addresses (hostaddr) if the resolver
/// may hang.
///
/// A lost connection is opened again by the next call that needs it, with back-off. Calls that read
/// are then repeated once by themselves. A batch whose answer was lost may be stored or not:
/// apply() throws store_unavailable, and whoever needs to know reads.
///
/// Durability: as the server's synchronous_commit and fsync say, by default on: what was reported
/// as accepted survives kill -9, a crash of the machine and power loss. A replica that takes over
/// has it only with synchronous replication.
///
/// Errors: throws definition_error when an option is out of its range, and pawl::error, naming
/// server and database, never the password: invalid_argument (`uri` cannot be read),
/// store_unavailable (unknown host, nobody listens there, no answer in time), store_access_denied
/// (wrong password, no such database or role, no rights, a server before 13, a missing schema that
/// may not be made, a pooler that needs `poll_only` or refuses `options`),
/// store_version_unsupported, store_corrupt (the schema has other tables than Pawl's),
/// store_read_only (a standby, or default_transaction_read_only is on).
///
/// Calls of the store throw with the server's own text: store_unavailable (also a statement over
/// `statement_timeout` or `lock_timeout`, which the text names), store_read_only, store_full,
/// store_access_denied (no rights; a pooler that needs `poll_only`), invalid_argument (a value that
/// the server does not take, or that a constraint or trigger of yours refuses), too_large,
/// store_corrupt.
///
/// A batch is one transaction, unless it has more than 32 MiB, a trim, or many changes of one key:
/// then it is stored in several, in its order.
std::shared_ptr<record_store> open_postgres(boost::asio::any_io_executor executor, std::string uri,
                                            postgres_options options = {});

namespace detail {

struct postgres_adapter {
    /// The work lives in the frame of the coroutine that waits for it, as `fn` and `given` do.
    template <class Fn, class Given>
    static transaction_work work(Fn& fn, Given& given)
    {
        return [&fn, &given](postgres_session& session) {
            return run(fn, given, session);
        };
    }

private:
    template <class Fn, class Given>
    static boost::asio::awaitable<void> run(Fn& fn, Given& given, postgres_session& session)
    {
        if constexpr (std::is_void_v<typename effect_result<
                          std::invoke_result_t<Fn&, postgres_session&>>::type>) {
            co_await fn(session);
            given.emplace();
        } else {
            auto value = co_await fn(session);
            given.emplace(std::move(value));
        }
    }
};

/// Of a coroutine that postgres_transaction() takes.
template <class Fn>
using postgres_result =
    typename effect_result<std::remove_cvref_t<std::invoke_result_t<Fn&, postgres_session&>>>::type;

} // namespace detail

/// Writes to the program's own tables and records that as an effect, in one transaction: exactly
/// once, without an idempotency key. The tables are in the database of the engine's store, which
/// open_postgres() has opened, in any of its schemas.
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
/// As run::once(): if an effect of this name was recorded in the handler's scope, its result is
/// decoded and returned, and `fn` is not called. Otherwise `fn` is called with a session in which a
/// transaction has begun. When it ends, its result and the run's object are stored in the same
/// transaction, under the same conditions as every change of a run: the engine owns the run, and
/// nothing else has changed it. So what `fn` has written is stored if and only if the effect is.
/// When `fn` throws, when the handler was cancelled or left behind, or when the engine has lost the
/// run, all of it is rolled back.
///
/// `fn` takes a postgres_session& and returns boost::asio::awaitable<T>; T is void or has a codec.
/// It is moved into the coroutine and runs where the handler runs. It holds a session and the locks
/// of its own statements until it ends, so it should do nothing but execute statements: after
/// `idle_in_transaction_timeout` without one the server ends the session. No commit of another run
/// waits for it; Pawl's own rows are locked for the one statement that follows it. At most
/// `transaction_connections` are under way in a store; others wait for a session. So `fn` must not
/// call postgres_transaction() itself: when all sessions are in use, such calls wait for each
/// other.
///
/// The session serves other transactions afterwards: what outlives a transaction there (SET without
/// LOCAL, temporary tables, LISTEN, advisory locks of the session) must not be left behind.
///
/// The transaction's isolation is READ COMMITTED, which `fn` must not change. Savepoints are
/// allowed. Statements that begin or end transactions, and COPY, are errors. Pawl's tables are in
/// the schema `postgres_options::schema`: `fn` must not change them.
///
/// Completes when both are durable, on the handler's executor.
///
/// Durability: as of open_postgres(). A crash before the commit leaves nothing, so that the next
/// attempt calls `fn` again; a crash after it leaves both. If the answer to the commit is lost, the
/// engine reads the run, and finds the effect or not.
///
/// Cancellation: terminal, passed on to what `fn` awaits; a statement that was sent is awaited.
///
/// Errors: those of `fn`, a connection that is lost while it runs among them (store_unavailable),
/// which count as failed attempts as every exception of a handler does; those of run::once();
/// invalid_argument when the engine's store is not PostgreSQL, when a statement of `fn` has failed
/// and `fn` has returned all the same, or when the server refuses the commit, for a deferred
/// constraint of the program's for example.
template <class Object, std::invocable<postgres_session&> Fn>
auto postgres_transaction(run<Object>& run, std::string name, Fn fn)
    -> boost::asio::awaitable<detail::postgres_result<Fn>>
{
    return detail::transactions::perform<detail::postgres_result<Fn>, detail::postgres_adapter>(
        run, std::move(name), std::move(fn));
}

} // namespace pawl
