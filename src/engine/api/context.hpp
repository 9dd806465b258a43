#pragma once

#include "async/task_scope.hpp"
#include "engine/cluster/shard_map.hpp"
#include "engine/run/commit_queue.hpp"
#include "engine/run/engine_clock.hpp"
#include "pawl/clock.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/log.hpp"
#include "pawl/observer.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace pawl::engine_detail {

class active_runs;
class crash_suspects;
class due_scanner;
class shard_manager;
class concurrency_limiter;
class watcher;
class watchers;

/// How much one read of the store asks for.
constexpr std::size_t page_size = 256;

/// Between a call that the store failed and the next attempt.
constexpr duration failure_pause = std::chrono::seconds{1};

/// Until a time of the wall clock is looked at again: so late at worst is noticed that the clock
/// was set forward.
constexpr duration longest_sleep = std::chrono::minutes{1};

/// Until a run that needs a newer program is tried again; another engine takes it up at once.
constexpr duration too_old_pause = std::chrono::minutes{1};

/// Ends early when the timer is cancelled.
boost::asio::awaitable<void> wait(timer& on, duration span);

/// One workflow in an engine.
struct workflow_entry {
    std::shared_ptr<const detail::workflow_impl> impl;

    /// Where the definition stands among those of all programs, see definition_log; 0: not yet.
    std::atomic<std::uint64_t> definition_position{0};

    std::uint64_t definitions_read = 0; ///< up to where, by who looks for newer ones

    /// A program with a newer definition of it has been here.
    std::atomic<bool> outdated{false};

    /// Data of a newer program have come: its shards are for engines of that. The log has said so.
    std::atomic<bool> too_old{false};

    /// That, and such an engine is alive.
    std::atomic<bool> left_to_others{false};

    /// The log has said once that stored objects of it have members that the program ignores.
    std::atomic<bool> told_of_ignored{false};

    std::map<int, std::unique_ptr<concurrency_limiter>>
        limiters; ///< of the steps that limit `max_concurrency`
};

/// What the parts of one engine share. Everything in it lives as long as the engine.
struct context {
    boost::asio::any_io_executor executor;
    record_store& store;
    engine_clock& clock;
    const log_sink& log;
    pawl::observer* observer;      ///< may be null
    async::task_scope& running;    ///< handlers, calls and what they need: a stop waits for them
    async::task_scope& background; ///< what serves those until the last of them has ended
    commit_queue& commits;
    active_runs* active = nullptr;
    due_scanner* due = nullptr;
    crash_suspects* suspects = nullptr;
    shard_manager* shards = nullptr;
    watchers* watching = nullptr;

    /// Tells a watcher, which has been added, what the store says of its run. From inside the task
    /// scope, for whose place it takes over.
    std::function<void(std::shared_ptr<watcher>)> look;

    std::map<std::string, workflow_entry, std::less<>> workflows; ///< fixed once started

    /// Of the engine's workflows; fixed once started.
    shard_map layout;
    /// By shard; 0: not driven by this engine, as at the last place, which stands for the shards of
    /// workflows that it does not know.
    std::vector<std::atomic<std::uint64_t>> epochs;

    std::size_t max_active_runs;
    std::size_t urgent_runs;
    std::size_t max_waiting_handlers;
    std::size_t max_object_size;
    duration cancellation_grace;

    std::atomic<bool> stopping{false};   ///< no handler begins any more
    std::atomic<bool> cancelling{false}; ///< the drain is over: what still runs is cancelled

    /// Data of the workflow need a newer program. True the first time, when it is to be logged.
    bool found_too_old(workflow_entry& entry);

    bool owns(std::uint32_t shard) const { return epochs[shard] != 0; }

    /// Workflows without an engine that the log has told of.
    std::mutex reported_mutex;
    std::set<std::string, std::less<>> reported;

    /// True the first time.
    bool report_once(const std::string& workflow)
    {
        const std::lock_guard lock{reported_mutex};
        return reported.insert(workflow).second;
    }

    /// A place of `epochs`.
    std::uint32_t shard_of(const record& run) const
    {
        return layout.shard_of(run.workflow, run.foreign_id);
    }
};

} // namespace pawl::engine_detail
