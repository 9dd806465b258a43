#include "pawl/http/server.hpp"

#include "core/option_check.hpp"
#include "http/connection.hpp"
#include "http/executors.hpp"
#include "http/listener.hpp"
#include "http/routes.hpp"
#include "pawl/error.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <unordered_map>
#include <utility>

#include <unistd.h>

namespace pawl::http {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto accept_pause = std::chrono::milliseconds{100};

void check_options(const server_options& options)
{
    const core::option_check check{"server_options::"};
    check.at_least("header_limit", options.header_limit, 1);
    check.at_least("max_connections", options.max_connections, 1);
    check.above_zero("read_timeout", options.read_timeout);
    check.above_zero("idle_timeout", options.idle_timeout);
    check.above_zero("write_timeout", options.write_timeout);
    check.above_zero("crowded_idle_timeout", options.crowded_idle_timeout);
    check.require(options.certificate_chain_file.empty() == options.private_key_file.empty(),
                  "certificate_chain_file and private_key_file must be set together");
}

} // namespace

/// Everything but construction and the constant members runs on the strand.
class server::impl : public std::enable_shared_from_this<impl> {
public:
    impl(asio::any_io_executor executor, std::vector<route> routes, server_options options,
         std::shared_ptr<detail::tls_context> tls)
        : executor_(std::move(executor)), strand_(detail::new_strand(executor_)),
          acceptor_(detail::listen_on(strand_, options)), port_(detail::port_of(acceptor_)),
          common_(std::make_shared<detail::service>(detail::service{
              detail::route_table(std::move(routes)), std::move(options), std::move(tls)})),
          wake_(strand_), drained_(strand_)
    {
        drained_.expires_at(std::chrono::steady_clock::time_point::max());
    }

    std::uint16_t port() const noexcept { return port_; }
    const std::string& address() const noexcept { return common_->options.address; }
    const std::string& socket_path() const noexcept { return common_->options.socket_path; }
    bool is_secure() const noexcept { return common_->tls != nullptr; }
    std::size_t connections() const noexcept { return count_; }

    void start()
    {
        asio::post(strand_, [self = shared_from_this()] { self->begin(); });
    }

    static asio::awaitable<void> stop(std::shared_ptr<impl> self, duration deadline)
    {
        // Without a cancellation slot, because a stop cannot be undone.
        co_await asio::co_spawn(
            self->strand_, self->stop_on_strand(self, deadline),
            asio::bind_cancellation_slot(asio::cancellation_slot{}, asio::use_awaitable));
    }

private:
    void begin();
    asio::awaitable<void> accept_all();
    asio::awaitable<void> wait_for_room();
    std::chrono::steady_clock::time_point close_longest_idle();
    asio::awaitable<void> pause_accepting(error_code failure);
    void accepting_ended(std::exception_ptr escaped);
    void start_connection(detail::stream_socket socket, asio::any_io_executor strand);
    void connection_ended(std::uint64_t id);
    asio::awaitable<void> stop_on_strand(std::shared_ptr<impl> self, duration deadline);
    void stop_accepting();
    void abort_all();

    asio::any_io_executor executor_;
    asio::any_io_executor strand_;
    detail::acceptor acceptor_;
    std::uint16_t port_;
    std::shared_ptr<const detail::service> common_;

    std::unordered_map<std::uint64_t, std::weak_ptr<detail::connection>> connections_;
    std::atomic<std::size_t> count_ = 0; ///< of connections_, for other threads
    std::uint64_t next_id_ = 0;
    bool started_ = false;
    bool accepting_ = false; ///< accept_all() runs
    bool stopping_ = false;
    bool accept_fails_ = false;

    asio::steady_timer wake_;    ///< a paused accept_all() waits for it
    asio::steady_timer drained_; ///< cancelled when the last connection, or accept_all(), ends
};

void server::impl::begin()
{
    if (started_ || stopping_)
        return;
    started_ = accepting_ = true;
    asio::co_spawn(strand_, accept_all(), [self = shared_from_this()](std::exception_ptr escaped) {
        self->accepting_ended(escaped);
    });
}

void server::impl::accepting_ended(std::exception_ptr escaped)
{
    accepting_ = false;
    drained_.cancel();
    if (!escaped)
        return;
    try {
        std::rethrow_exception(escaped);
    } catch (const std::exception& error) {
        common_->options.log(
            {log_level::error,
             fmt::format("http: no more connections are accepted: {}", error.what())});
    }
}

asio::awaitable<void> server::impl::accept_all()
{
    while (!stopping_) {
        if (connections_.size() >= common_->options.max_connections) {
            co_await wait_for_room();
            continue;
        }
        auto strand = detail::new_strand(executor_);
        detail::stream_socket socket(strand);
        const auto result =
            co_await acceptor_.async_accept(socket, asio::as_tuple(asio::use_awaitable));
        const auto error = std::get<0>(result);
        if (stopping_)
            break;
        if (!error) {
            accept_fails_ = false;
            start_connection(std::move(socket), std::move(strand));
        } else if (error != asio::error::connection_aborted) {
            co_await pause_accepting(error);
        }
    }
}

