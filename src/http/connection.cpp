#include "http/connection.hpp"

#include "http/chunked_body.hpp"
#include "http/executors.hpp"
#include "http/foreign_request.hpp"
#include "http/message_head.hpp"
#include "http/on_exit.hpp"
#include "http/request_id.hpp"
#include "http/text.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <poll.h>

namespace pawl::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// After a refusal, the connection is read for this long, because closing it with unread bytes
/// makes TCP drop the answer. RFC 9112, section 9.6.
constexpr duration linger_limit = std::chrono::seconds{1};

/// Largest buffer that an idle connection keeps.
constexpr std::size_t idle_buffer = 16 * 1024;

/// Bytes of pipelined requests that are read while a request is answered. With more, the connection
/// polls for the peer's end instead of reading.
constexpr std::size_t pipelined_limit = 16 * 1024;
constexpr duration peer_check_interval = std::chrono::seconds{1};

} // namespace

connection::connection(std::shared_ptr<const service> common, stream_socket socket,
                       asio::any_io_executor strand, std::function<void()> on_destroyed)
    : common_(std::move(common)), strand_(std::move(strand)), stream_(std::move(socket)),
      on_destroyed_(std::move(on_destroyed)),
      reader_(common_->options.header_limit, common_->options.body_limit), timer_(strand_)
{
}

connection::~connection()
{
    on_destroyed_();
}

void connection::start()
{
    asio::co_spawn(
        strand_, serve(),
        asio::bind_cancellation_slot(
            cancel_.slot(), [self = shared_from_this()](std::exception_ptr e) { self->ended(e); }));
}

void connection::finish()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->finishing_ = true;
        if (self->is_streaming_)
            self->cancel_all();
        else if (self->phase_ == phase::idle || self->phase_ == phase::handshaking ||
                 self->phase_ == phase::silent || self->phase_ == phase::lingering)
            self->close();
    });
}

void connection::make_room()
{
    asio::post(strand_, [self = shared_from_this()] {
        if (self->phase_ == phase::idle || self->phase_ == phase::handshaking)
            self->close();
        else if (self->phase_ == phase::reading)
            self->limit_reached();
    });
}

void connection::abort()
{
    asio::post(strand_, [self = shared_from_this()] { self->cancel_all(); });
}

void connection::cancel_all()
{
    finishing_ = aborted_ = true;
    if (started_)
        cancel_.emit(asio::cancellation_type::terminal);
    close();
}

asio::awaitable<void> connection::serve()
{
    started_ = true;
    error_code ignored;
    stream_.socket().set_option(tcp::no_delay(true), ignored);
    stream_.socket().non_blocking(true, ignored);
    peer_ = peer_address(stream_.socket());
    bool more = !closed_;
    if (more && common_->tls)
        more = co_await secure();
    while (more)
        more = co_await serve_one();
    if (!closed_ && (stream_.is_secure() || has_unread()))
        co_await linger();
}

/// Returns whether the peer speaks TLS.
asio::awaitable<bool> connection::secure()
{
    enter(phase::handshaking);
    limit(common_->options.read_timeout);
    const auto result = co_await stream_.handshake(common_->tls);
    const auto error = std::get<0>(result);
    if (error && !closed_)
        common_->options.log(
            {log_level::debug, fmt::format("http: TLS failed: {}", error.message())});
    if (error)
        close();
    co_return !error && !closed_;
}

std::optional<std::chrono::steady_clock::time_point> connection::silent_since() const noexcept
{
    using clock = std::chrono::steady_clock;
    const auto ticks = silent_since_.load(std::memory_order_relaxed);
    if (ticks == 0)
        return std::nullopt;
    return clock::time_point{clock::duration{ticks}};
}

void connection::enter(phase next)
{
    phase_ = next;
    set_silence(next == phase::idle || next == phase::reading || next == phase::handshaking);
}

/// Starts measuring the peer's silence, or stops.
void connection::set_silence(bool is_waiting)
{
    std::chrono::steady_clock::rep since = 0;
    if (is_waiting)
        since = std::chrono::steady_clock::now().time_since_epoch().count();
    silent_since_.store(since, std::memory_order_relaxed);
}

