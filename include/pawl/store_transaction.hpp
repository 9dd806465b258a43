#pragma once

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <variant>

struct sqlite3;

namespace pawl {

struct apply_result;
struct transition;
class postgres_session;

/// What a program does in a transaction of its store's database: of SQLite a plain function, of
/// PostgreSQL a coroutine. See sqlite_transaction() and postgres_transaction().
using transaction_work =
    std::variant<std::function<void(sqlite3*)>,
                 std::function<boost::asio::awaitable<void>(postgres_session&)>>;

/// One transaction of a store's database that has a program's statements and one transition of a
/// run. Made by record_store::make_transaction(), used once, by one coroutine.
///
/// Destroying it rolls back what was not committed.
class store_transaction {
public:
    virtual ~store_transaction() = default;

    /// Begins the transaction and does the work in it, if the store can do so without keeping
    /// others from their commits. Else it does nothing, and commit() does the work.
    ///
    /// Errors: those of the work, and store_* codes. Nothing is stored then.
    virtual boost::asio::awaitable<void> run() = 0;

    /// Does the work, if run() has not; calls `complete(made)`, which adds to the transition what
    /// the work has led to, perhaps in another thread; stores the transition as apply() would; and
    /// commits, if it is accepted. Both are stored, or neither.
    ///
    /// Errors: those of the work and of `complete`, and store_* codes. After store_unavailable
    /// nothing is known of the transaction; otherwise nothing is stored.
    virtual boost::asio::awaitable<apply_result>
    commit(transition& made, const std::function<void(transition&)>& complete) = 0;
};

} // namespace pawl
