// What pawl::operations reads, as values without the types of a workflow.
#pragma once

#include "pawl/attribute_value.hpp"
#include "pawl/record_store.hpp"
#include "pawl/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl {

/// Why a run needs an operator.
enum class attention_kind : std::uint8_t {
    failing, ///< unfinished, and its last attempt failed: record::last_error is not empty
    paused,  ///< in run_state::paused, by an error or by a request
    overdue, ///< due for longer than run_filter::overdue_by; also if its handler runs that long
};

/// Returns the name of the enumerator.
std::string to_string(attention_kind kind);

/// The inverse of to_string(), case-sensitive. Empty for any other text.
std::optional<attention_kind> parse_attention_kind(std::string_view text) noexcept;

/// Which runs operations::async_list() looks for: runs that match all of the filters.
///
/// An empty text and an optional without a value are no filter. A list that is given and empty
/// matches no run. A list has at most 1,000 values.
struct run_filter {
    std::string workflow{}; ///< default: all workflows

    /// Labels of statuses, or their numbers as decimal text. A label needs `workflow`.
    std::optional<std::vector<std::string>> statuses{};

    std::optional<std::vector<run_state>> states{};
    std::optional<std::vector<std::string>> foreign_ids{};
    std::optional<run_id> parent{};             ///< only children of this run
    std::vector<attribute_filter> attributes{}; ///< see record_query::attributes
    std::optional<time_point> created_from{};   ///< inclusive
    std::optional<time_point> created_to{};     ///< exclusive
    std::optional<time_point> updated_from{};   ///< inclusive
    std::optional<time_point> updated_to{};     ///< exclusive
    std::string error_text{};                   ///< part of record::last_error, byte by byte
    std::optional<attention_kind> attention{};  ///< only runs that need an operator for this

    /// For attention_kind::overdue: how long a run has been due. Not negative. Default 1 min.
    duration overdue_by = std::chrono::minutes{1};

    /// By creation time. Overdue runs come by shard and by the time at which they became due,
    /// whatever the order is. Default newest_first.
    sort_order order = sort_order::newest_first;

    std::size_t limit = 50; ///< of runs in the page; 1 to 1,000
    std::string after{};    ///< run_page::next of the page before; default: the first page

    /// Maximum number of runs that one page reads to find those that match. A page that reaches it
    /// ends early, and `next` continues from there. 1 to 1,000,000. Default 20,000.
    std::size_t max_examined = 20'000;

    /// Maximum size in bytes of the objects and texts that one page reads. A page has at least one
    /// run even if it is larger. At least 1. Default 4 MiB.
    std::size_t max_bytes = 4 * 1024 * 1024;
};

/// A run as it is stored.
struct run_view {
    record stored;            ///< `object` is as the codec of the workflow has written it
    std::string status_label; ///< the number of the status if its label is not known

    /// Whether a live engine has the workflow. If none has, the run waits.
    bool has_engine = false;
};

/// One page of operations::async_list().
struct run_page {
    std::vector<run_view> runs;

    std::string next; ///< run_filter::after of the next page; empty if and only if `complete`

    /// How far the page has searched: creation time of the last run that was examined. For overdue
    /// runs the time at which it became due. Empty if none was examined.
    std::optional<time_point> searched_to;

    std::size_t examined = 0; ///< runs that were read for the page

    /// Whether this page and those before it have all runs that match. False if more may follow,
    /// also when `runs` is empty because a budget was used up.
    bool complete = true;
};

/// A number of runs or letters that is counted up to a limit.
struct capped_count {
    std::uint64_t count = 0;
    bool is_capped = false; ///< there are more

    friend bool operator==(const capped_count&, const capped_count&) = default;
};

/// The number of runs in one status and run state.
struct labeled_count {
    int status = 0;
    std::string label; ///< of the status; its number if it is not known
    run_state state = run_state::initiated;
    std::uint64_t runs = 0;
};

/// The state of one workflow at a glance.
struct workflow_overview {
    std::string workflow;
    std::vector<labeled_count> counts; ///< in the order of the statuses, then of the states
    std::uint64_t unfinished = 0;
    std::uint64_t finished = 0;
    std::uint64_t paused = 0;
    capped_count failing;    ///< see attention_kind
    capped_count overdue;    ///< see attention_kind
    bool has_engine = false; ///< whether a live engine has the workflow
};

/// Options of operations::async_overview().
struct overview_options {
    std::string workflow{}; ///< default: all workflows

    /// The failing and the overdue runs of a workflow are counted up to this number, and as far as
    /// the default budgets of a run_filter reach. 1 to 1,000. Default 100.
    std::size_t count_limit = 100;

    duration overdue_by = std::chrono::minutes{1}; ///< see run_filter::overdue_by
};

/// A status of a definition, as far as the store has it.
struct status_view {
    int status = 0;
    std::string label;
    bool has_step = false;
    std::vector<std::string> timeouts;
    std::vector<std::string> callbacks;
};

/// A definition of a workflow that a program has been started with on this store. The newest 256
/// definitions of a workflow are kept.
struct definition_view {
    std::string workflow;
    std::string hash;            ///< equal for equal definitions
    std::uint64_t position = 0;  ///< in the order of the first starts
    time_point first_started_at; ///< when a program was first started with it
    std::uint32_t object_version = 1;
    std::vector<status_view> statuses; ///< sorted by number
    std::vector<std::string> hooks;
    bool is_own = false; ///< this engine has the workflow with this definition
};

/// A workflow that the store knows.
struct workflow_view {
    std::string workflow;
    std::vector<definition_view> definitions; ///< oldest first; empty if none is stored
    bool has_engine = false;                  ///< whether a live engine has the workflow
};

/// A live engine.
struct engine_view {
    std::string name;                   ///< as in leases
    std::vector<std::string> workflows; ///< that the engine has, sorted
    std::vector<std::string> too_old;   ///< of these: a newer program has written data of them
    std::size_t shards = 0;             ///< leases that the engine holds
    bool is_self = false;               ///< the engine that answers
};

/// A shard with its lease.
struct shard_view {
    lease held;
    std::string workflow; ///< empty if all workflows share the shards, or if it is not known
};

/// The engines of a store.
struct engines_view {
    std::vector<engine_view> engines;  ///< in the order of their names
    std::vector<shard_view> shards;    ///< in the order of the shards
    std::vector<std::string> undriven; ///< workflows with unfinished runs that no live engine has
};

/// A connector of this engine, or one that a live engine runs.
struct connector_view {
    std::string name;
    std::string workflow; ///< empty if the connector is not of this engine
    std::string engine;   ///< that runs it; empty: none at the moment
    std::string source;   ///< the workflow whose events it reads; empty if it reads something else

    /// Events of `source` that have been committed and that the connector has not acknowledged.
    /// Empty if the source is not a workflow's log.
    std::optional<std::uint64_t> lag;

    std::string dead_letter_topic;
    capped_count dead_letters; ///< counted up to 1,000
};

/// A topic with dead letters.
struct dead_letter_topic_view {
    std::string topic;
    capped_count letters;                ///< counted up to 1,000
    std::optional<time_point> oldest_at; ///< of the first letter
};

/// A page of the events of a topic.
struct topic_page {
    std::vector<stream_event> events;
    std::uint64_t next = 0; ///< the position after which the next page begins
    bool complete = true;   ///< whether the topic has no further events
};

} // namespace pawl
