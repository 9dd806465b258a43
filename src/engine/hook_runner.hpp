#pragma once

#include "engine/context.hpp"
#include "pawl/retry_policy.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// Runs the hooks of one workflow from the log, behind a durable cursor per shard.
///
/// At least once: the cursor moves after a page of events has been worked off. Events of one run
/// are worked off in order, different runs beside each other. Nothing waits for a hook but the
/// hooks of the next page.
class hook_runner : public std::enable_shared_from_this<hook_runner> {
public:
    hook_runner(context& shared, const detail::workflow_impl& workflow, retry_policy retry);

    void start();

    /// Begins no hook any more, and ends the waits between attempts.
    void stop();

    /// Cancels the hooks that are running.
    void interrupt();

    /// A transition has been committed, or may have been. Any thread.
    void committed(const transition& change);

private:
    struct page;

    /// The hooks of one run's events in a page.
    struct series {
        std::vector<event> events;
        boost::asio::cancellation_signal cancel;
        std::unique_ptr<timer> pause; ///< between two attempts
        bool in_hook = false;
    };

    boost::asio::awaitable<void> work();
    boost::asio::awaitable<void> work_off(std::uint32_t shard);
    boost::asio::awaitable<bool> read_page(std::uint32_t shard, page& into);
    boost::asio::awaitable<void> run_page(page& events);
    boost::asio::awaitable<void> run_series(std::shared_ptr<series> of_one_run);
    boost::asio::awaitable<void> run_hook(series& within, const detail::hook& hook,
                                          const event& what);
    boost::asio::awaitable<void> read_run(series& within, run_id run, std::optional<record>& into);
    boost::asio::awaitable<void> sleep(timer& clock, duration span);
    void wake();

    context& shared_;
    const detail::workflow_impl& workflow_;
    const retry_policy retry_;
    const std::string cursor_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<std::atomic<bool>[]>
        news_;                             ///< by shard: the log has events that were not looked at
    std::vector<std::uint64_t> positions_; ///< by shard
    std::vector<std::shared_ptr<series>> running_; ///< of the page that is being worked off
    std::unique_ptr<timer> timer_; ///< waits for news, or for a page to be worked off
    std::atomic<bool> woken_{false};
};

} // namespace pawl::engine_detail
