#pragma once

#include "pawl/postgres_session.hpp"
#include "stores/postgres/encode.hpp"
#include "stores/postgres/result.hpp"
#include "stores/postgres/target.hpp"
#include "stores/postgres/trouble_log.hpp"

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
    const char* name = ""; ///< that it is prepared under, once a connection; empty: it is not
    std::string sql;
    parameters values;
    std::string_view doing;           ///< for errors: "writing a batch"
    std::uint64_t schema_version = 0; ///< of the schema_memory that it was made from; 0: of none
};

struct finish_connection {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
using connection_pointer = std::unique_ptr<PGconn, finish_connection>;

/// One connection to the server, used by one coroutine at a time, on `strand`. Made anew after it
/// was lost.
class connection : public std::enable_shared_from_this<connection> {
public:
    using clock = std::chrono::steady_clock;

    connection(boost::asio::any_io_executor strand, std::shared_ptr<const target> where,
               std::shared_ptr<trouble_log> troubles, bool prepares, clock::duration answer_limit);
    ~connection();

    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    /// Whether it is open, as far as can be seen without asking the server, and where sessions are
    /// opened now: none stays behind at a server that others have left.
    bool is_open() noexcept;

    /// Tries the places of the target in turn, each within its time. Throws server_error when none
    /// serves.
    boost::asio::awaitable<void> open();
    void close() noexcept;

    /// Precondition: it is open. Throws lost_connection or server_error; whether it is still open
    /// then, is_open() tells.
    boost::asio::awaitable<result> execute(const request& what);

    /// As execute(), of a statement of the program's: texts in, texts out, and never prepared.
    boost::asio::awaitable<result_pointer> execute(const std::string& sql,
                                                   const std::vector<postgres_value>& values,
                                                   std::string_view doing);

    /// The same with several statements and no parameters; none gives rows.
    boost::asio::awaitable<void> run_script(std::string sql, std::string_view doing,
                                            clock::duration limit);

    /// Waits until the server has sent something, such as a notification. False when the
    /// connection is lost, or interrupt() was called.
    boost::asio::awaitable<bool> wait_for_input();

    /// Ends what goes on, and all that is tried later. On the strand.
    void interrupt();

    PGconn* handle() const noexcept { return handle_.get(); }

private:
    enum class event { readable, writable };

    boost::asio::awaitable<void> wait_for(event what);
    boost::asio::awaitable<result_pointer> answer(std::string_view doing);
    void end_statement(const std::exception_ptr& failure);
    boost::asio::awaitable<void> open_at(target::place where);
    boost::asio::awaitable<void> connect();
    boost::asio::awaitable<void> set_up();
    void end_attempt(const std::exception_ptr& failure);
    void watch_socket();
    void arm(clock::duration limit);
    void disarm();
    void check_sent(int sent, std::string_view doing);

    const boost::asio::any_io_executor strand_;
    const std::shared_ptr<const target> where_;
    const std::shared_ptr<trouble_log> troubles_;
    const bool prepares_;
    const clock::duration answer_limit_;
    target::place place_;
    connection_pointer handle_;
    boost::asio::posix::stream_descriptor socket_;
    boost::asio::steady_timer limit_;
    std::uint64_t armed_ = 0; ///< which arm() it is
    bool is_late_ = false;
    bool is_interrupted_ = false;
    std::unordered_set<std::string_view> prepared_;
};

} // namespace pawl::postgres
