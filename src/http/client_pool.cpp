#include "http/client_pool.hpp"

#include "http/connect_race.hpp"
#include "http/host_lookup.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace pawl::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

/// Whether an idle connection has received nothing. After the peer's end or a byte it cannot be
/// used again; with TLS, that byte may be part of a protocol message.
bool is_quiet(client_connection& connection)
{
    char byte = 0;
    const auto size =
        ::recv(connection.peer.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

} // namespace

client_pool::client_pool(asio::any_io_executor strand, url target, client_options options,
                         std::shared_ptr<tls_context> tls)
    : strand_(std::move(strand)), target_(std::move(target)), options_(std::move(options)),
      tls_(std::move(tls))
{
}

bool client_pool::acquire_place(place_waiter& waiter)
{
    close_expired();
    if (auto connection = take_idle()) {
        waiter.granted(std::move(connection));
    } else if (places_ < options_.max_connections) {
        ++places_;
        waiter.granted(nullptr);
    } else {
        if (waiters_.size() >= options_.max_waiting)
            return false;
        waiters_.push_back(&waiter);
    }
    return true;
}

void client_pool::withdraw_waiter(place_waiter& waiter)
{
    std::erase(waiters_, &waiter);
}

void client_pool::release_place(connection_ptr connection)
{
    if (!waiters_.empty()) {
        auto& next = *waiters_.front();
        waiters_.pop_front();
        if (connection && !is_quiet(*connection))
            connection.reset();
        next.granted(std::move(connection));
        return;
    }
    if (!connection || closed_) {
        --places_;
        return;
    }
    connection->idle_since = std::chrono::steady_clock::now();
    idle_.push_back(std::move(connection));
    close_expired();
}

std::shared_ptr<address_lookup> client_pool::look_up_host()
{
    const auto now = std::chrono::steady_clock::now();
    if (lookup_ && !lookup_->done && now - lookup_->began_at < options_.timeout)
        return lookup_;
    if (lookup_ && lookup_->done && !lookup_->error &&
        now - lookup_->done_at < options_.address_lifetime)
        return lookup_;

    auto lookup = std::make_shared<address_lookup>();
    boost::system::error_code error;
    const auto literal = asio::ip::make_address(target_.host, error);
    if (!error) {
        lookup->done = true;
        lookup->endpoints.emplace_back(literal, target_.port);
        return lookup;
    }
    lookup->began_at = now;
    if (lookup_)
        lookup->previous = lookup_->endpoints.empty() ? lookup_->previous : lookup_->endpoints;
    detail::look_up_host(strand_, target_.host, target_.port, [lookup](host_addresses found) {
        lookup->done = true;
        lookup->error = found.error;
        lookup->done_at = std::chrono::steady_clock::now();
        lookup->endpoints = alternate_families(found.endpoints);
        for (const auto& handler : std::exchange(lookup->when_done, {}))
            handler();
    });
    lookup_ = lookup;
    return lookup;
}

void client_pool::prefer_endpoint(const tcp::endpoint& answered)
{
    if (!lookup_ || !lookup_->done)
        return;
    auto& endpoints = lookup_->endpoints;
    const auto known = std::ranges::find(endpoints, answered);
    if (known != endpoints.end())
        std::rotate(endpoints.begin(), known, known + 1);
}

void client_pool::close()
{
    closed_ = true;
    lookup_.reset();
    places_ -= idle_.size();
    idle_.clear();
}

void client_pool::close_expired()
{
    const auto now = std::chrono::steady_clock::now();
    while (!idle_.empty() && now - idle_.front()->idle_since >= options_.idle_timeout) {
        idle_.pop_front();
        --places_;
    }
}

/// Takes the connection that was used last, so that the others expire.
connection_ptr client_pool::take_idle()
{
    while (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        if (is_quiet(*connection))
            return connection;
        --places_;
    }
    return nullptr;
}

} // namespace pawl::http::detail
