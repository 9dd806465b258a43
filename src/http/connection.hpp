#pragma once

#include "http/http_span.hpp"
#include "http/request_reader.hpp"
#include "http/routes.hpp"
#include "http/stream.hpp"
#include "pawl/http/server.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace pawl::http::detail {

/// State shared by the connections of a server.
struct service {
    route_table routes;
    server_options options;
    std::shared_ptr<tls_context> tls; ///< empty: plain HTTP
};

/// One accepted connection: a coroutine on a strand reads requests, calls their handlers and sends
/// the answers.
///
/// Everything but construction and start() runs on the strand. The coroutine and the timer's wait
/// keep the object alive; the destructor notifies the server that both have ended.
class connection : public std::enable_shared_from_this<connection> {
public:
    connection(std::shared_ptr<const service> common, stream_socket socket,
               boost::asio::any_io_executor strand, std::function<void()> on_destroyed);
    ~connection();

    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    void start();

    /// Closes after the answer to the current request, or at once if there is none or if it is a
    /// stream. From any thread.
    void finish();

    /// Cancels the handler and closes. From any thread.
    void abort();

    /// Closes the connection if it waits for the peer. A partial request is refused. From any
    /// thread.
    void make_room();

    /// When the wait for bytes of the peer began; empty while the connection does not wait. From
    /// any thread.
    std::optional<std::chrono::steady_clock::time_point> silent_since() const noexcept;

private:
    enum class phase {
        handshaking,
        idle,
        reading,
        answering, ///< the handler runs, and watch_peer() waits for the peer's end
        streaming, ///< as answering: response::stream runs, and sends nothing at present
        silent,    ///< the handler dropped the connection, and the peer has not closed yet
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
    boost::asio::awaitable<bool> send(response reply, bool keep_alive);
    boost::asio::awaitable<bool> send_stream(response reply, bool keep_alive, std::size_t& size);
    boost::asio::awaitable<bool> send_part(std::array<boost::asio::const_buffer, 2> bytes);
    boost::asio::awaitable<bool> send_bytes(std::array<boost::asio::const_buffer, 2> bytes);
    void leave_route() noexcept;
    bool watches_peer() const noexcept;
    boost::asio::awaitable<bool> send_continue();
    boost::asio::awaitable<void> linger();
    boost::asio::awaitable<void> discard_input();

    void watch_peer();
    void check_peer();
    bool peer_has_closed();
    void cancel_all();

    void ended(std::exception_ptr escaped);
    void enter(phase next);
    void set_silence(bool is_waiting);
    void close();
    bool has_unread();
    void log_failure(std::string_view failure) const;
    std::string_view date();

    // One timer for all limits. It is armed again only for an earlier limit; a later limit is
    // checked when the timer fires. A busy connection rarely arms it.
    void limit(duration span);
    void unlimited();
    void arm();
    void timer_fired(unsigned generation);
    void limit_reached();

    std::shared_ptr<const service> common_;
    boost::asio::any_io_executor strand_;
    stream stream_;
    std::function<void()> on_destroyed_;

    boost::beast::flat_buffer buffer_;
    request_reader reader_;
    std::string head_;
    std::string peer_;
    route_gate* gate_ = nullptr; ///< of the route whose request is being answered

    // For server_options::on_answer.
    std::string request_id_;
    std::string_view route_;
    std::chrono::steady_clock::time_point arrived_;
    http_span span_; ///< for server_options::tracing

    std::string date_;
    std::time_t date_at_ = -1;

    phase phase_ = phase::idle;                                    ///< changed by enter()
    std::atomic<std::chrono::steady_clock::rep> silent_since_ = 0; ///< 0: it is not
    bool started_ = false; ///< and not ended: cancel_ may be emitted
    bool finishing_ = false;
    bool is_streaming_ = false; ///< response::stream runs
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