/// Returns whether there may be another request.
asio::awaitable<bool> connection::serve_one()
{
    enter(phase::idle);
    limit(common_->options.idle_timeout);
    const auto outcome = co_await receive();
    if (outcome == received::nothing || closed_) {
        close();
        co_return false;
    }

    reader_.message().peer = peer_;
    if (common_->options.on_answer)
        begin_record();
    route_ = {};
    span_.begin(common_->options.tracing, reader_.message());
    const on_exit leaving([this] { leave_route(); });
    response reply;
    if (outcome == received::refusal) {
        reply = reader_.refusal();
    } else {
        enter(phase::answering);
        unlimited();
        // Posted, because a handler that completes at once needs no system call.
        asio::post(strand_, [self = shared_from_this()] { self->watch_peer(); });
        reply = co_await answer();
        if (aborted_ || closed_) {
            record_answer(499, 0);
            co_return false;
        }
    }

    const bool keep_alive = reader_.keep_alive() && !finishing_;
    if (!request_id_.empty())
        reply.headers.emplace_back("X-Request-Id", request_id_);
    const auto status = reply.status;
    auto size = reply.body.size();
    bool sent = false;
    if (reply.stream) {
        sent = co_await send_stream(std::move(reply), keep_alive, size);
    } else {
        leave_route();
        sent = co_await send(std::move(reply), keep_alive);
    }
    record_answer(status, size);
    if (!sent) {
        close();
        co_return false;
    }
    if (keep_alive) {
        reader_.next();
        if (buffer_.size() == 0 && buffer_.capacity() > idle_buffer)
            buffer_ = {};
    } else if (outcome == received::refusal) {
        co_await linger();
    }
    co_return keep_alive;
}

asio::awaitable<connection::received> connection::receive()
{
    for (;;) {
        const auto bytes = buffer_.cdata();
        std::size_t consumed = 0;
        const auto outcome =
            reader_.read({static_cast<const char*>(bytes.data()), bytes.size()}, consumed);
        buffer_.consume(consumed);
        if (outcome == request_reader::result::complete)
            co_return received::request;
        if (outcome == request_reader::result::refused)
            co_return received::refusal;

        if (phase_ == phase::idle && reader_.started()) {
            enter(phase::reading);
            limit(common_->options.read_timeout);
        }
        if (reader_.take_continue()) {
            const bool sent = co_await send_continue();
            if (!sent)
                co_return received::nothing;
        }
        if (!expired_) {
            const auto space = buffer_.prepare(reader_.read_size());
            const auto result = co_await stream_.read_some(space);
            const auto error = std::get<0>(result);
            buffer_.commit(std::get<1>(result));
            if (closed_ || (error && !expired_))
                co_return received::nothing;
            // Bytes that arrived with the expiry may still complete the request.
            if (!error) {
                set_silence(true);
                continue;
            }
        }
        if (phase_ != phase::reading)
            co_return received::nothing;
        reader_.refuse(408, "The request did not arrive in time.");
        co_return received::refusal;
    }
}

void connection::begin_record()
{
    auto& headers = reader_.message().headers;
    request_id_ = choose_request_id(reader_.message().header("x-request-id"));
    headers.insert_or_assign("x-request-id", request_id_);
    arrived_ = std::chrono::steady_clock::now();
}

void connection::record_answer(int status, std::size_t size)
{
    span_.end_at_server(common_->options.tracing, reader_.message().method, route_,
                        stream_.is_secure(), status);
    if (!common_->options.on_answer)
        return;
    answer_record record;
    record.request_id = request_id_;
    record.peer = peer_;
    record.method = reader_.message().method;
    record.path = reader_.path_as_sent();
    record.route = route_;
    record.user = reader_.message().user;
    record.status = status;
    record.size = size;
    record.took = std::chrono::duration_cast<duration>(std::chrono::steady_clock::now() - arrived_);
    common_->options.on_answer(record);
}

asio::awaitable<response> connection::answer()
{
    auto& message = reader_.message();
    if (auto refused = refuse_foreign(message, common_->options))
        co_return std::move(*refused);
    route_match match;
    if (message.path != "*")
        match = common_->routes.find(message.method, reader_.segments());
    route_ = match.pattern;
    if (const auto& authorize = common_->options.authorize)
        if (auto refused = authorize(message, route_))
            co_return std::move(*refused);
    if (message.path == "*")
        co_return response{.status = 204};
    if (match.answer) {
        message.captures = std::move(match.captures);
        response reply = co_await call(match);
        co_return reply;
    }
    if (match.allow.empty())
        co_return problem(404, "There is nothing at this path.");
    auto reply = problem(405, "This path does not know the method.");
    reply.headers.emplace_back("Allow", std::move(match.allow));
    co_return reply;
}

