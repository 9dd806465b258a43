#pragma once

#include "pawl/attribute_value.hpp"
#include "pawl/limit.hpp"
#include "pawl/retry_policy.hpp"
#include "pawl/time.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl {

/// Which kind of handler moves a run along an edge of the graph.
enum class edge_cause : std::uint8_t { step, callback, timeout };

/// The largest value of step_options::max_concurrency().
inline constexpr std::size_t max_concurrency_ceiling = 1'000'000;

/// An allowed move from a status to another.
struct edge {
    int to = 0; ///< the status that the edge leads to
    edge_cause cause = edge_cause::step;
    std::string name; ///< of the callback; empty for steps and timeouts

    friend bool operator==(const edge&, const edge&) = default;
};

/// A limit of a step, see step_options::within().
struct step_limit {
    std::string name;
    limit_options numbers;
    bool keyed = false; ///< each key has a pool of its own
};

/// The rules of a step, with the defaults applied.
struct step_rules {
    retry_policy retry;
    std::optional<int> exhausted;    ///< status when the attempts are used up; empty: pause
    duration attempt_timeout{};      ///< zero: no limit
    std::size_t max_concurrency = 0; ///< attempts at a time in one engine; 0: no limit
    duration start_delay{};          ///< wait between entering the status and the first attempt
    std::vector<step_limit> limits;  ///< in order of declaration
    bool takes_turns = false;        ///< see step_options::fair_by()
};

/// The name of a status's only timeout if builder::timeout() was given none.
inline constexpr std::string_view unnamed_timeout = "timeout";

/// The rules of a timeout, with the defaults applied.
struct timeout_rules {
    std::string name; ///< unique in the status; stored with each deadline
    retry_policy retry;
    duration attempt_timeout{}; ///< zero: no limit
};

/// The rules of a callback, with the defaults applied.
struct callback_rules {
    retry_policy retry;
    duration attempt_timeout{};   ///< zero: no limit
    std::optional<int> exhausted; ///< status when the attempts are used up; empty: stay
};

/// The rules of one status.
struct status_rules {
    int id = 0;
    std::string label;
    bool start = false; ///< a run may begin here: declared, or the destination of no other status
    bool end = false;   ///< a run that enters it is completed
    std::optional<step_rules> step;
    std::vector<std::string> callbacks;            ///< names, in order of declaration
    std::vector<callback_rules> callback_policies; ///< of `callbacks`, at the same index
    std::vector<timeout_rules> timeouts;
    std::vector<edge> edges; ///< in order of declaration, each once

    /// Returns the index in `timeouts` of the timeout with this name; empty if there is none.
    std::optional<std::size_t> find_timeout(std::string_view timeout) const noexcept;

    /// Returns the rules of a callback; default-constructed rules if it is not declared here.
    const callback_rules& policy_of(std::string_view callback) const noexcept;
};

/// Another workflow, whose runs the handlers of a workflow start or send callbacks to.
struct used_workflow {
    std::string name;
    bool is_foreign = false; ///< other engines of the store have it

    friend bool operator==(const used_workflow&, const used_workflow&) = default;
};

/// An attribute by which runs are found, see builder::attribute().
struct attribute_rules {
    std::string name;
    attribute_kind kind = attribute_kind::text;
};

/// A workflow as data: what the engine decides by and what a diagram shows. Made and checked by
/// builder::build(); never changes afterwards.
struct definition {
    std::string name;
    std::vector<status_rules> statuses; ///< sorted by id

    /// Where a run begins if its trigger names no status: the first status given to
    /// builder::start(), else the first declared status that is no other status's destination.
    int default_start = 0;

    /// The newest version of the object's schema: the number of upgrades plus one.
    std::uint32_t object_version = 1;

    /// The version in which objects are stored, see builder::write_version().
    std::uint32_t write_version = 1;

    /// Labels of statuses in earlier programs, see builder::renamed().
    std::vector<std::pair<int, std::string>> renamed;

    std::vector<attribute_rules> attributes; ///< sorted by name

    /// Names of the hooks in order of declaration, see builder::on_complete().
    std::vector<std::string> hooks;

    /// Workflows that the handlers reach, see builder::uses().
    std::vector<used_workflow> uses;

    /// Removed statuses and where their runs continue, see builder::replace_status().
    std::vector<std::pair<int, int>> retired;

    /// A run that is paused by an error resumes by itself after this time. Zero: never. Default 1
    /// h.
    duration resume_after = std::chrono::hours{1};

    /// How often in a row, without progress. Default 3.
    int max_auto_resumes = 3;

    /// Returns the rules of a status; nullptr if the workflow does not have it.
    const status_rules* find(int status) const noexcept;

    /// Returns the declaration of a workflow that this one uses; nullptr if there is none.
    const used_workflow* find_used(std::string_view other) const noexcept;

    /// Returns where runs of a removed status continue; empty if it was not removed.
    std::optional<int> successor(int status) const noexcept;

    /// Returns the label of a status; its number if the workflow does not have it.
    std::string label(int status) const;
};

} // namespace pawl
