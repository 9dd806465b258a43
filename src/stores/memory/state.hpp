#pragma once

#include "pawl/record_store.hpp"
#include "stores/common/attribute_ranges.hpp"
#include "stores/common/store_semantics.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pawl::memory {

struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept
    {
        return std::hash<std::string_view>{}(text);
    }
};

template <typename Value>
using text_map = std::unordered_map<std::string, Value, text_hash, std::equal_to<>>;

struct stored_message {
    message content; ///< the payload is dropped when it is settled
    settlement end;
};

/// A run's messages; the message of sequence n has index n - 1.
struct mailbox {
    std::vector<stored_message> messages;
    std::size_t first_pending = 0;  ///< all messages before it are settled
    text_map<std::uint64_t> by_key; ///< see key_of()
};

struct workflow_runs;

/// Encoded values by the name of their attribute.
using attribute_map = std::map<std::string, std::string, std::less<>>;

struct run_entry {
    record data;
    std::uint32_t shard = 0;
    workflow_runs* workflow = nullptr;
    std::vector<std::uint64_t> sequences; ///< of its events; version n has index n - 1
    std::unique_ptr<mailbox> inbox;
    std::unique_ptr<attribute_map> attributes; ///< null: none
};

/// The runs of one workflow and foreign id.
struct foreign_entry {
    std::vector<run_entry*> runs; ///< in order of creation
    run_entry* unfinished = nullptr;
    text_map<run_entry*> by_start_key;
};

/// The time of a run's creation or last change; the id breaks ties.
using time_key = std::pair<time_point, run_id>;

/// The runs that have an attribute, by its encoded value, in the order of their creation.
using attribute_index = std::map<std::tuple<std::string, time_point, run_id>, run_entry*>;

/// What the runs of a workflow have in common.
struct workflow_runs {
    std::optional<std::uint32_t> first_shard; ///< empty: the workflow has no shards yet
    text_map<foreign_entry> by_foreign_id;
    std::map<std::pair<int, run_state>, std::uint64_t> counts;
    std::map<std::string, attribute_index, std::less<>> attributes; ///< by name
};

/// An event; its identity is that of its run. It is small, because each transition adds one.
class stored_event {
public:
    stored_event() = default;
    stored_event(run_entry& owner, core::event_entry content);

    core::event_entry content() const;
    void erase_error(); ///< unless it is the reason of a data deletion request

    run_entry* run = nullptr; ///< null after its removal

private:
    struct texts {
        std::string error;
        std::string requested_by;
    };

    std::uint64_t version_ = 0;
    time_point at_;
    std::unique_ptr<const texts> texts_; ///< null when both are empty, which is usual
    int from_ = 0;
    int to_ = 0;
    int attempt_ = 0;
    event_kind kind_ = event_kind::started;
    run_state state_ = run_state::initiated;
};

struct shard_entry {
    std::deque<stored_event> log; ///< sequence n has index n - first
    std::uint64_t first = 1;
    std::map<due_position, run_entry*> due;
    std::map<std::string, std::uint64_t, std::less<>> cursors;
    /// Finished runs by their last commit.
    std::unordered_map<const workflow_runs*, std::map<time_key, run_entry*>> finished;
    std::string owner; ///< empty: none
    std::uint64_t epoch = 0;
    time_point lease_until = time_point::max();

    std::uint64_t end() const noexcept { return first + log.size(); }
    const stored_event& event_at(std::uint64_t sequence) const { return log[sequence - first]; }
    stored_event& event_at(std::uint64_t sequence) { return log[sequence - first]; }
};

struct topic_entry {
    std::deque<stream_event> events; ///< position n has index n - first
    std::uint64_t first = 1;
    text_map<std::uint64_t> by_id;
};

struct role_entry {
    std::string owner; ///< empty: none
    std::uint64_t epoch = 0;
    time_point until;
};

