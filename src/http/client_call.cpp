#include "http/client_call.hpp"

#include "http/connect_race.hpp"
#include "http/executors.hpp"
#include "http/message_head.hpp"
#include "http/on_exit.hpp"
#include "http/text.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include <sys/un.h>

namespace pawl::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::size_t read_size = 16 * 1024;

} // namespace

client_call::client_call(std::shared_ptr<client_pool> pool, client_request request)
    : pool_(std::move(pool)), request_(std::move(request)), limit_(pool_->strand()),
      wake_(pool_->strand(), std::chrono::steady_clock::time_point::max())
{
}

asio::awaitable<client_response> client_call::run(std::shared_ptr<client_call> self)
{
    const on_exit finishing([self] { self->finish(); });
    span_.begin(pool_->options().tracing, request_);
    throw_if_stopped();
    arm_limit(pool_->options().place_timeout, stop::no_place);
    co_await wait_for_place();
    arm_limit(pool_->options().timeout, stop::timed_out);

    for (;;) {
        if (!connection_)
            co_await connect();
        client_response answer;
        const auto result = co_await exchange(answer);
        if (result == outcome::answered) {
            status_ = answer.status;
            co_return answer;
        }
        throw_if_stopped();
        if (result == outcome::failed)
            fail();
        connection_.reset();
        was_idle_ = false;
    }
}

void client_call::cancel()
{
    stop_call(stop::cancelled);
}

void client_call::granted(connection_ptr connection)
{
    has_place_ = true;
    was_idle_ = connection != nullptr;
    connection_ = std::move(connection);
    wake_.cancel();
}

void client_call::arm_limit(duration span, stop reason)
{
    limit_.expires_at(from_now(span));
    limit_.async_wait(
        [self = shared_from_this(), generation = ++limit_generation_, reason](error_code error) {
            if (!error && generation == self->limit_generation_)
                self->stop_call(reason);
        });
}

void client_call::stop_call(stop reason)
{
    if (stopped_ != stop::none)
        return;
    stopped_ = reason;
    pool_->withdraw_waiter(*this);
    wake_.cancel();
    error_code ignored;
    if (connection_)
        connection_->peer.socket().close(ignored);
}

/// Called once, however the request ended.
void client_call::finish() noexcept
{
    limit_.cancel();
    pool_->withdraw_waiter(*this);
    if (!reusable_ || stopped_ != stop::none)
        connection_.reset();
    if (std::exchange(has_place_, false))
        pool_->release_place(std::move(connection_));
    end_span();
}

void client_call::end_span() noexcept
try {
    std::string_view problem = sent_any_ ? "ambiguous" : "not_sent";
    if (stopped_ == stop::cancelled)
        problem = "cancelled";
    else if (stopped_ == stop::timed_out)
        problem = "timeout";
    const auto& peer = pool_->target();
    span_.end_at_client(pool_->options().tracing,
                        peer.socket_path.empty() ? peer.host : peer.socket_path, peer.port, status_,
                        problem);
} catch (...) { // no memory for the span
}

asio::awaitable<void> client_call::wait_for_place()
{
    const bool queued = pool_->acquire_place(*this);
    if (!queued) {
        cause_ = "too many requests wait for a connection";
        fail();
    }
    while (!has_place_ && stopped_ == stop::none)
        co_await wake_.async_wait(result_of);
    throw_if_stopped();
}

/// The addresses of the host. Uses those of the previous look-up if this one is slow or fails for
/// now.
asio::awaitable<std::vector<tcp::endpoint>> client_call::resolve()
{
    constexpr auto never = std::chrono::steady_clock::time_point::max();
    const auto lookup = pool_->look_up_host();
    if (!lookup->done)
        lookup->when_done.emplace_back([weak = weak_from_this()] {
            if (const auto self = weak.lock())
                self->wake_.cancel();
        });
    if (!lookup->previous.empty())
        wake_.expires_at(from_now(pool_->options().attempt_delay));
    while (!lookup->done && stopped_ == stop::none &&
           std::chrono::steady_clock::now() < wake_.expiry())
        co_await wake_.async_wait(result_of);
    wake_.expires_at(never);
    throw_if_stopped();

    const bool is_current = lookup->done && !lookup->error;
    const bool failed = lookup->done && lookup->error != asio::error::host_not_found_try_again;
    if (is_current || (!failed && !lookup->previous.empty()))
        co_return is_current ? lookup->endpoints : lookup->previous;
    cause_ = "cannot connect: " + lookup->error.message();
    fail();
}

asio::awaitable<void> client_call::connect()
{
    if (!pool_->target().socket_path.empty())
        co_await connect_unix();
    else
        co_await connect_tcp();
}

asio::awaitable<void> client_call::connect_unix()
{
    const auto& path = pool_->target().socket_path;
    sockaddr_un longest{};
    error_code error = asio::error::name_too_long;
    if (path.size() < sizeof longest.sun_path) {
        connection_ = std::make_unique<client_connection>(stream_socket(strand()));
        const asio::local::stream_protocol::endpoint endpoint(path);
        const auto result = co_await connection_->peer.socket().async_connect(endpoint, result_of);
        error = std::get<0>(result);
        throw_if_stopped();
    }
    if (error) {
        cause_ = "cannot connect: " + error.message();
        connection_.reset();
        fail();
    }
}

