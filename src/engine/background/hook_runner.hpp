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

/// The retry rules of hooks.
struct hook_rules {
    retry_policy retry;
    duration attempt_timeout{}; ///< zero: none
};

/// Runs the hooks of one workflow from the log: at least once, in the order of a run's events.
///
/// Each hook has a cursor under its name. A new hook begins with the commits after the engine's
/// start. It begins at the start of the log if the workflow says so, or no run of the workflow has
/// been driven before.
class hook_runner {
public:
    hook_runner(engine_parts& shared, const detail::workflow_impl& workflow, hook_rules rules);

    log_follower& follower() const noexcept { return *follower_; }
    const std::string& workflow() const noexcept { return workflow_.rules.name; }

    /// Stores the cursors of new hooks. Call it before any run is driven. Throws what the store
    /// throws.
    boost::asio::awaitable<void> create_cursors();

    /// Calls the hook of a dead letter once. Throws what the hook throws, and error if the hook or
    /// its run does not exist.
    boost::asio::awaitable<void> redrive(stream_event letter);

private:
    bool wants(const event_summary& event) const;
    boost::asio::awaitable<bool> process_event(run_lane& lane, const event& event);
    boost::asio::awaitable<bool> run_hook(run_lane& lane, const detail::declared_hook& hook,
                                          const event& event, const record& seen);
    boost::asio::awaitable<std::exception_ptr> try_hook(run_lane& lane,
                                                        const detail::declared_hook& hook,
                                                        const event& event, const record& seen);
    void limit_attempt(run_lane& lane, const std::shared_ptr<bool>& late);
    boost::asio::awaitable<bool> store_dead_letter(run_lane& lane,
                                                   const detail::declared_hook& hook,
                                                   const event& event, int attempts,
                                                   std::string error);
    void report_attempt(const detail::declared_hook& hook, const event& event, const record& seen,
                        int attempt, time_point began_at, const std::exception_ptr& failure,
                        bool last);
    void report_too_old(const event& event, const std::exception_ptr& failure) const;
    boost::asio::awaitable<bool> read_run(run_lane& lane, std::optional<record>& run);
    record in_present_version(record seen) const;

    engine_parts& shared_;
    const detail::workflow_impl& workflow_;
    const hook_rules rules_;
    const std::shared_ptr<log_follower> follower_;
    log_limiter lines_; ///< on the follower's strand
};

} // namespace pawl::engine_detail
