#pragma once

#include "pawl/postgres_session.hpp"
#include "stores/postgres/connection.hpp"
#include "stores/postgres/lost_commit_detector.hpp"
#include "stores/postgres/schema_memory.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pawl::postgres {

/// A session with an open transaction of the application, used by one coroutine at a time on any
/// executor. It never reconnects: a transaction ends with its session.
class transaction_session {
public:
    transaction_session(boost::asio::any_io_executor strand, std::shared_ptr<connection> link,
                        connection::clock::duration answer_limit);

    /// Executes a statement of Pawl.
    boost::asio::awaitable<result> execute(request statement);

    /// Executes a statement of the application; values are texts.
    boost::asio::awaitable<result_pointer> execute(std::string sql,
                                                   std::vector<postgres_value> parameters);

    boost::asio::awaitable<void> begin();
    boost::asio::awaitable<void> roll_back();

    /// Throws, without committing, when the application has ended the transaction of begin().
    boost::asio::awaitable<void> commit();

    /// Throws when the session has ended, or a statement of the application has failed.
    boost::asio::awaitable<void> check();

    /// The status between statements, such as PQTRANS_INTRANS.
    PGTransactionStatusType status() const noexcept;

private:
    friend class transaction_sessions;

    boost::asio::awaitable<void> run(const char* sql);

    const boost::asio::any_io_executor strand_;
    const std::shared_ptr<connection> link_;
    const connection::clock::duration answer_limit_;
};

/// Sessions for transactions of the application. They may be slow, so they have sessions of their
/// own. Its coroutines keep it alive; it must be held by a shared_ptr.
class transaction_sessions : public std::enable_shared_from_this<transaction_sessions> {
public:
    struct settings {
        std::shared_ptr<const target> server;
        std::shared_ptr<warning_log> warnings;
        std::shared_ptr<schema_memory> schema;
        std::shared_ptr<lost_commit_detector> detector;
        std::size_t max_sessions = 1;
        bool prepares = true;
        connection::clock::duration answer_limit{};
    };

    transaction_sessions(boost::asio::any_io_executor executor, settings options);

    /// Its destruction returns the session and rolls back an open transaction.
    using lease = std::shared_ptr<transaction_session>;

    /// Begins a transaction in a free session; waits for one for at most answer_limit. Throws
    /// error.
    boost::asio::awaitable<lease> begin();

    postgres_pool load(std::string name);

private:
    struct waiter {
        explicit waiter(const boost::asio::any_io_executor& executor) : timer(executor) {}

        boost::asio::steady_timer timer;
        std::shared_ptr<transaction_session> session; ///< guarded by the mutex
    };

    boost::asio::awaitable<std::shared_ptr<transaction_session>> take_session();
    std::shared_ptr<transaction_session> try_take_session();
    lease make_lease(std::shared_ptr<transaction_session> session);
    void return_session(std::shared_ptr<transaction_session> session);
    static boost::asio::awaitable<void> clean_session(std::shared_ptr<transaction_sessions> self,
                                                      std::shared_ptr<transaction_session> session);
    void hand_over(std::shared_ptr<transaction_session> session);
    boost::asio::awaitable<void> ensure_open(std::shared_ptr<transaction_session> session);

    const boost::asio::any_io_executor executor_;
    const settings settings_;
    std::mutex mutex_;
    std::size_t session_count_ = 0;
    std::vector<std::shared_ptr<transaction_session>> idle_;
    std::deque<std::shared_ptr<waiter>> waiting_;
};

} // namespace pawl::postgres
