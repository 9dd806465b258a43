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

/// What was seen of a simulation, and whether it agrees: with itself at each moment, and at the end
/// with what the store holds.
class invariant_checker {
public:
    using workflow_impl = pawl::detail::workflow_impl;

    /// @param slices the shards of each workflow.
    explicit invariant_checker(std::uint32_t slices) : slices_(slices) {}

    /// A version of a workflow: there may be several of a name.
    void knows(std::shared_ptr<const workflow_impl> workflow);

    /// From now on everything works, and what waits is served so late at most.
    void expect_punctuality(std::shared_ptr<const pawl::clock> by, duration allowed);

    /// A batch was applied by the store, whether or not anybody hears of it.
    void applied(const std::string& process, std::span<const change> batch,
                 const std::vector<apply_result>& results);

    /// A shard has an owner of this epoch.
    void claimed(const std::string& process, std::uint32_t shard, std::uint64_t epoch);

    /// Where the shards of a workflow begin.
    void has_shards(std::string workflow, std::uint32_t first);

    /// Whether the process was the last to get the shard of this run.
    bool is_owner(const std::string& process, std::string_view workflow,
                  std::string_view foreign_id) const;

    // What clients were told.
    void told_started(const std::string& workflow, const std::string& foreign_id,
                      const std::string& key, run_id run, bool is_stored);
    void told_settled(run_id run, const settlement& told, const std::optional<settlement>& stored);
    void told_reached(const record& told);

    // What handlers and hooks saw.
    void armed(run_id run, int status, const std::string& timeout, time_point due, time_point now);
    void timeout_runs(const record& run, const std::string& timeout, time_point now);
    void timeout_moved(const record& run, const std::string& timeout);
    /// The process reads anew how far hooks have been called: it may have lost the shard meanwhile.
    void begins_hooks(const std::string& process, std::uint32_t shard);
    void hook_done(const std::string& process, std::size_t hook, const event& what);
    void hook_failed(const std::string& process, std::size_t hook, const event& what,
                     int max_attempts);

    /// A record that the store shows; false when it is not the one that was stored.
    void shown(const record& seen);

    /// Messages that were accepted, in their order.
    const std::vector<std::pair<run_id, std::uint64_t>>& deliveries() const noexcept
    {
        return deliveries_;
    }

    /// What the store says at the end of one of them.
    void message_ended(run_id run, const std::optional<settlement>& stored, std::uint64_t sequence);

    /// Compares all of it with what the store holds at the end.
    void compare(const std::vector<std::vector<event>>& log, const std::vector<record>& runs);

    void report_violation(std::string sentence);
    const std::vector<std::string>& sentences() const noexcept { return broken_; }

    std::uint64_t commits() const noexcept { return commits_; }
    std::uint64_t runs() const noexcept { return runs_; }

private:
    /// hook, run, version
    using hook_call = std::tuple<std::size_t, run_id, std::uint64_t>;

    void accepted(const std::string& process, const transition& change);
    void check_start(const transition& change);
    void check_step(const record& before, const transition& change);
    void check_settled(const record& of, const transition& change);
    void check_no_stop(const record& of, std::string_view why);
    void check_punctual(const record& of, const std::string& what, time_point due);
    bool declared(const std::string& workflow, int from, int to) const;
    void check_order(std::size_t hook, const event& what);
    void compare_shard(std::uint32_t shard, const std::vector<event>& log);
    void compare_hooks(const std::vector<event>& log);
    void compare_told(const std::map<run_id, std::vector<event>>& histories);

    struct told_record {
        run_id run;
        std::uint64_t version;
        int status;
        run_state state;
    };

    std::map<std::string, std::shared_ptr<const workflow_impl>> workflows_;
    std::set<std::tuple<std::string, int, int>> moves_; ///< workflow, from, to
    std::map<run_id, record> model_;
    std::uint32_t shard_for(std::string_view workflow, std::string_view foreign_id) const;

    const std::uint32_t slices_;
    std::map<std::string, std::uint32_t> first_shards_;
    std::map<std::uint32_t, std::uint64_t> epochs_;
    std::map<std::uint32_t, std::string> owners_; ///< who got the shard last
    std::map<std::pair<std::string, std::string>, run_id> unfinished_;
    std::map<std::tuple<std::string, std::string, std::string>, run_id> keys_;
    std::set<run_id> removed_;
    std::vector<told_record> reached_;
    std::map<std::pair<run_id, std::uint64_t>, settlement> settled_;
    std::vector<std::pair<run_id, std::uint64_t>> deliveries_;

    std::map<std::tuple<run_id, int, std::string, time_point>, time_point> armed_;
    std::set<std::tuple<run_id, std::uint32_t, std::string>> moved_; ///< run, visit, timeout
    std::set<std::tuple<std::string, std::uint64_t, hook_call>> done_in_life_;
    std::map<std::pair<std::string, std::uint32_t>, std::uint64_t> begun_hooks_;
    std::set<hook_call> done_; ///< or given up
    std::map<std::pair<std::string, hook_call>, int> failed_in_life_;
    std::map<std::pair<std::size_t, run_id>, std::uint64_t> last_done_;

    std::map<std::pair<run_id, std::uint64_t>, message> sent_; ///< that have not been settled
    std::map<run_id, time_point> resumed_;
    std::shared_ptr<const pawl::clock> clock_; ///< null: nothing has to be punctual
    time_point calm_since_;
    duration allowed_lateness_{};

    std::vector<std::string> broken_;
    std::uint64_t commits_ = 0;
    std::uint64_t runs_ = 0;
};

} // namespace pawl::testing::detail
