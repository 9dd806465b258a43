#pragma once

#include "pawl/postgres_load.hpp"
#include "pawl/time.hpp"
#include "stores/postgres/connection.hpp"
#include "stores/postgres/schema_memory.hpp"

#include <boost/asio/any_completion_handler.hpp>

#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace pawl::postgres {

/// How long to wait before the next attempt to connect.
class reconnect_backoff {
public:
    reconnect_backoff(duration first, duration longest) : first_(first), longest_(longest) {}

    /// The wait after one more failure: exponential, and shortened at random by up to a half.
    duration next();
    void reset() noexcept { failures_ = 0; }

private:
    const duration first_;
    const duration longest_;
    unsigned failures_ = 0;
    std::minstd_rand random_{std::random_device{}()};
};

/// What a pool does when the answer to a statement is lost.
enum class lost_answer : std::uint8_t {
    fail,   ///< a write: the call fails
    resend, ///< a read: the statement is sent once more
};

/// Connections of one kind, and the statements that wait for one. Its coroutines keep it alive; an
/// idle pool has none.
class pool : public std::enable_shared_from_this<pool> {
public:
    struct settings {
        std::shared_ptr<const target> server;
        std::shared_ptr<warning_log> warnings;
        std::size_t connections = 1;
        bool prepares = true;
        connection::clock::duration answer_limit{};
        duration reconnect_backoff_initial{};
        duration reconnect_backoff_max{};
        lost_answer on_lost_answer = lost_answer::fail;
        std::shared_ptr<schema_memory> schema; ///< read again for each session, unless null

        /// Called with each session before its first statement; may be empty.
        std::function<boost::asio::awaitable<void>(connection&)> on_open;
    };

    pool(boost::asio::any_io_executor executor, settings options);

    /// From any executor; completes on the caller's. Throws error.
    boost::asio::awaitable<result> run(request statement);

    postgres_pool load(std::string name);

private:
    /// A statement in the frame of the coroutine that waits for it.
    struct job {
        request statement;
        result rows;
        std::exception_ptr failure;
        connection::clock::time_point queued_at;
        boost::asio::any_io_executor executor;
        std::optional<boost::asio::any_completion_handler<void()>> done;
    };

    /// A connection and its strand.
    struct session {
        session(boost::asio::any_io_executor executor, const settings& options);

        boost::asio::any_io_executor strand;
        std::shared_ptr<connection> link;
        bool was_open = false;
        bool connects = false; ///< its last attempt to connect succeeded; guarded by the mutex
        reconnect_backoff backoff;
        std::optional<connection::clock::time_point> not_before; ///< after a failure to connect
    };

    struct enqueue;

    void submit(job& work);
    void begin(session& worker);
    bool has_jobs(session& worker);
    job* take_job(session& worker);
    bool leave_jobs(session& worker, connection::clock::time_point tried_at,
                    std::exception_ptr failure);
    static boost::asio::awaitable<void> work(std::shared_ptr<pool> self, session& worker);
    boost::asio::awaitable<result> execute(session& worker, const request& statement);
    boost::asio::awaitable<void> ensure_open(session& worker);
    void report_loss(session& worker, std::string_view reason);
    static void finish(job& work);
    static void fail(const std::vector<job*>& jobs, std::exception_ptr failure);

    const boost::asio::any_io_executor executor_;
    const settings settings_;
    std::mutex mutex_;
    std::deque<job*> waiting_;
    std::deque<session> sessions_;
    std::vector<session*> idle_;
};

} // namespace pawl::postgres
