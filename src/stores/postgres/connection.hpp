#pragma once

#include "pawl/postgres_session.hpp"
#include "stores/postgres/encode.hpp"
#include "stores/postgres/result.hpp"
#include "stores/postgres/target.hpp"
#include "stores/postgres/warning_log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace pawl::postgres {

/// A statement with its parameters.
struct request {
    const char* name = ""; ///< of the prepared statement, one per connection; empty: not prepared
    std::string sql;
    parameters values;
    std::string_view doing;           ///< for errors: "writing a batch"
    std::uint64_t schema_version = 0; ///< of the schema_memory that it depends on; 0: none
};

struct finish_connection {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
using connection_pointer = std::unique_ptr<PGconn, finish_connection>;

/// One connection to the server, used by one coroutine at a time, on `strand`. open() connects
/// again after a loss.
class connection : public std::enable_shared_from_this<connection> {
public:
    using clock = std::chrono::steady_clock;

    connection(boost::asio::any_io_executor strand, std::shared_ptr<const target> server,
               std::shared_ptr<warning_log> warnings, bool prepares, clock::duration answer_limit);
    ~connection();

    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    /// Whether the connection is open, as far as the client knows, and leads to the address that
    /// was opened last: no session stays at a server that the others have left.
    bool is_open() noexcept;

    /// Tries the addresses of the target in turn, each for its connect timeout. Throws server_error
    /// when none can be used.
    boost::asio::awaitable<void> open();
    void close() noexcept;

    /// Precondition: is_open(). Throws lost_connection or server_error, after which is_open() says
    /// whether the connection can be used.
    boost::asio::awaitable<result> execute(const request& statement);

    /// Executes a statement of the application: values are texts, and it is never prepared.
    boost::asio::awaitable<result_pointer> execute(const std::string& sql,
                                                   const std::vector<postgres_value>& values,
                                                   std::string_view doing);

    /// Executes several statements without parameters and without rows.
    boost::asio::awaitable<void> run_script(std::string sql, std::string_view doing,
                                            clock::duration limit);

    /// Waits until the server has sent something, such as a notification. False when the
    /// connection is lost, or interrupt() was called.
    boost::asio::awaitable<bool> wait_for_input();

    /// Ends the current operation and all later ones. Must be called on the strand.
    void interrupt();

    PGconn* handle() const noexcept { return handle_.get(); }

private:
    enum class readiness { readable, writable };

    boost::asio::awaitable<void> wait_for_socket(readiness condition);
    boost::asio::awaitable<result_pointer> read_answer(std::string_view doing);
    void end_statement(const std::exception_ptr& failure);
    boost::asio::awaitable<void> open_address(host_address address);
    boost::asio::awaitable<void> connect();
    boost::asio::awaitable<void> set_up_session();
    void end_attempt(const std::exception_ptr& failure);
    void watch_socket();
    void start_time_limit(clock::duration limit);
    void stop_time_limit();
    void check_sent(int sent, std::string_view doing);

    const boost::asio::any_io_executor strand_;
    const std::shared_ptr<const target> server_;
    const std::shared_ptr<warning_log> warnings_;
    const bool prepares_;
    const clock::duration answer_limit_;
    host_address address_;
    connection_pointer handle_;
    boost::asio::posix::stream_descriptor socket_;
    boost::asio::steady_timer limit_;
    std::uint64_t limit_number_ = 0; ///< of the current time limit
    bool is_late_ = false;
    bool is_interrupted_ = false;
    std::unordered_set<std::string_view> prepared_;
};

} // namespace pawl::postgres
