#pragma once

#include "http/request_reader.hpp"
#include "http/routes.hpp"
#include "http/stream.hpp"
#include "pawl/http/server.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <atomic>
#include <chrono>
#include <ctime>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace pawl::http::detail {

/// What the connections of a server have in common.
struct service {
    route_table routes;
    server_options options;
    std::shared_ptr<tls_context> tls; ///< empty: plain HTTP
};

/// One accepted connection: a coroutine on a strand, which reads a request, has it answered, sends
/// the answer, and begins again.
///
/// Everything but construction and start() happens on the strand. The coroutine and the timer's
/// wait keep the object alive; its destructor is how the server learns that both have ended.
class connection : public std::enable_shared_from_this<connection> {
public:
    connection(std::shared_ptr<const service> common, boost::asio::ip::tcp::socket socket,
               boost::asio::any_io_executor strand, std::function<void()> gone);
    ~connection();

    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    void start();

    /// Closes when no request is under way, else after the answer. From any thread.
    void finish();

    /// Cancels the handler and closes. From any thread.
    void abort();

    /// Closes if it waits for the peer to send something; refuses what has come of a request. From
    /// any thread.
    void make_room();

    /// Since when it has waited for the peer to send something; empty while it does not. From any
    /// thread.
    std::optional<std::chrono::steady_clock::time_point> silent_since() const noexcept;

private:
    enum class phase {
        handshaking,
        idle,
        reading,
        answering, ///< the handler runs, and watch_peer() looks for the peer's end
        silent,    ///< the handler wants no answer, and the peer has not closed yet
        writing,
        lingering
    };
    enum class received { request, refusal, nothing };

    boost::asio::awaitable<void> serve();
    boost::asio::awaitable<bool> secure();
    boost::asio::awaitable<bool> serve_one();
    boost::asio::awaitable<received> receive();
    boost::asio::awaitable<response> answer();
    void begin_record();
    void record_answer(int status, std::size_t size);
    boost::asio::awaitable<response> call(const route_match& match);
    boost::asio::awaitable<bool> send(response what, bool keep_alive);
    boost::asio::awaitable<bool> send_continue();
    boost::asio::awaitable<void> linger();
    boost::asio::awaitable<void> discard_input();

    void watch_peer();
    void look_at_peer();
    bool peer_has_closed();
    void cancel_all();

    void ended(std::exception_ptr escaped);
    void enter(phase next);
    void heard(bool waiting);
    void close();
    bool has_unread();
    void log_failure(std::string_view what) const;
    std::string_view date();

    // One timer for all limits. It is armed again only when a limit comes earlier than the armed
    // one; a later limit is looked at when the timer fires. A busy connection hardly touches it.
    void limit(duration span);
    void unlimited();
    void arm();
    void timer_fired(unsigned generation);
    void limit_reached();

    std::shared_ptr<const service> common_;
    boost::asio::any_io_executor strand_;
    stream stream_;
    std::function<void()> gone_;

    boost::beast::flat_buffer buffer_;
    request_reader reader_;
    std::string head_;

    // For server_options::on_answer.
    std::string peer_;
    std::string request_id_;
    std::string_view route_;
    std::chrono::steady_clock::time_point arrived_;

    std::string date_;
    std::time_t date_at_ = -1;

    phase phase_ = phase::idle;                                    ///< changed by enter()
    std::atomic<std::chrono::steady_clock::rep> silent_since_ = 0; ///< 0: it is not
    bool started_ = false; ///< and not ended: cancel_ may be emitted
    bool finishing_ = false;
    bool aborted_ = false;
    bool closed_ = false;
    bool watching_ = false; ///< a wait of watch_peer() is under way
    boost::asio::cancellation_signal cancel_;

    boost::asio::steady_timer timer_;
    std::chrono::steady_clock::time_point limit_;
    unsigned generation_ = 0;
    bool armed_ = false;
    bool expired_ = false; ///< the limit that is set has passed
};

} // namespace pawl::http::detail