asio::awaitable<void> client_call::connect_tcp()
{
    auto endpoints = co_await resolve();
    const auto race = std::make_shared<connect_race>(strand(), std::move(endpoints),
                                                     pool_->options().attempt_delay);
    race->start([self = shared_from_this()] { self->wake_.cancel(); });
    while (!race->done() && stopped_ == stop::none)
        co_await wake_.async_wait(result_of);
    if (stopped_ != stop::none)
        race->stop();
    throw_if_stopped();
    if (race->error()) {
        cause_ = "cannot connect: " + race->error().message();
        fail();
    }
    pool_->prefer_endpoint(race->winner());
    connection_ = std::make_unique<client_connection>(race->take_socket());
    error_code ignored;
    connection_->peer.socket().set_option(tcp::no_delay(true), ignored);
    if (pool_->tls())
        co_await secure();
}

/// The request is sent after the peer has shown a valid certificate.
asio::awaitable<void> client_call::secure()
{
    const auto result = co_await connection_->peer.handshake(pool_->tls(), pool_->target().host);
    throw_if_stopped();
    if (const auto error = std::get<0>(result)) {
        cause_ = "cannot connect: " + connection_->peer.handshake_fault(error);
        connection_.reset();
        fail();
    }
}

/// Sends the request; returns whether the peer may answer.
asio::awaitable<bool> client_call::send()
{
    head_.clear();
    write_request_head(head_, request_, pool_->target());
    const std::array buffers{asio::const_buffer(head_.data(), head_.size()),
                             asio::const_buffer(request_.body.data(), request_.body.size())};
    const auto result = co_await connection_->peer.write(buffers);
    const auto error = std::get<0>(result);
    const auto sent = std::get<1>(result);
    sent_any_ = sent_any_ || sent > 0;
    reusable_ = !error;
    if (error)
        cause_ = "sending failed: " + error.message();
    // A peer that refuses a large request may have answered before it closed.
    co_return sent > 0;
}

asio::awaitable<client_call::outcome> client_call::exchange(client_response& answer)
{
    const bool sent = co_await send();
    if (!sent || stopped_ != stop::none)
        co_return was_idle_ ? outcome::stale : outcome::failed;

    response_reader reader(request_.method == "HEAD", pool_->options().body_limit);
    auto& buffer = connection_->buffer;
    for (;;) {
        const auto bytes = buffer.cdata();
        std::size_t consumed = 0;
        auto got = reader.read({static_cast<const char*>(bytes.data()), bytes.size()}, consumed);
        buffer.consume(consumed);
        if (got == response_reader::result::need_more) {
            const auto space = buffer.prepare(read_size);
            const auto result = co_await connection_->peer.read_some(space);
            const auto error = std::get<0>(result);
            if (stopped_ != stop::none)
                co_return outcome::failed;
            buffer.commit(std::get<1>(result));
            if (!error)
                continue;
            got = reader.end();
            reusable_ = false;
            if (error != asio::error::eof || got != response_reader::result::complete) {
                cause_ = error == asio::error::eof ? reader.fault()
                                                   : "receiving failed: " + error.message();
                const bool stale = was_idle_ && !reader.started() && may_repeat();
                co_return stale ? outcome::stale : outcome::failed;
            }
        }
        if (got == response_reader::result::failed) {
            reusable_ = false;
            cause_ = reader.fault();
            co_return outcome::failed;
        }
        reusable_ = reusable_ && reader.keep_alive() && buffer.size() == 0;
        answer = reader.take();
        co_return outcome::answered;
    }
}

void client_call::throw_if_stopped() const
{
    if (stopped_ == stop::cancelled)
        throw boost::system::system_error(asio::error::operation_aborted, "http request");
    if (stopped_ != stop::none)
        fail();
}

void client_call::fail() const
{
    std::string cause = cause_;
    if (stopped_ == stop::timed_out)
        cause = "it took too long";
    else if (stopped_ == stop::no_place)
        cause = "it waited too long for a connection";
    const auto& where = pool_->target();
    const auto host = where.socket_path.empty()
                          ? fmt::format("{}://{}", where.secure ? "https" : "http", where.authority)
                          : "unix:" + where.socket_path + " ";
    throw client_error(
        sent_any_ ? failure::ambiguous : failure::not_sent,
        fmt::format("{} {}{}{}: {}", request_.method, host, where.path, request_.target, cause));
}

/// Whether the peer may act on this request twice.
bool client_call::may_repeat() const
{
    constexpr std::array methods{"GET", "HEAD", "PUT", "DELETE"};
    if (std::ranges::find(methods, request_.method) != methods.end())
        return true;
    return std::ranges::any_of(request_.headers, [](const auto& header) {
        return equal_ignoring_case(header.first, "Idempotency-Key");
    });
}

} // namespace pawl::http::detail
