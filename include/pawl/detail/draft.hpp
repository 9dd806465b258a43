#pragma once

#include "pawl/definition.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/step_defaults.hpp"

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

namespace pawl::detail {

struct limit_draft {
    step_limit rules;
    limit_key key; ///< null: one pool for all runs
};

/// The rules that a handler was given; build() takes the others from the defaults.
struct handler_options {
    std::optional<retry_policy> retry;
    std::optional<duration> attempt_timeout;
    std::optional<std::size_t> max_concurrency;
    std::optional<duration> start_delay;
    std::optional<int> exhausted;
    std::vector<limit_draft> limits; ///< of a step, in order of declaration
    limit_key turn_key;
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

    /// Shared by all statuses of the declaration.
    std::shared_ptr<handler_options> options = std::make_shared<handler_options>();
};

struct timeout_draft {
    std::string name; ///< may be empty, for the only timeout of a status
    timeout_handler handler;
    std::optional<duration> fixed; ///< the duration, if the timeout was given one
    std::vector<int> destinations;
    handler_options options;
};

struct attribute_draft {
    attribute_rules rules;
    attribute_reader read;
};

struct status_draft {
    std::vector<std::unique_ptr<step_draft>> steps; ///< more than one is a mistake to report
    std::vector<callback_draft> callbacks;
    std::vector<std::unique_ptr<timeout_draft>> timeouts;
    bool end = false;
};

/// The declarations of a builder, before they are checked.
struct workflow_draft {
    std::string name;
    std::string (*label)(int) = nullptr;
    std::map<int, status_draft> statuses;
    std::vector<int> order;  ///< statuses with a handler, in order of declaration
    std::vector<int> starts; ///< in order of declaration
    std::map<std::uint32_t, std::function<std::string(std::string)>>
        upgrades; ///< by the version that they convert
    std::map<std::uint32_t, std::function<std::string(std::string)>>
        downgrades; ///< by the version that they lead to
    std::vector<std::uint32_t> repeated_upgrades;
    std::optional<std::uint32_t> write_version;
    std::vector<std::pair<int, std::string>> renamed; ///< status and former label
    std::vector<std::pair<int, int>> retired;
    std::vector<used_workflow> uses;
    std::vector<attribute_draft> attributes; ///< in order of declaration
    step_defaults defaults;
    duration resume_after = definition{}.resume_after;
    int max_auto_resumes = definition{}.max_auto_resumes;
    workflow_impl impl; ///< what needs no check of the statuses: codec, hooks

    /// The status, which is added to `order`.
    status_draft& handled(int status);
};

/// Checks the draft and turns it into what engines run. Throws definition_error.
std::shared_ptr<const workflow_impl> finish(workflow_draft draft);

} // namespace pawl::detail
