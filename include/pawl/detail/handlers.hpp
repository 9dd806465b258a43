#pragma once

#include "pawl/archive.hpp"
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

/// A decoded object whose type only the typed layer knows.
using object_ptr = std::shared_ptr<void>;

using handler = std::function<boost::asio::awaitable<next_value>(const object_ptr&, run_context&)>;
using callback_handler = std::function<boost::asio::awaitable<next_value>(
    const object_ptr&, run_context&, std::string_view payload)>;

/// The payload is not one that the handler takes: repeating does not help.
class unreadable_payload : public error {
public:
    using error::error;
};

/// When a timeout of a visit that begins now is due; empty: not at all.
using timer_function = std::function<std::optional<time_point>(const object_ptr&, run_context&)>;

/// Runs with the event that the hook is for and the run's record at or after it.
using hook = std::function<boost::asio::awaitable<void>(const event&, const record&)>;

/// A hook and what it is for.
struct declared_hook {
    /// Which hook of its workflow it is, in every program that declares it: "on_pause", or
    /// "on_pause/mail" of a hook that was given a name. What it has seen of the log is stored under
    /// it.
    std::string name;

    std::vector<event_kind> kinds;
    std::vector<int> entering; ///< only where the run enters one of these statuses; empty: any
    hook run;

    bool wants(event_kind kind, int from, int to) const noexcept;
};

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

    /// Of an object in the present version of its schema. The path of the first member that the
    /// type does not have, and that is lost when the object is stored again, is written to
    /// `*ignored`, if that is given and empty. Throws pawl::error (decode_failed).
    std::function<object_ptr(std::string_view, std::string* ignored)> decode;

    /// In the present version of its schema; see written_object(). Appends; throws pawl::error.
    std::function<void(const object_ptr&, std::string&)> encode;

    /// Element i brings an object of version i + 1 to the next one.
    std::vector<std::function<std::string(std::string)>> upgrades;

    /// Element i brings an object of version i + 2 to the one before; null where there is none.
    std::vector<std::function<std::string(std::string)>> downgrades;

    /// Which version of its schema the payload of a callback is in, where that is not the first:
    /// for payloads that are given as pawl::bytes.
    std::map<std::string, std::uint32_t> payload_versions;

    /// What is left of the object when a run's data is deleted; empty: `blank`.
    std::function<std::string(std::string_view)> scrub;

    std::function<std::string()> blank; ///< a default-constructed object, encoded

    std::optional<retention_options> retention;
    std::vector<declared_hook> hooks;  ///< in order of declaration
    bool hooks_from_beginning = false; ///< where a hook begins that is new
};

/// The record's object in the present version of its schema: as it is stored, or in `upgraded`.
/// Throws pawl::error: decode_failed when an upgrade fails, program_too_old when the object is of a
/// newer version.
std::string_view present_object(const workflow_impl& workflow, const record& from,
                                std::string& upgraded);

/// An object of the present version, in the version that the workflow writes. Throws pawl::error
/// (encode_failed) when a downgrade fails.
std::string written_object(const workflow_impl& workflow, std::string present);

/// The deadlines of a visit to `status` that begins now.
std::vector<deadline> arm_timeouts(const workflow_impl& workflow, int status,
                                   const object_ptr& object, run_context& context);

using json_edit = std::function<void(boost::json::value&)>;

/// An upgrade that edits a JSON document.
std::function<std::string(std::string)> make_upgrade(json_edit edit);

} // namespace pawl::detail