/// Completes when a connection has ended, or earlier. If a peer waits in the listen queue, closes
/// the connection that has been idle for longest.
asio::awaitable<void> server::impl::wait_for_room()
{
    const auto result = co_await acceptor_.async_wait(asio::socket_base::wait_read,
                                                      asio::as_tuple(asio::use_awaitable));
    if (std::get<0>(result) || stopping_ || connections_.size() < common_->options.max_connections)
        co_return;
    wake_.expires_at(close_longest_idle());
    co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
}

/// @return When to call it again, if no connection ends earlier.
std::chrono::steady_clock::time_point server::impl::close_longest_idle()
{
    const auto now = std::chrono::steady_clock::now();
    auto since = now;
    std::shared_ptr<detail::connection> longest;
    for (auto& [id, weak] : connections_) {
        auto open = weak.lock();
        const auto silent = open ? open->silent_since() : std::nullopt;
        if (!silent || *silent >= since)
            continue;
        since = *silent;
        longest = std::move(open);
    }
    const auto until = detail::from_now(common_->options.crowded_idle_timeout);
    if (!longest || since > now - (until - now))
        return until - (now - since);
    longest->make_room();
    return until;
}

/// Waits before the next accept. If no file descriptor is free, closes an idle connection.
asio::awaitable<void> server::impl::pause_accepting(error_code failure)
{
    if (!std::exchange(accept_fails_, true))
        common_->options.log({log_level::error, fmt::format("http: cannot accept connections: {}",
                                                            failure.message())});
    auto until = detail::from_now(accept_pause);
    if (failure == boost::system::errc::too_many_files_open ||
        failure == boost::system::errc::too_many_files_open_in_system)
        until = std::min(until, close_longest_idle());
    wake_.expires_at(until);
    co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
}

void server::impl::start_connection(detail::stream_socket socket, asio::any_io_executor strand)
{
    const auto id = next_id_++;
    auto added = std::make_shared<detail::connection>(
        common_, std::move(socket), std::move(strand), [self = shared_from_this(), id] {
            asio::post(self->strand_, [self, id] { self->connection_ended(id); });
        });
    connections_.emplace(id, added);
    count_ = connections_.size();
    added->start();
}

void server::impl::connection_ended(std::uint64_t id)
{
    connections_.erase(id);
    count_ = connections_.size();
    wake_.cancel();
    if (connections_.empty())
        drained_.cancel();
}

asio::awaitable<void> server::impl::stop_on_strand(std::shared_ptr<impl> self, duration deadline)
{
    stop_accepting();
    asio::steady_timer deadline_timer(strand_, detail::from_now(deadline));
    deadline_timer.async_wait([self](error_code error) {
        if (!error)
            self->abort_all();
    });
    while (accepting_ || !connections_.empty())
        co_await drained_.async_wait(asio::as_tuple(asio::use_awaitable));
}

void server::impl::stop_accepting()
{
    if (std::exchange(stopping_, true))
        return;
    error_code ignored;
    acceptor_.close(ignored);
    if (!socket_path().empty())
        ::unlink(socket_path().c_str());
    wake_.cancel();
    for (auto& [id, weak] : connections_)
        if (auto open = weak.lock())
            open->finish();
}

void server::impl::abort_all()
{
    for (auto& [id, weak] : connections_)
        if (auto open = weak.lock())
            open->abort();
}

server::server(asio::any_io_executor executor, std::vector<route> routes, server_options options)
{
    check_options(options);
    if (!options.log)
        options.log = [](const log_entry&) {
        };
    std::shared_ptr<detail::tls_context> tls;
    if (!options.certificate_chain_file.empty())
        tls = detail::tls_context::for_server(options.certificate_chain_file,
                                              options.private_key_file);
    impl_ = std::make_shared<impl>(std::move(executor), std::move(routes), std::move(options),
                                   std::move(tls));
}

server::~server() = default;
server::server(server&&) noexcept = default;

std::uint16_t server::port() const noexcept
{
    return impl_->port();
}

std::string server::url() const
{
    if (!impl_->socket_path().empty())
        return "unix:" + impl_->socket_path();
    const auto& address = impl_->address();
    const bool v6 = address.find(':') != address.npos;
    return fmt::format("{}://{}{}{}:{}", impl_->is_secure() ? "https" : "http", v6 ? "[" : "",
                       address, v6 ? "]" : "", port());
}

std::size_t server::connections() const noexcept
{
    return impl_->connections();
}

void server::start()
{
    impl_->start();
}

asio::awaitable<void> server::async_stop(any_duration deadline)
{
    return impl::stop(impl_, deadline);
}

} // namespace pawl::http
