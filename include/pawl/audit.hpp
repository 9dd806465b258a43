#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl {

/// Who asks for a change. Each text has at most 1,024 bytes, and is valid UTF-8.
struct requester {
    std::string name{};    ///< as the application names people; also stored with the run
    std::string method{};  ///< how they signed in, such as "token" or "local user"
    std::string address{}; ///< from where, such as an IP address
};

/// What became of a change that an operator asked for. Stored by name.
enum class audit_outcome : std::uint8_t {
    requested, ///< recorded in the transaction of the change, before it was executed
    accepted,  ///< in the run's inbox; it was not executed while the caller waited
    done,      ///< executed
    refused,   ///< nothing was changed
    failed, ///< the callback's handler failed; or the store failed or the engine stopped, and the
            ///< change may have been executed
};

/// Returns the name of the enumerator.
std::string to_string(audit_outcome outcome);

/// The inverse of to_string(), case-sensitive. Empty for any other text.
std::optional<audit_outcome> parse_audit_outcome(std::string_view text) noexcept;

/// An entry of the audit log. A change has an entry when it is requested and one with its outcome;
/// a change that was refused before it reached the run has only the second.
struct audit_entry {
    std::uint64_t position = 0; ///< in the log
    std::string id;             ///< of the change: equal for its entries
    time_point at;
    requester by;
    std::string action;     ///< the function, such as "pause" for operations::async_pause()
    std::string workflow;   ///< empty if the change is not of a workflow
    run_id run;             ///< empty if there is none
    std::string foreign_id; ///< of the run, as far as it is known
    std::string target;     ///< what else the change names: a status, a callback, a topic
    std::string reason;
    audit_outcome outcome = audit_outcome::requested;
    std::string error;  ///< message of the error code if it was refused or failed
    std::string detail; ///< the sentence of that error
};

/// A page of the audit log.
struct audit_page {
    std::vector<audit_entry> entries; ///< oldest first
    std::uint64_t next = 0;           ///< the position after which the next page begins
    bool complete = true;             ///< whether the log has no further entries
};

} // namespace pawl
