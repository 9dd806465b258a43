#pragma once

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

/// What moves a run along an edge of the graph.
enum class edge_cause : std::uint8_t { step, callback, timeout };

/// The most that step_options::max_concurrency() takes.
inline constexpr std::size_t max_concurrency_ceiling = 1'000'000;

/// One allowed move from a status.
struct edge {
    int to = 0;
    edge_cause cause = edge_cause::step;
    std::string name; ///< of the callback; empty for steps and timeouts

    friend bool operator==(const edge&, const edge&) = default;
};

struct step_rules {
    retry_policy retry;
    std::optional<int> exhausted;    ///< where to go when the attempts run out; empty: pause
    duration attempt_timeout{};      ///< zero: none
    std::size_t max_concurrency = 0; ///< attempts at a time in one engine; 0: no limit
    duration start_delay{};          ///< wait between entering the status and the first attempt
};

/// The name of a status's only timeout when builder::timeout() was given none.
inline constexpr std::string_view unnamed_timeout = "timeout";

struct timeout_rules {
    std::string name; ///< unlike that of the status's other timeouts; stored with each deadline
    retry_policy retry;
    duration attempt_timeout{}; ///< zero: none
};

struct callback_rules {
    retry_policy retry;
    duration attempt_timeout{};   ///< zero: none
    std::optional<int> exhausted; ///< where to go when the attempts run out; empty: stay
};

/// What a definition says of one status.
struct status_rules {
    int id = 0;
    std::string label;
    bool start = false; ///< a run may begin here: it is nobody's destination, or it was declared
    bool end = false;   ///< a run that enters it is completed
    std::optional<step_rules> step;
    std::vector<std::string> callbacks;            ///< names, in order of declaration
    std::vector<callback_rules> callback_policies; ///< of `callbacks`, each at the same place
    std::vector<timeout_rules> timeouts;
    std::vector<edge> edges; ///< in order of declaration, without repetition

    /// The timeout of that name, as its index in `timeouts`; empty when the status has none.
    std::optional<std::size_t> find_timeout(std::string_view timeout) const noexcept;

    /// The rules of a callback; those of a default-constructed one when it is not declared here.
    const callback_rules& policy_of(std::string_view callback) const noexcept;
};

/// A workflow as data: what the engine decides by, and what a diagram shows. Made by
/// builder::build(), which has checked it; a definition never changes.
struct definition {
    std::string name;
    std::vector<status_rules> statuses; ///< sorted by id

    /// Where a run begins when its trigger names no status: the first one given to
    /// builder::start(), else the first declared one that is nobody's destination.
    int default_start = 0;

    /// The newest version of the object's schema: one more than the upgrades.
    std::uint32_t object_version = 1;

    /// The version that objects are stored in; see builder::write_version().
    std::uint32_t write_version = 1;

    /// Labels that statuses had in programs before: see builder::renamed().
    std::vector<std::pair<int, std::string>> renamed;

    /// Names of the hooks, see builder::on_complete(), in order of declaration.
    std::vector<std::string> hooks;

    /// Statuses that the workflow no longer has, and where their runs go on.
    std::vector<std::pair<int, int>> retired;

    /// Error pauses end by themselves after this time; zero: never. Default 1 h.
    duration resume_after = std::chrono::hours{1};

    /// How often in a row, without progress between. Default 3.
    int max_auto_resumes = 3;

    /// The status's rules; nullptr when the workflow does not know it.
    const status_rules* find(int status) const noexcept;

    /// Where runs of a status that was retired go on; empty when it was not.
    std::optional<int> successor(int status) const noexcept;

    /// The status's label; its number when the workflow does not know it.
    std::string label(int status) const;
};

} // namespace pawl
