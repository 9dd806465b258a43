#pragma once

#include "pawl/request_queue.hpp"
#include "stores/postgres/notifier.hpp"
#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"

#include <memory>

namespace pawl::postgres {

/// The requests that the functions `start` and `send` of the schema have stored.
class sql_requests final : public request_queue {
public:
    sql_requests(std::shared_ptr<pool> sessions, std::shared_ptr<const queries> statements,
                 std::shared_ptr<notifier> notifications)
        : sessions_(std::move(sessions)), statements_(std::move(statements)),
          notifier_(std::move(notifications))
    {
    }

    boost::asio::awaitable<std::vector<stored_request>>
    take(std::vector<std::string> workflows, std::size_t limit, duration lease) override;
    boost::asio::awaitable<void> settle(std::vector<std::uint64_t> done,
                                        std::vector<std::uint64_t> failed, duration delay) override;
    std::shared_ptr<void> subscribe(std::function<void()> handler) override
    {
        return notifier_->subscribe_to_requests(std::move(handler));
    }

private:
    const std::shared_ptr<pool> sessions_;
    const std::shared_ptr<const queries> statements_;
    const std::shared_ptr<notifier> notifier_;
};

} // namespace pawl::postgres
