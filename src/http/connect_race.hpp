#pragma once

#include "pawl/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace pawl::http::detail {

/// Connects to the first of several addresses that answers: RFC 8305, section 5. The next attempt
/// begins when the previous one has failed or `delay` has passed; both then run concurrently.
///
/// All functions run on the strand. Pending operations keep the object alive.
class connect_race : public std::enable_shared_from_this<connect_race> {
public:
    /// @param delay Between two attempts, if the first one does not fail before.
    connect_race(const boost::asio::any_io_executor& strand,
                 std::vector<boost::asio::ip::tcp::endpoint> endpoints, duration delay);

    /// Calls `when_done` once, after start() has returned, unless stop() is called first.
    void start(std::function<void()> when_done);

    /// Ends all attempts. Idempotent.
    void stop();

    bool done() const noexcept { return done_; }

    // Precondition of the following functions: done().

    /// The error of the last attempt that failed; none if an attempt succeeded.
    boost::system::error_code error() const noexcept { return error_; }
    boost::asio::ip::tcp::socket take_socket() { return std::move(attempts_[winner_]); }
    const boost::asio::ip::tcp::endpoint& winner() const noexcept { return endpoints_[winner_]; }

private:
    void try_next();
    void connected(std::size_t attempt, boost::system::error_code error);
    void finish();

    boost::asio::any_io_executor strand_;
    std::vector<boost::asio::ip::tcp::endpoint> endpoints_;
    duration delay_;
    boost::asio::steady_timer timer_;
    std::function<void()> when_done_;
    std::deque<boost::asio::ip::tcp::socket> attempts_; ///< to the first endpoints
    std::size_t failed_ = 0;
    std::size_t winner_ = 0;
    boost::system::error_code error_;
    bool done_ = false;
};

/// Alternates the address families, beginning with the family of the first endpoint: RFC 8305,
/// section 4. Within a family the order is kept.
std::vector<boost::asio::ip::tcp::endpoint>
alternate_families(const std::vector<boost::asio::ip::tcp::endpoint>& endpoints);

} // namespace pawl::http::detail
