#pragma once

#include "pawl/archive.hpp"
#include "pawl/attribute_value.hpp"
#include "pawl/definition.hpp"
#include "pawl/detail/run_context.hpp"
#include "pawl/error.hpp"
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

namespace boost::json {
class value;
}

namespace pawl::detail {

/// A decoded object, whose type only the typed layer knows.
using object_ptr = std::shared_ptr<void>;

using handler = std::function<boost::asio::awaitable<next_value>(const object_ptr&, run_context&)>;
using callback_handler = std::function<boost::asio::awaitable<next_value>(
    const object_ptr&, run_context&, std::string_view payload)>;

/// A payload that the handler cannot take. It is not retried.
class unreadable_payload : public error {
public:
    using error::error;
};

/// Returns when a timeout of a visit that begins now is due; empty: it is not armed.
using timer_function = std::function<std::optional<time_point>(const object_ptr&, run_context&)>;

/// Returns the value of an attribute.
using attribute_reader = std::function<std::optional<attribute_value>(const object_ptr&)>;

/// Returns the key of a limit; empty: the limit does not apply to the run.
using limit_key = std::function<std::optional<std::string>(const object_ptr&)>;

/// Called with the event and the run's record at or after the event.
using hook = std::function<boost::asio::awaitable<void>(const event&, const record&)>;

/// A hook and its events.
struct declared_hook {
    /// The name under which the hook's read position is stored: "on_pause", or "on_pause/mail" for
    /// a hook with a name.
    std::string name;

    std::vector<event_kind> kinds;
    std::vector<int> entering; ///< only events that enter one of these statuses; empty: all
    hook run;

    bool wants(event_kind kind, int from, int to) const noexcept;
};

struct timeout_handler {
    timer_function due;
    handler run;
};

/// The functions of one status; parallel to its status_rules.
struct status_handlers {
    handler step;                      ///< may be empty
    std::vector<limit_key> limit_keys; ///< of step_rules::limits; null for a limit without keys
    limit_key turn_key;                ///< see step_options::fair_by(); may be null
    std::vector<callback_handler> callbacks;
    std::vector<timeout_handler> timeouts;
};

/// A workflow without its types: made by the builder, run by the engine.
struct workflow_impl {
    definition rules;
    std::map<int, status_handlers> handlers; ///< by status

    /// Decodes an object in the present version of its schema. The path of the first member that
    /// the type does not have, and that is lost when the object is stored again, is written to
    /// `*ignored`, if that is given and empty. Throws pawl::error (decode_failed).
    std::function<object_ptr(std::string_view, std::string* ignored)> decode;

    /// Appends the object in the present version of its schema; see written_object(). Throws
    /// pawl::error.
    std::function<void(const object_ptr&, std::string&)> encode;

    /// Element i converts an object of version i + 1 to the next version.
    std::vector<std::function<std::string(std::string)>> upgrades;

    /// Element i converts an object of version i + 2 to the version before; may be null.
    std::vector<std::function<std::string(std::string)>> downgrades;

    /// The schema version of each callback's payload, where it is not 1: for payloads given as
    /// pawl::bytes.
    std::map<std::string, std::uint32_t> payload_versions;

    /// Returns what is left of the object when a run's data is deleted. May be empty: then `blank`
    /// is.
    std::function<std::string(std::string_view)> scrub;

    std::function<std::string()> blank; ///< a default-constructed object, encoded

    /// The definitions of foreign workflows whose runs the handlers start, by name.
    std::map<std::string, std::shared_ptr<const workflow_impl>, std::less<>> foreign_workflows;

    std::vector<attribute_reader> attributes; ///< of `rules.attributes`, at the same index
    std::optional<retention_options> retention;
    std::vector<declared_hook> hooks;  ///< in order of declaration
    bool hooks_from_beginning = false; ///< see builder::hooks_from_beginning()
};

/// Returns the record's object in the present version of its schema: as it is stored, or in
/// `upgraded`. Throws pawl::error: decode_failed when an upgrade fails, program_too_old when the
/// object is of a newer version.
std::string_view present_object(const workflow_impl& workflow, const record& stored,
                                std::string& upgraded);

/// Converts an object of the present version to the version that the workflow writes. Throws
/// pawl::error (encode_failed) when a downgrade fails.
std::string written_object(const workflow_impl& workflow, std::string present);

/// Returns the deadlines of a visit to `status` that begins now.
std::vector<deadline> arm_timeouts(const workflow_impl& workflow, int status,
                                   const object_ptr& object, run_context& context);

using json_edit = std::function<void(boost::json::value&)>;

/// Makes an upgrade of a function that edits a JSON document.
std::function<std::string(std::string)> make_upgrade(json_edit edit);

} // namespace pawl::detail
