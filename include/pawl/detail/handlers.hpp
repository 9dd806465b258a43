#pragma once

#include "pawl/definition.hpp"
#include "pawl/detail/run_context.hpp"
#include "pawl/event.hpp"
#include "pawl/step.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::detail {

/// A decoded object whose type only the typed layer knows.
using object_ptr = std::shared_ptr<void>;

using handler = std::function<boost::asio::awaitable<next_value>(const object_ptr&, run_context&)>;
using callback_handler = std::function<boost::asio::awaitable<next_value>(
    const object_ptr&, run_context&, std::string_view payload)>;

/// When a timeout of a visit that begins now is due; empty: not at all.
using timer_function = std::function<std::optional<time_point>(const object_ptr&, run_context&)>;

/// Runs with the event that the hook is for and the run's record at or after it.
using hook = std::function<boost::asio::awaitable<void>(const event&, const record&)>;

struct timeout_handler {
    timer_function due;
    handler run;
};

/// The functions of one status; parallel to its status_rules.
struct status_handlers {
    handler step; ///< may be empty
    std::vector<callback_handler> callbacks;
    std::vector<timeout_handler> timeouts;
};

/// A workflow without its types: what the builder makes and the engine runs.
struct workflow_impl {
    definition rules;
    std::map<int, status_handlers> handlers; ///< by status

    std::function<object_ptr(std::string_view)> decode; ///< throws pawl::error (decode_failed)
    std::function<void(const object_ptr&, std::string&)> encode; ///< appends; throws pawl::error

    /// Replaces the object when a run's data is deleted.
    std::function<std::string(std::string_view)> scrub;

    std::map<event_kind, std::vector<hook>> hooks;
};

} // namespace pawl::detail
