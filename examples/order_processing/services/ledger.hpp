#pragma once

#include "pawl/http/message.hpp"
#include "services/books.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace order_processing::services {

/// The state of the three services, their ledger entries and their answers by idempotency key, in
/// one SQLite file, with each effect in one transaction.
///
/// A thread does the work. It performs all waiting tasks in one transaction, commits, and
/// then returns the answers. There is no timer, so a single request is committed at once.
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

    /// Finishes waiting work.
    ~ledger();

    ledger(const ledger&) = delete;
    ledger& operator=(const ledger&) = delete;

    /// Runs `task` on the ledger's thread and completes with its result, on the caller's executor.
    /// If `task` throws, its changes are rolled back and the exception is thrown here.
    ///
    /// Durability: when it completes, everything that `task` wrote or read is on disk and survives
    /// kill -9 and power loss.
    ///
    /// Cancellation: none.
    /// @throws ledger_error when the transaction could not be written; it is rolled back.
    boost::asio::awaitable<pawl::http::response> perform(work task);

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace order_processing::services
