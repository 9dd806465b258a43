#pragma once

#include "pawl/postgres_session.hpp"
#include "stores/postgres/connection.hpp"
#include "stores/postgres/lost_commits.hpp"
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

/// One session in which a program's transaction is open, for one coroutine at a time, which may run
/// anywhere. It never connects again: a transaction is over when its session is.
class transaction_session {
public:
    transaction_session(boost::asio::any_io_executor strand, std::shared_ptr<connection> link,
                        connection::clock::duration answer_limit);

    /// A statement of Pawl's.
    boost::asio::awaitable<result> execute(request what);

    /// A statement of the program's; texts in, texts out.
    boost::asio::awaitable<result_pointer> execute(std::string sql,
                                                   std::vector<postgres_value> parameters);

    boost::asio::awaitable<void> begin();
    boost::asio::awaitable<void> roll_back();

    /// Throws when the program has ended the transaction that begin() began: nothing is committed.
    boost::asio::awaitable<void> commit();

    /// Throws when the session has ended, or a statement of the program's has failed.
    boost::asio::awaitable<void> check();

    /// Between statements: PQTRANS_INTRANS and the like.
    PGTransactionStatusType status() const noexcept;

private:
    friend class transaction_sessions;

    boost::asio::awaitable<void> run(const char* sql);

    const boost::asio::any_io_executor strand_;
    const std::shared_ptr<connection> link_;
    const connection::clock::duration answer_limit_;
};

/// Sessions for programs' transactions, which are slow: apart from those of the store. Its
/// coroutines keep it alive; it must be held by a shared_ptr.
class transaction_sessions : public std::enable_shared_from_this<transaction_sessions> {
public:
    struct settings {
        std::shared_ptr<const target> where;
        std::shared_ptr<trouble_log> troubles;
        std::shared_ptr<schema_memory> schema;
        std::shared_ptr<lost_commits> lost;
        std::size_t most = 1;
        bool prepares = true;
        connection::clock::duration answer_limit{};
    };

    transaction_sessions(boost::asio::any_io_executor executor, settings options);

    /// Gives itself back when it is destroyed, which rolls back a transaction that is open.
    using lease = std::shared_ptr<transaction_session>;

    /// A session with a transaction that has just begun; waits for a free one, for as long as the
    /// server may take to answer. Throws error.
    boost::asio::awaitable<lease> begin();

private:
    struct waiter {
        explicit waiter(const boost::asio::any_io_executor& executor) : timer(executor) {}

        boost::asio::steady_timer timer;
        std::shared_ptr<transaction_session> given; ///< guarded by the mutex
    };

    boost::asio::awaitable<std::shared_ptr<transaction_session>> take();
    std::shared_ptr<transaction_session> take_now();
    lease lend(std::shared_ptr<transaction_session> session);
    void give_back(std::shared_ptr<transaction_session> session);
    static boost::asio::awaitable<void> clean(std::shared_ptr<transaction_sessions> self,
                                              std::shared_ptr<transaction_session> session);
    void pass_on(std::shared_ptr<transaction_session> session);
    boost::asio::awaitable<void> open(std::shared_ptr<transaction_session> session);

    const boost::asio::any_io_executor executor_;
    const settings settings_;
    std::mutex mutex_;
    std::size_t made_ = 0;
    std::vector<std::shared_ptr<transaction_session>> idle_;
    std::deque<std::shared_ptr<waiter>> waiting_;
};

} // namespace pawl::postgres
