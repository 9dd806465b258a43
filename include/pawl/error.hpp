#pragma once

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <stdexcept>
#include <string>

namespace pawl {

using boost::system::error_code;
using boost::system::system_error;

/// The errors that Pawl reports by code.
enum class errc {
    already_running = 1,      ///< the foreign id has an unfinished run
    already_ran,              ///< the foreign id has a finished run; the trigger allows only one
    not_found,                ///< no such run or schedule
    already_finished,         ///< the run has finished and takes no more messages
    finished_in_other_status, ///< an awaited run finished without reaching the awaited statuses
    already_paused,           ///< the run is paused by a command or a handler
    not_paused,               ///< the run is not paused, so it cannot be resumed
    not_finished,             ///< the run has not finished, so its data cannot be deleted
    no_such_callback,         ///< the workflow declares no callback of that name
    callback_failed,          ///< the attempts of the callback's handler are used up
    expired,           ///< callback_options::expires_after passed before the callback was handled
    invalid_status,    ///< no run of this workflow can start in the status
    invalid_argument,  ///< an argument is out of its documented range
    too_large,         ///< the object or payload is over the configured limit
    encode_failed,     ///< the codec could not write the object
    decode_failed,     ///< the codec could not read the bytes
    not_running,       ///< the engine has not been started, or has been stopped
    unhandled_status,  ///< unfinished runs are in statuses that the workflow does not handle
    overloaded,        ///< engine_options::max_waiting_calls calls wait for their commit
    conflict,          ///< the run was changed concurrently
    fenced,            ///< another engine owns the run's shard
    store_unavailable, ///< the store did not answer, or failed for now
    store_locked,      ///< another process or engine has the database open
    store_read_only,   ///< the database cannot be written
    store_full,        ///< no space is left for the database
    store_corrupt,     ///< the database is not one of Pawl, or is corrupt
    store_version_unsupported, ///< the database was written by a newer Pawl
    store_access_denied,       ///< the server denies access: its version, the database or the user
    store_flush_failed,        ///< a flush to disk failed; the database must be opened again
    stalled,                   ///< runs are due, and no place for a run becomes free
    program_too_old,           ///< a newer version of the program wrote the data
    status_relabeled,          ///< a status's number had another label in this database
    called_by_handler,         ///< a handler called what would wait for the handler itself
    inbox_full,                ///< the run has engine_options::max_pending_messages messages
    missing_workflow,          ///< the engine does not have a workflow that is needed
    unexpected_exception,      ///< an exception without a code was thrown; see the detail
    not_failing,               ///< the run has no failed attempt, so there is nothing to retry
    broker_unavailable,        ///< a message broker did not answer, or failed for now
};

/// The category of errc, named "pawl".
const boost::system::error_category& pawl_category() noexcept;

/// Makes an error code of errc, for boost::system::error_code.
inline error_code make_error_code(errc code) noexcept
{
    return {static_cast<int>(code), pawl_category()};
}

/// Returns true when the same call may succeed later without a change by the caller.
bool is_retryable(const error_code& code) noexcept;

/// An error with its details: which file, which member, which status.
///
/// what() is human-readable; programs decide by code().
class error : public system_error {
public:
    error(errc code, const std::string& detail)
        : system_error(detail.empty() ? system_error(make_error_code(code))
                                      : system_error(make_error_code(code), detail)),
          detail_(detail)
    {
    }

    /// The details alone, without the message and the number of the code that what() ends with.
    const std::string& detail() const noexcept { return detail_; }

private:
    std::string detail_;
};

/// Thrown during set-up when a workflow's definition or an option is not valid.
///
/// what() names the workflow, the status or the option, and the remedy.
class definition_error : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

} // namespace pawl

template <>
struct boost::system::is_error_code_enum<pawl::errc> : std::true_type {};