/// The content of a memory store. Pointers to the entries of runs are valid until their removal.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class state {
public:
    using creation_key = time_key;
    using creation_index = std::map<creation_key, run_entry*>;

    /// @param shards of each workflow.
    /// @param own_shards whether each workflow has shards of its own, or all share the same shards.
    state(std::uint32_t shards, bool own_shards)
        : shards_per_workflow_(shards), own_shards_(own_shards), shards_(shards)
    {
    }

    std::uint32_t shards_per_workflow() const noexcept { return shards_per_workflow_; }

    /// Number of shards of all workflows.
    std::uint32_t shards() const noexcept { return static_cast<std::uint32_t>(shards_.size()); }

    /// The first shard of the workflow, which gets its shards if it has none yet. Throws error
    /// (invalid_argument).
    std::uint32_t first_shard(std::string_view workflow);

    std::vector<apply_result> apply(std::span<const change> batch);
    apply_result apply(const change& only);
    std::vector<lease> claim(std::span<const std::uint32_t> wanted, std::string_view owner,
                             time_point now, time_point until);
    void release(std::span<const lease> held);
    std::vector<lease> leases() const;
    std::optional<role_lease> claim_role(std::string_view role, std::string_view owner,
                                         time_point now, time_point until);
    void release_role(const role_lease& held);
    std::vector<role_lease> roles(std::string_view prefix, time_point now) const;
    void forget_roles(std::string_view prefix, time_point now);

    /// Makes all later commits record their changes for take_changes().
    void collect_changes() { changes_.emplace(); }
    std::vector<shard_change> take_changes();

    const record* find(run_id id) const;
    const record* latest(std::string_view workflow, std::string_view foreign_id) const;
    std::vector<status_count> count(std::string_view workflow, bool unfinished_only) const;
    child_counts count_children(run_id parent) const;
    std::vector<record> finished_before(std::uint32_t shard, std::string_view workflow,
                                        time_point before, std::size_t limit) const;
    std::vector<record> finished_behind(std::uint32_t shard, std::string_view workflow,
                                        const finished_position& after, time_point before,
                                        std::size_t limit) const;
    std::uint64_t log_end(std::uint32_t shard) const;
    due_page due(std::uint32_t shard, const due_position& from, time_point until,
                 std::size_t limit) const;
    std::vector<event> events(std::uint32_t shard, std::uint64_t after, std::size_t limit) const;
    std::vector<event> history(run_id run, std::uint64_t after, std::size_t limit) const;
    std::vector<message> inbox(run_id run, std::uint64_t after, std::size_t limit) const;
    std::optional<settlement> outcome(run_id run, std::uint64_t sequence) const;
    std::uint64_t cursor(std::string_view name, std::uint32_t shard) const;
    std::vector<stream_event> topic_events(std::string_view topic, std::uint64_t after,
                                           std::size_t limit) const;
    std::uint64_t topic_end(std::string_view topic) const;

    /// The position of a listing between two portions.
    struct scan {
        creation_key key;
        bool started = false;                          ///< the run of `key` has been checked
        std::vector<core::attribute_range> attributes; ///< of the query
    };

    /// The start of a listing. Throws error (invalid_argument) when an argument is out of range.
    scan begin_list(const record_query& query) const;

    /// Checks up to `budget` runs and adds the matching ones. Returns true at the end of the
    /// listing.
    bool continue_list(const record_query& query, scan& position, std::size_t budget,
                       record_page& page) const;

private:
    apply_result apply_one(const transition& change);
    apply_result apply_one(const delivery& change);
    apply_result apply_one(const cursor_move& change);
    apply_result apply_one(const removal& change);
    apply_result apply_one(const publication& change);
    apply_result apply_one(const topic_trim& change);
    apply_result apply_one(const attribute_update& change);
    apply_result create(const transition& change, std::uint32_t shard);
    apply_result update(const transition& change, run_entry& run);

    std::uint32_t shard_for(const record& run);
    void set_wake(run_entry& run, std::optional<time_point> wake_at);
    void change_attributes(const attribute_changes& changes, run_entry& run);

    /// continue_list() in an index of runs: in those from `first` to `last`, in the order of their
    /// creation. `key_of` makes the key of a position.
    template <typename Index, typename KeyOf>
    static bool scan_index(const Index& index, typename Index::const_iterator first,
                           typename Index::const_iterator last, KeyOf key_of,
                           const record_query& query, scan& position, std::size_t budget,
                           record_page& page);
    std::uint64_t append_event(const transition& change, run_entry& run);
    event event_at(std::uint32_t shard, std::uint64_t sequence) const;
    void list_foreign_ids(const record_query& query,
                          const std::vector<core::attribute_range>& attributes,
                          record_page& page) const;
    bool is_fenced(std::uint32_t shard, std::uint64_t epoch) const noexcept;
    void record_change(const run_entry& run, bool is_owners);
    std::map<time_key, run_entry*>& finished_runs(const run_entry& run);

    /// The children of one run.
    struct children_entry {
        child_counts counts;
        creation_index runs;
    };
    const creation_index& index_of(const record_query& query) const;

    const std::uint32_t shards_per_workflow_;
    const bool own_shards_;
    std::deque<shard_entry> shards_;
    std::uint32_t next_first_ = 0; ///< first shard of the next workflow that has none
    std::unordered_map<run_id, run_entry> runs_;
    std::map<std::string, workflow_runs, std::less<>> workflows_;
    creation_index created_;
    std::unordered_map<run_id, children_entry> children_; ///< by parent
    std::map<std::string, topic_entry, std::less<>> topics_;
    std::map<std::string, role_entry, std::less<>> roles_;
    std::optional<std::map<std::uint32_t, std::optional<time_point>>> changes_; ///< by shard
};

} // namespace pawl::memory
