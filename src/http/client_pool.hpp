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
    explicit client_connection(stream_socket connected) : peer(std::move(connected)) {}

    stream peer;
    boost::beast::flat_buffer buffer;
    std::chrono::steady_clock::time_point idle_since;
};

using connection_ptr = std::unique_ptr<client_connection>;

/// A look-up of the host's addresses. Concurrent requests share it, and it outlives a request that
/// is cancelled.
struct address_lookup {
    bool done = false;
    boost::system::error_code error;
    std::chrono::steady_clock::time_point began_at; ///< as done_at, of a look-up by name
    std::chrono::steady_clock::time_point done_at;
    std::vector<boost::asio::ip::tcp::endpoint> endpoints; ///< in the order to try them in
    std::vector<boost::asio::ip::tcp::endpoint> previous;  ///< of the look-up before this one
    std::vector<std::function<void()>> when_done;
};

/// A request that waits for a place.
class place_waiter {
public:
    /// The waiter has got a place, with an idle connection or nullptr.
    virtual void granted(connection_ptr connection) = 0;

protected:
    ~place_waiter() = default;
};

/// The connections of a client. A place is the right to open a connection; there are
/// client_options::max_connections places, and waiters get them in order. All functions run on the
/// strand.
class client_pool : public std::enable_shared_from_this<client_pool> {
public:
    /// @param tls Set for https.
    client_pool(boost::asio::any_io_executor strand, url target, client_options options,
                std::shared_ptr<tls_context> tls);

    const boost::asio::any_io_executor& strand() const noexcept { return strand_; }
    const url& target() const noexcept { return target_; }
    const client_options& options() const noexcept { return options_; }
    const std::shared_ptr<tls_context>& tls() const noexcept { return tls_; }

    /// Calls `waiter.granted` once, at once or later. Returns false, and never calls it, if
    /// client_options::max_waiting requests wait already.
    bool acquire_place(place_waiter& waiter);

    /// Removes the waiter from the queue, if it is there.
    void withdraw_waiter(place_waiter& waiter);

    /// Releases a place, with a reusable connection or nullptr.
    void release_place(connection_ptr connection);

    /// Returns the pending or a recent look-up, or begins one. A literal address is done at once.
    std::shared_ptr<address_lookup> look_up_host();

    /// Moves the endpoint to the front of the current look-up's result.
    void prefer_endpoint(const boost::asio::ip::tcp::endpoint& answered);

    /// Closes idle connections. No connection is kept afterwards.
    void close();

private:
    void close_expired();
    connection_ptr take_idle();

    boost::asio::any_io_executor strand_;
    url target_;
    client_options options_;
    std::shared_ptr<tls_context> tls_;

    std::deque<connection_ptr> idle_; ///< the longest idle first
    std::deque<place_waiter*> waiters_;
    std::size_t places_ = 0; ///< in use, or held by an idle connection
    std::shared_ptr<address_lookup> lookup_;
    bool closed_ = false;
};

} // namespace pawl::http::detail
