#pragma once

#include "engine/log_follower.hpp"
#include "pawl/retry_policy.hpp"

#include <boost/asio/awaitable.hpp>

#include <exception>
#include <memory>
#include <optional>

namespace pawl::engine_detail {

/// Runs the hooks of one workflow from the log. At least once; in the order of a run's events.
class hook_runner {
public:
    hook_runner(context& shared, const detail::workflow_impl& workflow, retry_policy retry);

    log_follower& follower() const noexcept { return *follower_; }
    const std::string& workflow() const noexcept { return workflow_.rules.name; }

private:
    bool wants(const event_glance& what) const;
    boost::asio::awaitable<bool> work(lane& within, const event& what);
    boost::asio::awaitable<bool> run_hook(lane& within, const detail::hook& hook, const event& what,
                                          record& seen);
    void report(const event& what, const record& seen, int attempt, duration took,
                const std::exception_ptr& failure, bool last) const;
    void report_too_old(const event& what, const std::exception_ptr& failure) const;
    boost::asio::awaitable<bool> read_run(lane& within, std::optional<record>& into);

    context& shared_;
    const detail::workflow_impl& workflow_;
    const retry_policy retry_;
    const std::shared_ptr<log_follower> follower_;
};

} // namespace pawl::engine_detail
