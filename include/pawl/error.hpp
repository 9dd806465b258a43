#pragma once

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <stdexcept>
#include <string>

namespace pawl {

using boost::system::error_code;
using boost::system::system_error;

/// Every error that Pawl reports by code.
enum class errc {
    already_running = 1, ///< an unfinished run holds this foreign id
    already_ran,         ///< a finished run holds this foreign id, and the trigger allows only one
    not_found,           ///< no such run
    already_finished,    ///< the run has finished; it takes no more messages
    finished_in_other_status, ///< an awaited run finished without reaching the awaited statuses
    already_paused,           ///< somebody has paused the run before
    not_paused,               ///< the run cannot be resumed: it is not paused
    not_finished,             ///< the run's data cannot be deleted before it has finished
    no_such_callback,         ///< the workflow declares no callback of that name
    callback_failed,          ///< the callback's handler failed
    expired,                  ///< the message's time limit passed before it could be handled
    invalid_status,           ///< the status is none where a run of this workflow can start
    invalid_argument,         ///< an argument is out of its documented range
    too_large,                ///< the object or payload is over the configured limit
    encode_failed,            ///< the codec could not write the object
    decode_failed,            ///< the codec could not read stored or given bytes
    not_running,              ///< the engine has not been started, or has been stopped
    unhandled_status,  ///< unfinished runs stand in statuses that the definition does not handle
    overloaded,        ///< too many calls wait for their commit
    conflict,          ///< the record was changed by somebody else; read it again
    fenced,            ///< another engine owns the run's shard
    store_unavailable, ///< the store did not answer or refused for now
    store_locked,      ///< the database is open elsewhere
    store_read_only,   ///< the database cannot be written
    store_full,        ///< no space is left for the database
    store_corrupt,     ///< the database is not one of Pawl's, or is damaged
    store_version_unsupported, ///< the database was written by a newer Pawl
    store_access_denied,       ///< the server does not let its database be used this way, or at all
    store_flush_failed,        ///< a flush to disk has failed; the database must be opened again
    stalled,                   ///< the engine stands still: no place for a run becomes free
    program_too_old,           ///< a newer version of the program wrote the data
    status_relabeled,          ///< a status's number has had another label in this database
    called_by_handler,    ///< a handler of the engine asked for what would wait for that handler
    inbox_full,           ///< the run has as many pending messages as an inbox may hold
    unexpected_exception, ///< an exception without a code was thrown; the detail has its text
};

const boost::system::error_category& pawl_category() noexcept;

inline error_code make_error_code(errc code) noexcept
{
    return {static_cast<int>(code), pawl_category()};
}

/// True when the same call may succeed later without any change by the caller.
bool is_retryable(const error_code& code) noexcept;

/// An error with the text that belongs to it: which file, which member, which status.
///
/// `what()` is for people; decide on `code()`.
class error : public system_error {
public:
    error(errc code, const std::string& detail)
        : system_error(detail.empty() ? system_error(make_error_code(code))
                                      : system_error(make_error_code(code), detail)),
          detail_(detail)
    {
    }

    /// The text alone, without the sentence and number of the code that what() ends with.
    const std::string& detail() const noexcept { return detail_; }

private:
    std::string detail_;
};

/// A workflow's definition, or an option, contradicts itself. Thrown while a program is set up.
///
/// `what()` names the workflow, the status or the option, and says what to do.
class definition_error : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

} // namespace pawl

template <>
struct boost::system::is_error_code_enum<pawl::errc> : std::true_type {};
