#pragma once

#include "pawl/time.hpp"
#include "stores/postgres/connection.hpp"
#include "stores/postgres/schema_memory.hpp"

#include <boost/asio/any_completion_handler.hpp>

#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <random>
#include <vector>

namespace pawl::postgres {

/// How long to wait before a lost connection is made anew.
class back_off {
public:
    back_off(duration first, duration longest) : first_(first), longest_(longest) {}

    /// After one more failure; shortened at random by up to a half.
    duration next();
    void reset() noexcept { failures_ = 0; }

private:
    const duration first_;
    const duration longest_;
    unsigned failures_ = 0;
    std::minstd_rand random_{std::random_device{}()};
};

/// How the statements of a pool may be repeated.
enum class repeating : std::uint8_t {
    once,  ///< a write: when its answer is lost, the caller learns it
    twice, ///< a read: when its answer is lost, it is sent again
};

/// Connections of one kind, and the statements that wait for one. Its coroutines keep it alive;
/// while nothing is asked of it, it has none.
class pool : public std::enable_shared_from_this<pool> {
public:
    struct settings {
        std::shared_ptr<const target> where;
        std::shared_ptr<trouble_log> troubles;
        std::size_t connections = 1;
        bool prepares = true;
        connection::clock::duration answer_limit{};
        duration reconnect_backoff_initial{};
        duration reconnect_backoff_max{};
        repeating how = repeating::once;
        std::shared_ptr<schema_memory> schema; ///< read again for each session; null: not

        /// Called with each session before its first statement; may be empty.
        std::function<boost::asio::awaitable<void>(connection&)> on_open;
    };

    pool(boost::asio::any_io_executor executor, settings options);

    /// From any executor; completes on the caller's. Throws error.
    boost::asio::awaitable<result> run(request what);

private:
    /// A statement that somebody waits for, in the frame of the coroutine that waits.
    struct job {
        request what;
        result rows;
        std::exception_ptr failure;
        connection::clock::time_point since; ///< when it was asked for
        boost::asio::any_io_executor executor;
        std::optional<boost::asio::any_completion_handler<void()>> done;
    };

    /// A connection and its strand.
    struct session {
        session(boost::asio::any_io_executor executor, const settings& options);

        boost::asio::any_io_executor strand;
        std::shared_ptr<connection> link;
        bool was_open = false;
        bool serves = false; ///< it could connect when it last had to; guarded by the mutex
        back_off waits;
        std::optional<connection::clock::time_point> not_before; ///< after a failure to connect
    };

    struct enqueue;

    void submit(job& work);
    void begin(session& by);
    bool has_work(session& by);
    job* take(session& by);
    bool leave_work(session& by, connection::clock::time_point since, std::exception_ptr failure);
    static boost::asio::awaitable<void> work(std::shared_ptr<pool> self, session& by);
    boost::asio::awaitable<result> execute(session& by, const request& what);
    boost::asio::awaitable<void> ensure_open(session& by);
    void lost(session& by, std::string_view why);
    static void finish(job& work);
    static void fail(const std::vector<job*>& all, std::exception_ptr failure);

    const boost::asio::any_io_executor executor_;
    const settings settings_;
    std::mutex mutex_;
    std::deque<job*> waiting_;
    std::deque<session> sessions_;
    std::vector<session*> idle_;
};

} // namespace pawl::postgres
