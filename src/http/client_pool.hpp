#pragma once

#include "http/stream.hpp"
#include "http/url.hpp"
#include "pawl/http/client.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace pawl::http::detail {

struct client_connection {
    explicit client_connection(boost::asio::ip::tcp::socket connected) : peer(std::move(connected))
    {
    }

    stream peer;
    boost::beast::flat_buffer buffer;
    std::chrono::steady_clock::time_point idle_since;
};

using connection_ptr = std::unique_ptr<client_connection>;

/// The look-up of the host's addresses. Requests that need one at the same time share it, and one
/// that gives up leaves it behind: it cannot be interrupted.
struct address_lookup {
    explicit address_lookup(const boost::asio::any_io_executor& strand) : resolver(strand) {}

    boost::asio::ip::tcp::resolver resolver;
    bool done = false;
    boost::system::error_code error;
    std::chrono::steady_clock::time_point done_at;         ///< of a look-up by name
    std::vector<boost::asio::ip::tcp::endpoint> endpoints; ///< in the order to try them in
    std::vector<std::function<void()>> when_done;
};

/// A request that waits for a place.
class place_waiter {
public:
    /// A place is the waiter's now, with a connection or without.
    virtual void granted(connection_ptr connection) = 0;

protected:
    ~place_waiter() = default;
};

/// The connections of a client. A place is the right to have one; there are
/// client_options::max_connections of them, and waiters get them in the order in which they came.
/// Everything happens on the strand.
class client_pool : public std::enable_shared_from_this<client_pool> {
public:
    /// @param tls Set for https.
    client_pool(boost::asio::any_io_executor strand, url where, client_options options,
                std::shared_ptr<tls_context> tls);

    const boost::asio::any_io_executor& strand() const noexcept { return strand_; }
    const url& where() const noexcept { return where_; }
    const client_options& options() const noexcept { return options_; }
    const std::shared_ptr<tls_context>& tls() const noexcept { return tls_; }

    /// Calls `waiter.granted` at once or later, once. False when too many wait already; then it
    /// never does.
    bool take_place(place_waiter& waiter);

    /// Withdraws a waiter that has not been granted a place; else does nothing.
    void forget(place_waiter& waiter);

    /// Gives a place back, with a connection that can be used again or with none.
    void give_back(connection_ptr connection);

    /// The one that is under way, a recent one, or a new one. It is done already for a literal
    /// address.
    std::shared_ptr<address_lookup> look_up();

    /// Has this address tried first, as long as it is known.
    void prefer(const boost::asio::ip::tcp::endpoint& answered);

    /// Closes idle connections; from now on none is kept.
    void close();

private:
    void drop_expired();
    connection_ptr take_idle();

    boost::asio::any_io_executor strand_;
    url where_;
    client_options options_;
    std::shared_ptr<tls_context> tls_;

    std::deque<connection_ptr> idle_; ///< the longest idle first
    std::deque<place_waiter*> waiters_;
    std::size_t places_ = 0; ///< in use, or held by an idle connection
    std::shared_ptr<address_lookup> lookup_;
    bool closed_ = false;
};

} // namespace pawl::http::detail
