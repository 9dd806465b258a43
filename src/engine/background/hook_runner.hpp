#pragma once

#include "engine/background/log_follower.hpp"
#include "engine/background/log_limiter.hpp"
#include "pawl/retry_policy.hpp"
#include "pawl/stream_event.hpp"

#include <boost/asio/awaitable.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>

namespace pawl::engine_detail {

/// How hooks are called.
struct hook_rules {
    retry_policy retry;
    duration attempt_timeout{}; ///< zero: none
};

/// Runs the hooks of one workflow from the log. At least once; in the order of a run's events.
///
/// Each hook has a cursor under its name. One that is new begins with what is committed from the
/// engine's start on; or at the beginning of the log, where the workflow says so, and where no run
/// of it has been driven before.
class hook_runner {
public:
    hook_runner(engine_parts& shared, const detail::workflow_impl& workflow, hook_rules rules);

    log_follower& follower() const noexcept { return *follower_; }
    const std::string& workflow() const noexcept { return workflow_.rules.name; }

    /// Stores where the new hooks begin. Before anything is driven; throws what the store throws.
    boost::asio::awaitable<void> begin();

    /// Calls the hook of a dead letter, once. Throws what it throws, or why it cannot be called.
    boost::asio::awaitable<void> redrive(stream_event letter);

private:
    bool wants(const event_glance& what) const;
    boost::asio::awaitable<bool> work(lane& within, const event& what);
    boost::asio::awaitable<bool> run_hook(lane& within, const detail::declared_hook& hook,
                                          const event& what, const record& seen);
    boost::asio::awaitable<std::exception_ptr> try_hook(lane& within,
                                                        const detail::declared_hook& hook,
                                                        const event& what, const record& seen);
    void limit_attempt(lane& within, const std::shared_ptr<bool>& late);
    boost::asio::awaitable<bool> bury(lane& within, const detail::declared_hook& hook,
                                      const event& what, int attempts, std::string error);
    void report(const event& what, const record& seen, int attempt, duration took,
                const std::exception_ptr& failure, bool last);
    void report_too_old(const event& what, const std::exception_ptr& failure) const;
    boost::asio::awaitable<bool> read_run(lane& within, std::optional<record>& into);
    record in_present_version(record seen) const;

    engine_parts& shared_;
    const detail::workflow_impl& workflow_;
    const hook_rules rules_;
    const std::shared_ptr<log_follower> follower_;
    log_limiter lines_; ///< on the follower's strand
};

} // namespace pawl::engine_detail
