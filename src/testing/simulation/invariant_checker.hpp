#pragma once

#include "pawl/clock.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/event.hpp"
#include "pawl/message.hpp"
#include "pawl/record_store.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace pawl::testing::detail {

/// Checks the invariants of a simulation: each observation against the earlier ones, and all of
/// them against the contents of the store at the end.
class invariant_checker {
public:
    using workflow_impl = pawl::detail::workflow_impl;

    /// @param shards the number of shards of each workflow.
    explicit invariant_checker(std::uint32_t shards) : shards_(shards) {}

    /// A workflow may have several versions.
    void add_workflow(std::shared_ptr<const workflow_impl> workflow);

    /// Sets the first shard of a workflow.
    void set_first_shard(std::string workflow, std::uint32_t first);

    /// From now on, deadlines, time limits of messages and commands may be at most `allowed` late.
    void expect_punctuality(std::shared_ptr<const pawl::clock> clock, duration allowed);

    // Observations of the store.
    void batch_applied(const std::string& process, std::span<const change> batch,
                       const std::vector<apply_result>& results);
    void shard_claimed(const std::string& process, std::uint32_t shard, std::uint64_t epoch);
    void record_read(const record& actual);

    // What clients were told.
    void start_reported(const std::string& workflow, const std::string& foreign_id,
                        const std::string& key, run_id run, bool is_stored);
    void settlement_reported(run_id run, const settlement& reported,
                             const std::optional<settlement>& stored);
    void await_reported(const record& reported);

    // Calls of handlers and hooks.
    void timeout_armed(run_id run, int status, const std::string& timeout, time_point due,
                       time_point now);
    void timeout_started(const record& run, const std::string& timeout, time_point now);
    void deadline_moved(const record& run, const std::string& timeout);
    /// The process reads its hook cursor: it may have lost the shard and claimed it again.
    void hook_cursor_read(const std::string& process, std::uint32_t shard);
    void hook_succeeded(const std::string& process, std::size_t hook, const event& entry);
    void hook_failed(const std::string& process, std::size_t hook, const event& entry,
                     int max_attempts);

    /// Whether the process was the last to claim the shard of this run.
    bool is_owner(const std::string& process, std::string_view workflow,
                  std::string_view foreign_id) const;

    /// Accepted messages in order: run and sequence.
    const std::vector<std::pair<run_id, std::uint64_t>>& delivered_messages() const noexcept
    {
        return delivered_messages_;
    }

    // Checks at the end of a simulation.
    void check_stored_settlement(run_id run, const std::optional<settlement>& stored,
                                 std::uint64_t sequence);
    void compare_with_store(const std::vector<std::vector<event>>& log,
                            const std::vector<record>& runs);

    /// The run, its state and the label of its status, for a violation.
    std::string describe(const record& run) const;

    void report_violation(std::string sentence);
    const std::vector<std::string>& violations() const noexcept { return violations_; }

    std::uint64_t commits() const noexcept { return commits_; }
    std::uint64_t runs() const noexcept { return runs_; }

private:
    /// hook, run, version
    using hook_call = std::tuple<std::size_t, run_id, std::uint64_t>;

    struct reported_record {
        run_id run;
        std::uint64_t version;
        int status;
        run_state state;
    };

    void transition_accepted(const std::string& process, const transition& change);
    void check_start(const transition& change);
    void check_transition(const record& before, const transition& change);
    void check_settlements(const record& run, const transition& change);
    void check_not_stopped(const record& run, std::string_view failure);
    void check_punctuality(const record& run, const std::string& subject, time_point due);
    void check_message_punctuality(const record& run, const message& sent, bool was_handled);
    void check_hook_order(std::size_t hook, const event& entry);
    void compare_shard(std::uint32_t shard, const std::vector<event>& log);
    void compare_hooks(const std::vector<event>& log);
    void compare_awaits(const std::map<run_id, std::vector<event>>& histories);
    bool is_declared_move(const std::string& workflow, int from, int to) const;
    std::string status_text(const std::string& workflow, int status) const;
    std::uint32_t shard_for(std::string_view workflow, std::string_view foreign_id) const;

    const std::uint32_t shards_;
    std::map<std::string, std::shared_ptr<const workflow_impl>> workflows_;
    std::set<std::tuple<std::string, int, int>> declared_moves_; ///< workflow, from, to
    std::map<std::string, std::uint32_t> first_shards_;
    std::map<std::uint32_t, std::uint64_t> epochs_;
    std::map<std::uint32_t, std::string> owners_; ///< the process that claimed the shard last

    std::map<run_id, record> records_; ///< as of the last accepted transition
    std::set<run_id> removed_;
    std::map<std::pair<std::string, std::string>, run_id> unfinished_runs_;
    std::map<std::tuple<std::string, std::string, std::string>, run_id> start_keys_;
    std::vector<reported_record> reported_records_;

    std::map<std::pair<run_id, std::uint64_t>, settlement> settlements_;
    std::vector<std::pair<run_id, std::uint64_t>> delivered_messages_;
    std::map<std::pair<run_id, std::uint64_t>, message> unsettled_messages_;

    std::map<std::tuple<run_id, int, std::string, time_point>, time_point> armed_timeouts_;
    std::set<std::tuple<run_id, std::uint32_t, std::string>>
        moved_deadlines_; ///< run, visit, timeout

    std::map<std::pair<std::string, std::uint32_t>, std::uint64_t> hook_cursor_reads_;
    std::set<std::tuple<std::string, std::uint64_t, hook_call>> succeeded_hook_calls_;
    std::map<std::pair<std::string, hook_call>, int> failed_hook_calls_;
    std::set<hook_call> finished_hook_calls_; ///< succeeded, or retries exhausted
    std::map<std::pair<std::size_t, run_id>, std::uint64_t> last_hook_versions_;

    std::map<run_id, time_point> resumed_at_;
    std::shared_ptr<const pawl::clock> clock_; ///< null: punctuality is not checked
    time_point faults_ended_at_;
    duration allowed_lateness_{};

    std::vector<std::string> violations_;
    std::uint64_t commits_ = 0;
    std::uint64_t runs_ = 0;
};

} // namespace pawl::testing::detail
