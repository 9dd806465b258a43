#pragma once

#include "http/client_pool.hpp"
#include "http/http_span.hpp"
#include "http/response_reader.hpp"
#include "pawl/http/client.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <string>
#include <vector>

namespace pawl::http::detail {

/// One request, from its wait for a place to its answer. A coroutine on the pool's strand, which
/// end() can stop at any time: that closes the socket or wakes the coroutine, which then looks at
/// why.
class client_call final : public place_waiter, public std::enable_shared_from_this<client_call> {
public:
    client_call(std::shared_ptr<client_pool> pool, client_request request);

    const boost::asio::any_io_executor& strand() const noexcept { return pool_->strand(); }

    /// On the strand.
    boost::asio::awaitable<client_response> run(std::shared_ptr<client_call> self);

    /// Has the effect of cancelling run(). On the strand.
    void cancel();

    void granted(connection_ptr connection) override;

private:
    enum class stop { none, no_place, timed_out, cancelled };
    enum class outcome { answered, failed, stale };

    void arm_limit(duration span, stop reason);
    void stop_call(stop reason);
    void finish() noexcept;
    boost::asio::awaitable<void> wait_for_place();
    boost::asio::awaitable<std::vector<boost::asio::ip::tcp::endpoint>> resolve();
    boost::asio::awaitable<void> connect();
    boost::asio::awaitable<void> connect_tcp();
    boost::asio::awaitable<void> connect_unix();
    boost::asio::awaitable<void> secure();
    boost::asio::awaitable<outcome> exchange(client_response& answer);
    boost::asio::awaitable<bool> send();
    void throw_if_stopped() const;
    [[noreturn]] void fail() const;
    bool may_repeat() const;
    void end_span() noexcept;

    std::shared_ptr<client_pool> pool_;
    client_request request_;
    boost::asio::steady_timer limit_;
    boost::asio::steady_timer wake_;

    stop stopped_ = stop::none;
    unsigned limit_generation_ = 0; ///< identifies the current wait of `limit_`
    bool has_place_ = false;
    bool was_idle_ = false; ///< the connection served another request before this one
    bool reusable_ = false; ///< the connection may serve another request after this one
    bool sent_any_ = false; ///< in any attempt
    connection_ptr connection_;
    std::string head_;
    std::string cause_; ///< the last failure
    http_span span_;    ///< for client_options::tracing
    int status_ = 0;    ///< of the answer; 0: none
};

} // namespace pawl::http::detail
