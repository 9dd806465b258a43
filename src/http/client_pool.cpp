#include "http/client_pool.hpp"

#include "http/connect_race.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace pawl::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

/// An idle connection has nothing to say: an end or a byte means that it cannot be used again. That
/// holds within TLS too, where the byte may be a message of the protocol.
bool is_quiet(client_connection& connection)
{
    char byte = 0;
    const auto got =
        ::recv(connection.peer.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

} // namespace

client_pool::client_pool(asio::any_io_executor strand, url where, client_options options,
                         std::shared_ptr<tls_context> tls)
    : strand_(std::move(strand)), where_(std::move(where)), options_(std::move(options)),
      tls_(std::move(tls))
{
}

bool client_pool::take_place(place_waiter& waiter)
{
    drop_expired();
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

void client_pool::forget(place_waiter& waiter)
{
    std::erase(waiters_, &waiter);
}

void client_pool::give_back(connection_ptr connection)
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
    drop_expired();
}

std::shared_ptr<address_lookup> client_pool::look_up()
{
    const auto now = std::chrono::steady_clock::now();
    if (lookup_ &&
        (!lookup_->done || (!lookup_->error && now - lookup_->done_at < options_.address_lifetime)))
        return lookup_;

    auto lookup = std::make_shared<address_lookup>(strand_);
    boost::system::error_code error;
    const auto literal = asio::ip::make_address(where_.host, error);
    if (!error) {
        lookup->done = true;
        lookup->endpoints.emplace_back(literal, where_.port);
        return lookup;
    }
    lookup->resolver.async_resolve(
        where_.host, std::to_string(where_.port), tcp::resolver::numeric_service,
        [lookup](boost::system::error_code failure, const tcp::resolver::results_type& found) {
            lookup->done = true;
            lookup->error = failure;
            lookup->done_at = std::chrono::steady_clock::now();
            std::vector<tcp::endpoint> endpoints;
            for (const auto& entry : found)
                endpoints.push_back(entry.endpoint());
            lookup->endpoints = alternate_families(endpoints);
            for (const auto& tell : std::exchange(lookup->when_done, {}))
                tell();
        });
    lookup_ = lookup;
    return lookup;
}

void client_pool::prefer(const tcp::endpoint& answered)
{
    if (!lookup_ || !lookup_->done)
        return;
    auto& all = lookup_->endpoints;
    const auto at = std::ranges::find(all, answered);
    if (at != all.end())
        std::rotate(all.begin(), at, at + 1);
}

void client_pool::close()
{
    closed_ = true;
    lookup_.reset();
    places_ -= idle_.size();
    idle_.clear();
}

void client_pool::drop_expired()
{
    const auto now = std::chrono::steady_clock::now();
    while (!idle_.empty() && now - idle_.front()->idle_since >= options_.idle_timeout) {
        idle_.pop_front();
        --places_;
    }
}

/// The one that was used last: the others may then be idle long enough to be closed.
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