asio::awaitable<response> connection::call(const route_match& match)
{
    std::optional<std::string> failure;
    std::optional<drop_connection::when> dropped;
    response reply;
    if (match.gate && !match.gate->enter()) {
        reply = problem(503, "Too many requests of this kind are being answered.");
        reply.headers.emplace_back("Retry-After", "1");
        co_return reply;
    }
    gate_ = match.gate;
    try {
        reply = co_await (*match.answer)(reader_.message());
        failure = find_fault(reply);
    } catch (const drop_connection& drop) {
        dropped = drop.moment();
    } catch (const std::exception& error) {
        failure = error.what();
    } catch (...) {
        failure = "an exception that is not a std::exception";
    }
    if (aborted_)
        co_return reply;
    // The handler runs in this coroutine, and may have changed its cancellation state.
    co_await asio::this_coro::reset_cancellation_state();
    co_await asio::this_coro::throw_if_cancelled(true);
    if (failure) {
        log_failure(*failure);
        reply = problem(500, "The server failed to answer this request.");
    }
    if (dropped == drop_connection::when::peer_has_closed) {
        enter(phase::silent);
        co_await discard_input();
    }
    if (dropped)
        close();
    co_return reply;
}

asio::awaitable<bool> connection::send(response reply, bool keep_alive)
{
    head_.clear();
    write_answer_head(head_, reply,
                      {.keep_alive = keep_alive, .http_1_0 = reader_.http_1_0(), .date = date()});
    const bool with_body = has_body(reply.status) && reader_.message().method != "HEAD";
    const std::array<asio::const_buffer, 2> buffers{
        asio::buffer(head_), asio::buffer(reply.body.data(), with_body ? reply.body.size() : 0)};
    const bool sent = co_await send_bytes(buffers);
    co_return sent;
}

/// Sends the head, and then what response::stream writes. Returns whether the answer is complete.
asio::awaitable<bool> connection::send_stream(response reply, bool keep_alive, std::size_t& size)
{
    const bool http_1_0 = reader_.http_1_0();
    const bool with_body = has_body(reply.status) && reader_.message().method != "HEAD";
    head_.clear();
    write_answer_head(head_, reply,
                      {.keep_alive = keep_alive && !(with_body && http_1_0),
                       .http_1_0 = http_1_0,
                       .streamed = true,
                       .date = date()});
    const std::array<asio::const_buffer, 2> head{asio::buffer(head_), asio::const_buffer{}};
    bool sent = co_await send_bytes(head);
    if (!sent || !with_body)
        co_return sent;

    is_streaming_ = true;
    const on_exit ending([this] { is_streaming_ = false; });
    chunked_body body([this](std::array<asio::const_buffer, 2> bytes) { return send_part(bytes); },
                      !http_1_0);
    enter(phase::streaming);
    unlimited();
    watch_peer();
    std::optional<std::string> failure;
    try {
        co_await reply.stream(body);
    } catch (const std::exception& error) {
        failure = error.what();
    } catch (...) {
        failure = "an exception that is not a std::exception";
    }
    size = body.size();
    if (aborted_ || closed_)
        co_return false;
    co_await asio::this_coro::reset_cancellation_state();
    co_await asio::this_coro::throw_if_cancelled(true);
    if (failure) {
        log_failure(*failure);
        co_return false;
    }
    sent = co_await body.finish();
    co_return sent && !http_1_0;
}

/// Sends bytes of a stream, and then watches the peer again.
asio::awaitable<bool> connection::send_part(std::array<asio::const_buffer, 2> bytes)
{
    if (closed_)
        co_return false;
    const bool sent = co_await send_bytes(bytes);
    if (!sent) {
        close();
        co_return false;
    }
    enter(phase::streaming);
    unlimited();
    watch_peer();
    co_return true;
}

asio::awaitable<bool> connection::send_bytes(std::array<asio::const_buffer, 2> buffers)
{
    if (!stream_.is_secure()) {
        // Nearly every answer fits into the socket's buffer, which avoids a wait.
        error_code error;
        const auto at_once = stream_.socket().write_some(buffers, error);
        if (!error && at_once == asio::buffer_size(buffers))
            co_return true;
        if (error && error != asio::error::would_block)
            co_return false;
        buffers[1] += at_once - std::min(at_once, buffers[0].size());
        buffers[0] += at_once;
    }
    enter(phase::writing);
    limit(common_->options.write_timeout);
    const auto result = co_await stream_.write(buffers);
    co_return !std::get<0>(result) && !closed_;
}

/// Sends "100 Continue" under the read timeout.
asio::awaitable<bool> connection::send_continue()
{
    static constexpr std::string_view line = "HTTP/1.1 100 Continue\r\n\r\n";
    const std::array buffers{asio::const_buffer(line.data(), line.size()), asio::const_buffer{}};
    const auto result = co_await stream_.write(buffers);
    co_return !std::get<0>(result) && !closed_;
}

asio::awaitable<void> connection::linger()
{
    enter(phase::lingering);
    limit(std::min(linger_limit, common_->options.write_timeout));
    if (stream_.is_secure())
        co_await stream_.shut_down_tls();
    error_code error;
    stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    if (!error)
        co_await discard_input();
    close();
}

