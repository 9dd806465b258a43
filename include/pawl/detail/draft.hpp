#pragma once

#include "pawl/definition.hpp"
#include "pawl/detail/handlers.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl {

/// What holds for every handler of a workflow that says nothing else.
struct step_defaults {
    retry_policy retry{};            ///< of steps, and of the handlers of timeouts and callbacks
    duration attempt_timeout{};      ///< of the same; zero: none
    std::size_t max_concurrency = 0; ///< attempts at a time per step in one engine; 0: no limit
    duration start_delay{}; ///< wait between entering a status and its step's first attempt
};

namespace detail {

/// What was said of a handler; what was not is taken from the defaults at the end.
struct handler_options {
    std::optional<retry_policy> retry;
    std::optional<duration> attempt_timeout;
    std::optional<std::size_t> max_concurrency;
    std::optional<duration> start_delay;
    std::optional<int> exhausted;
};

struct step_draft {
    handler run;
    std::vector<int> destinations;
    handler_options options;
};

struct callback_draft {
    std::string name;
    callback_handler run;
    std::vector<int> destinations;

    /// One for all statuses of the declaration.
    std::shared_ptr<handler_options> options = std::make_shared<handler_options>();
};

struct timeout_draft {
    std::string name; ///< empty: it was given none
    timeout_handler handler;
    std::optional<duration> fixed; ///< the span, where it is one
    std::vector<int> destinations;
    handler_options options;
};

struct status_draft {
    std::vector<std::unique_ptr<step_draft>> steps; ///< more than one is a mistake to report
    std::vector<callback_draft> callbacks;
    std::vector<std::unique_ptr<timeout_draft>> timeouts;
    bool end = false;
};

/// A workflow as the builder was told it, before anything was checked.
struct workflow_draft {
    std::string name;
    std::string (*label)(int) = nullptr;
    std::map<int, status_draft> statuses;
    std::vector<int> order;  ///< statuses with a handler, as they were declared first
    std::vector<int> starts; ///< as they were declared
    std::map<std::uint32_t, std::function<std::string(std::string)>> upgrades;   ///< by version
    std::map<std::uint32_t, std::function<std::string(std::string)>> downgrades; ///< to version
    std::vector<std::uint32_t> repeated_upgrades;
    std::optional<std::uint32_t> write_version;
    std::vector<std::pair<int, std::string>> renamed; ///< status, and a label of before
    std::vector<std::pair<int, int>> retired;
    step_defaults defaults;
    duration resume_after = definition{}.resume_after;
    int max_auto_resumes = definition{}.max_auto_resumes;
    workflow_impl made; ///< what needs no checking: codec, hooks

    /// The status, noted as one that has a handler.
    status_draft& handled(int status);
};

/// Checks the draft and turns it into what engines run. Throws definition_error.
std::shared_ptr<const workflow_impl> finish(workflow_draft draft);

} // namespace detail
} // namespace pawl
