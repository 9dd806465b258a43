#pragma once

#include "pawl/http/message.hpp"
#include "services/books.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace order_processing::services {

/// What the three services have done, in one SQLite file: state, ledger entries and the answers
/// kept by idempotency key, each effect in one transaction.
///
/// A thread of its own does the work. It takes all that waits into one transaction, commits, and
/// then hands out the answers; nothing waits for a time, so a lone request is committed at once.
/// The length of the queue is bounded by the servers' connections: each waits for one answer.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class ledger {
public:
    using work = std::function<pawl::http::response(books&)>;

    /// Opens or creates the file; ":memory:" keeps nothing. Blocks up to `lock_wait` while another
    /// process has the file open.
    /// @throws ledger_error that names the file.
    explicit ledger(std::string file,
                    std::chrono::milliseconds lock_wait = std::chrono::seconds{5});

    /// Finishes the work that waits.
    ~ledger();

    ledger(const ledger&) = delete;
    ledger& operator=(const ledger&) = delete;

    /// Runs `what` on the ledger's thread and completes with what it returned, on the caller's
    /// executor. If `what` throws, nothing of it is kept and its exception comes out here.
    ///
    /// Durability: when it completes, all that `what` did, and all that it saw, is on disk and
    /// survives kill -9 and power loss.
    ///
    /// Cancellation: not honoured.
    /// @throws ledger_error when the transaction could not be written: nothing of it is kept.
    boost::asio::awaitable<pawl::http::response> perform(work what);

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace order_processing::services