/// Reads until the peer closes or the current time limit expires.
asio::awaitable<void> connection::discard_input()
{
    error_code error;
    while (!error && !expired_ && !closed_) {
        buffer_.clear();
        const auto space = buffer_.prepare(idle_buffer);
        const auto result = co_await stream_.socket().async_read_some(space, result_of);
        error = std::get<0>(result);
    }
}

/// Waits for bytes of the peer, or its end, while the handler or a stream runs. The wait may
/// outlast the answer, concurrently with a read for the next request.
void connection::watch_peer()
{
    if (watching_ || closed_ || !watches_peer())
        return;
    watching_ = true;
    stream_.socket().async_wait(tcp::socket::wait_read,
                                [self = shared_from_this()](error_code error) {
                                    self->watching_ = false;
                                    if (!error)
                                        self->check_peer();
                                });
}

/// Reads the available bytes, because the peer's end follows them. With TLS, the bytes stay unread:
/// they may be part of a message.
void connection::check_peer()
{
    if (closed_ || !watches_peer())
        return;
    error_code error;
    if (stream_.is_secure()) {
        if (peer_has_closed())
            cancel_all();
        else
            limit(peer_check_interval);
        return;
    }
    while (!error && buffer_.size() < pipelined_limit)
        buffer_.commit(
            stream_.socket().read_some(buffer_.prepare(pipelined_limit - buffer_.size()), error));
    if (error == asio::error::would_block) {
        watch_peer();
    } else if (error || peer_has_closed()) {
        cancel_all();
    } else {
        limit(peer_check_interval);
    }
}

bool connection::watches_peer() const noexcept
{
    return phase_ == phase::answering || phase_ == phase::streaming;
}

void connection::leave_route() noexcept
{
    if (auto* const gate = std::exchange(gate_, nullptr))
        gate->leave();
}

bool connection::peer_has_closed()
{
    pollfd state{.fd = stream_.socket().native_handle(), .events = POLLRDHUP, .revents = 0};
    return ::poll(&state, 1, 0) > 0;
}

void connection::ended(std::exception_ptr escaped)
{
    started_ = false;
    close();
    if (!escaped || aborted_)
        return;
    try {
        std::rethrow_exception(escaped);
    } catch (const std::exception& error) {
        log_failure(error.what());
    }
}

void connection::close()
{
    closed_ = true;
    unlimited();
    timer_.cancel();
    error_code ignored;
    stream_.socket().close(ignored);
}

bool connection::has_unread()
{
    error_code ignored;
    return buffer_.size() > 0 || stream_.socket().available(ignored) > 0;
}

void connection::log_failure(std::string_view failure) const
{
    common_->options.log(
        {log_level::error, fmt::format("http: {}{}{} failed: {}", reader_.title(),
                                       request_id_.empty() ? "" : " as ", request_id_, failure)});
}

std::string_view connection::date()
{
    const auto now = std::time(nullptr);
    if (now != date_at_) {
        date_ = http_date(now);
        date_at_ = now;
    }
    return date_;
}

void connection::limit(duration span)
{
    expired_ = false;
    if (closed_)
        return;
    limit_ = from_now(span);
    if (!armed_ || limit_ < timer_.expiry())
        arm();
}

void connection::unlimited()
{
    expired_ = false;
    limit_ = std::chrono::steady_clock::time_point::max();
}

void connection::arm()
{
    armed_ = true;
    timer_.expires_at(limit_);
    timer_.async_wait([self = shared_from_this(), generation = ++generation_](error_code error) {
        if (!error)
            self->timer_fired(generation);
    });
}

void connection::timer_fired(unsigned generation)
{
    // The handler of a replaced wait may have been queued.
    if (generation != generation_)
        return;
    armed_ = false;
    if (closed_ || limit_ == std::chrono::steady_clock::time_point::max())
        return;
    if (std::chrono::steady_clock::now() < limit_)
        arm();
    else
        limit_reached();
}

void connection::limit_reached()
{
    const bool again = std::exchange(expired_, true);
    // A plain read is one operation and can be cancelled. Other phases consist of several
    // operations, which only closing ends for certain.
    error_code ignored;
    const bool is_stuck = again && stream_.is_secure();
    if (is_stuck || phase_ == phase::writing || phase_ == phase::handshaking) {
        close();
    } else if (watches_peer()) {
        check_peer();
    } else {
        stream_.socket().cancel(ignored);
        if (stream_.is_secure()) {
            limit_ = from_now(linger_limit);
            arm();
        }
    }
}

} // namespace pawl::http::detail
