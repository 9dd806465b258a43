#pragma once

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <variant>

struct sqlite3;

namespace pawl {

struct apply_result;
struct transition;
class postgres_session;

/// What a program does in a transaction of its store's database: for SQLite a function, for
/// PostgreSQL a coroutine. See sqlite_transaction() and postgres_transaction().
using transaction_work =
    std::variant<std::function<void(sqlite3*)>,
                 std::function<boost::asio::awaitable<void>(postgres_session&)>>;

/// One transaction of a store's database, with the statements of a program and one transition of a
/// run. Made by record_store::make_transaction(). The engine calls run() and then commit(), once
/// each. Destroying the object rolls back what was not committed.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class store_transaction {
public:
    virtual ~store_transaction() = default;

    /// Begins the transaction and does the work in it, if that does not block the commits of
    /// others. Else it does nothing, and commit() does the work.
    ///
    /// Errors: the exceptions of the work; store_* codes. Nothing is stored then.
    virtual boost::asio::awaitable<void> run() = 0;

    /// Does the work if run() has not, calls `complete(step)`, which adds the result of the work to
    /// the transition, and stores the transition as record_store::apply() does. Commits if the
    /// transition is accepted, and rolls back if it is rejected: work and transition are both
    /// stored, or neither is. The work need not be done for a transition that is rejected. Work and
    /// `complete` may be called in another thread.
    ///
    /// Completes: when both are durable, or with the rejection. `step` and `complete` must stay
    /// valid until then.
    ///
    /// Errors: the exceptions of the work and of `complete`; store_* codes. After store_unavailable
    /// both may be stored; after any other error nothing is.
    virtual boost::asio::awaitable<apply_result>
    commit(transition& step, const std::function<void(transition&)>& complete) = 0;
};

} // namespace pawl
