#include "pawl/error.hpp"

namespace pawl {

namespace {

const char* sentence(errc code) noexcept
{
    switch (code) {
    case errc::already_running:
        return "an unfinished run has this foreign id: wait until it finishes, or use its run id";
    case errc::already_ran:
        return "a run with this foreign id has finished: ask for a new run, or use another foreign "
               "id";
    case errc::not_found:
        return "there is no such run";
    case errc::already_finished:
        return "the run has finished and takes no more messages";
    case errc::finished_in_other_status:
        return "the run finished without reaching an awaited status";
    case errc::already_paused:
        return "the run is already paused by request";
    case errc::not_paused:
        return "the run is not paused, so there is nothing to resume";
    case errc::not_finished:
        return "the run has not finished: cancel it, or wait, before its data can be deleted";
    case errc::no_such_callback:
        return "the workflow declares no callback of this name";
    case errc::callback_failed:
        return "the callback's handler failed: its reason is in the run's history";
    case errc::expired:
        return "the message expired before the run could handle it";
    case errc::invalid_status:
        return "no run of this workflow can start in that status: use one that has a step, "
               "callback or timeout";
    case errc::invalid_argument:
        return "an argument is out of its documented range";
    case errc::too_large:
        return "the object or payload is larger than the engine's limit";
    case errc::encode_failed:
        return "the codec could not write the object";
    case errc::decode_failed:
        return "the codec could not read the bytes it was given";
    case errc::not_running:
        return "the engine is not running: it was not started, or has been stopped";
    case errc::unhandled_status:
        return "unfinished runs are in statuses that their workflow does not handle: see the log "
               "for the list";
    case errc::overloaded:
        return "too many calls wait for the store: try again later";
    case errc::conflict:
        return "the run was changed by another writer: read it again";
    case errc::fenced:
        return "another engine has taken over the run's shard";
    case errc::store_unavailable:
        return "the store did not answer: try again";
    case errc::store_locked:
        return "the database is open elsewhere: close it there, or use another file";
    case errc::store_read_only:
        return "the database cannot be written: check the permissions of the file and its folder";
    case errc::store_full:
        return "no space is left for the database: free some, then try again";
    case errc::store_corrupt:
        return "the file is not a Pawl database, or it is damaged";
    case errc::store_version_unsupported:
        return "the database was written by a newer version of Pawl: use that version";
    case errc::store_access_denied:
        return "access denied: check the server's version, the database, the user and its "
               "privileges";
    case errc::store_flush_failed:
        return "a flush to disk has failed, so earlier writes may be lost: check the disk, then "
               "reopen "
               "the database";
    case errc::stalled:
        return "the engine is stalled: runs are due, and no running handler ends; its log names "
               "the "
               "handlers";
    case errc::program_too_old:
        return "a newer version of this program wrote the data: use that version";
    case errc::status_relabeled:
        return "the label of a status number differs from the one in this database: see the log";
    case errc::called_by_handler:
        return "a handler called a function that waits for the end of that handler: call it from "
               "outside of the handler";
    case errc::inbox_full:
        return "too many messages wait for the run: send the message again later";
    case errc::missing_workflow:
        return "the engine does not have a workflow that is needed: add() it, or declare it by "
               "uses_foreign()";
    case errc::broker_unavailable:
        return "the message broker did not answer: try again";
    case errc::not_failing:
        return "the run has no failed attempt: there is nothing to retry";
    case errc::unexpected_exception:
        return "an exception of unknown type was thrown";
    }
    return "unknown error";
}

class category final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "pawl"; }
    std::string message(int value) const override { return sentence(static_cast<errc>(value)); }
};

} // namespace

const boost::system::error_category& pawl_category() noexcept
{
    static const category instance;
    return instance;
}

bool is_retryable(const error_code& code) noexcept
{
    if (code.category() != pawl_category())
        return false;
    switch (static_cast<errc>(code.value())) {
    case errc::already_running:
    case errc::overloaded:
    case errc::conflict:
    case errc::fenced:
    case errc::store_unavailable:
    case errc::store_locked:
    case errc::store_full:
    case errc::inbox_full:
    case errc::broker_unavailable:
        return true;
    default:
        return false;
    }
}

} // namespace pawl
