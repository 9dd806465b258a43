#pragma once

#include "async/task_scope.hpp"
#include "async/timed_wait.hpp"
#include "engine/cluster/shard_map.hpp"
#include "engine/run/commit_queue.hpp"
#include "engine/run/engine_clock.hpp"
#include "pawl/clock.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/log.hpp"
#include "pawl/observer.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/any_io_executor.hpp>

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

using async::wait;

class active_runs;
class crash_suspects;
class due_scanner;
class run_calls;
class shard_manager;
class run_limiter;
struct limited_step;
class watcher;
class watchers;

/// Records or events that one read of the store asks for.
constexpr std::size_t page_size = 256;

/// The wait before a failed call of the store is repeated.
constexpr duration failure_pause = std::chrono::seconds{1};

/// The longest wait for a time of the wall clock before the clock is read again. It bounds how late
/// an engine notices that the clock was set forward.
constexpr duration longest_sleep = std::chrono::minutes{1};

/// The wait before a run that needs a newer program is tried again. An engine of such a program
/// takes the run up at once.
constexpr duration too_old_pause = std::chrono::minutes{1};

/// One workflow in an engine.
struct engine_workflow {
    std::shared_ptr<const detail::workflow_impl> impl;

    /// Position of the definition in its definition_log; 0 until it is known.
    std::atomic<std::uint64_t> definition_position{0};

    std::uint64_t definitions_read = 0; ///< position up to which newer definitions were searched

    /// A program with a newer definition has been started on the store.
    std::atomic<bool> outdated{false};

    /// Data of a newer program were read: the shards belong to engines of that program. Logged.
    std::atomic<bool> too_old{false};

    /// `too_old`, and an engine of a newer program is alive.
    std::atomic<bool> left_to_others{false};

    /// It was logged that stored objects have members that the program ignores.
    std::atomic<bool> ignored_members_logged{false};
    std::atomic<bool> missing_attributes_logged{false};

    std::map<int, limited_step*> limited_steps; ///< by status, for steps with limits
};

/// The parts of one engine and the settings that they share. All of them live as long as the
/// engine.
struct engine_parts {
    boost::asio::any_io_executor executor;
    record_store& store;
    engine_clock& clock;
    const log_sink& log;
    pawl::observer* observer;      ///< may be null
    trace_policy tracing;          ///< of the observer
    async::task_scope& running;    ///< handlers and calls; a stop waits for them first
    async::task_scope& background; ///< serves `running` until its last coroutine has ended
    commit_queue& commits;
    active_runs* active = nullptr;
    due_scanner* due = nullptr;
    crash_suspects* suspects = nullptr;
    run_limiter* limiter = nullptr;
    shard_manager* shards = nullptr;
    watchers* watching = nullptr;
    run_calls* calls = nullptr;

    /// Reads the run of a watcher that has been added, and notifies the watcher. The caller is
    /// inside the task scope; the call takes over its place there.
    std::function<void(std::shared_ptr<watcher>)> check_watcher;

    std::map<std::string, engine_workflow, std::less<>> workflows; ///< fixed once started

    /// The shards of the engine's workflows; fixed once started.
    shard_map layout;
    /// By shard; 0 if this engine does not drive the shard. The last entry, always 0, stands for
    /// the shards of workflows that the engine does not know.
    std::vector<std::atomic<std::uint64_t>> epochs;

    std::size_t max_active_runs;
    std::size_t urgent_runs;
    std::size_t max_waiting_handlers;
    std::size_t max_object_size;
    duration cancellation_grace;

    std::atomic<bool> stopping{false};   ///< no further handler begins
    std::atomic<bool> cancelling{false}; ///< the drain is over: running handlers are cancelled
    /// Counts acquisitions of shards. What was read of a run before one of them may be outdated:
    /// see shard_manager.
    std::atomic<std::uint64_t> acquisitions{0};

    /// Notes that data of the workflow need a newer program. True the first time, for the log.
    bool mark_too_old(engine_workflow& entry);

    bool owns(std::uint32_t shard) const { return epochs[shard] != 0; }

    /// Workflows without an engine that have been logged.
    std::mutex reported_mutex;
    std::set<std::string, std::less<>> reported;

    /// True the first time.
    bool report_once(const std::string& workflow)
    {
        const std::lock_guard lock{reported_mutex};
        return reported.insert(workflow).second;
    }

    /// An index of `epochs`.
    std::uint32_t shard_of(const record& run) const
    {
        return layout.shard_of(run.workflow, run.foreign_id);
    }
};

} // namespace pawl::engine_detail
