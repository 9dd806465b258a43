#pragma once

#include "pawl/detail/initiate.hpp"
#include "pawl/error.hpp"
#include "pawl/operations.hpp"
#include "pawl/record.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl {

/// What a bulk change does to each run: the function of pawl::operations of the same name. Stored
/// by name.
enum class bulk_action : std::uint8_t { retry, pause, resume, cancel, delete_data, move };

/// Returns the name of the enumerator.
std::string to_string(bulk_action action);

/// The inverse of to_string(), case-sensitive. Empty for any other text.
std::optional<bulk_action> parse_bulk_action(std::string_view text) noexcept;

/// A change of all runs that match a filter.
struct bulk_request {
    bulk_action action = bulk_action::retry;

    /// Which runs. Without a workflow: those of all workflows, Pawl's own excluded. `limit`,
    /// `max_examined` and `max_bytes` are ignored, and `after` must be empty.
    run_filter filter{};

    /// Of a move, which needs `filter.workflow`: the label or the number of a status of the
    /// workflow. Of other actions: empty.
    std::string status{};
};

/// What a bulk change would change now.
struct bulk_preview {
    capped_count runs;             ///< that match; counted up to 1,000
    std::vector<run_view> samples; ///< the first of them, at most 20
    std::size_t examined = 0;      ///< runs that were read
};

/// How many runs have refused the command of a bulk change with an error.
struct bulk_refusals {
    error_code code;
    std::uint64_t runs = 0;
};

/// A run that a bulk change has selected and not changed.
struct bulk_problem {
    run_id run;
    std::string workflow;
    std::string foreign_id;
    error_code code; ///< empty: the command was not executed in time, see bulk_view::pending
    std::string detail;
};

/// A bulk change. A run that matched when its page was read is counted in exactly one of `done`,
/// `passed_over`, `pending` and `refused` when its page is finished.
struct bulk_view {
    run_id run; ///< the bulk change itself, a run of the workflow "pawl.bulk"
    bulk_action action = bulk_action::retry;
    std::string workflow; ///< of the filter; empty: all workflows
    std::string status;   ///< of a move
    requester by;
    std::string reason;
    std::string audit_id; ///< audit_entry::id
    time_point started_at;
    std::optional<time_point> ended_at;

    /// Of the bulk change: running, paused, cancelled, or completed when all runs have had their
    /// turn.
    run_state state = run_state::initiated;
    std::string last_error;  ///< of an attempt that failed, and is repeated
    bool has_engine = false; ///< whether a live engine can drive it; if none can, it waits

    std::uint64_t examined = 0; ///< runs that were read to find those that match
    std::uint64_t selected = 0; ///< of these: matched
    std::uint64_t done = 0;     ///< executed

    /// No longer matched when its turn came, or changed before the command was executed.
    std::uint64_t passed_over = 0;

    /// The command is in the run's inbox and was not executed within 30 s. It is executed later.
    std::uint64_t pending = 0;
    std::vector<bulk_refusals> refused;

    /// The first runs of `refused` and `pending`, at most 100.
    std::vector<bulk_problem> problems;

    /// How far the runs have been searched, see run_page::searched_to.
    std::optional<time_point> searched_to;
};

/// A page of bulk_changes::async_list().
struct bulk_page {
    std::vector<bulk_view> changes;
    std::string next; ///< of the next page; empty on the last one
};

/// Changes all runs that match a filter: a part of pawl::operations.
///
/// A bulk change is itself a durable run, of Pawl's workflow "pawl.bulk". An engine that has the
/// workflow of the filter drives it; without one in the filter, an engine that had some workflow
/// when the bulk change started. It survives the death of that engine, and it can be paused,
/// resumed, retried and cancelled by its id as any run, with the workflow name "pawl.bulk".
///
/// The filter and the time are frozen when it starts: runs that are created later are not changed.
/// It reads the runs in pages of at most 100, and commits its progress once for each page. When the
/// turn of a run comes, the run is read and checked against the filter again; if it no longer
/// matches, it is passed over. A retry and a move are refused if the run changes between this check
/// and their execution; the other actions are then executed, as far as the state of the run allows
/// them.
///
/// Each run gets at most one command of a bulk change, however often engines die. The command
/// carries the requester, and the reason with the id of the bulk change before it, which both stand
/// in the history of the run. The counts of a cancelled bulk change miss the page at work. At most
/// engine_options::max_bulk_commands commands of an engine are in flight.
///
/// The audit log has the start and the end of a bulk change, with the action "bulk", and not its
/// single commands. Bulk changes that have ended are kept.
///
/// Every operation can also fail with not_running and with a store_* code. Cancellation: none.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class bulk_changes {
public:
    explicit bulk_changes(const operations& of) : core_(of.core_) {}

    /// Counts the runs that a bulk change would change now, and changes nothing.
    ///
    /// Completes: when the runs have been counted, within the default budgets of a run_filter.
    /// Signature: `void(error_code, bulk_preview)`.
    /// Errors: those of async_start() for the same request.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_preview(bulk_request request, Token&& token = {})
    {
        return initiate<Token, bulk_preview>(
            [](detail::operations_api& core, auto done, bulk_request wanted) {
                core.preview_bulk(std::move(wanted), std::move(done));
            },
            token, std::move(request));
    }

    /// Starts a bulk change. `change_request::if_version` and `wait_for` are ignored. With an
    /// idempotency key, a repeated start completes with the bulk change of the first one, whatever
    /// its filter is.
    ///
    /// Completes: when the bulk change is stored. Signature: `void(error_code, bulk_view)`.
    /// Durability: the bulk change and its audit record are stored in one transaction.
    /// Errors: not_found — the store knows no such workflow; missing_workflow — the filter names no
    /// workflow, and no live engine has one; invalid_argument — a field is out of its range.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_start(bulk_request request, change_request change, Token&& token = {})
    {
        return initiate<Token, bulk_view>(
            [](detail::operations_api& core, auto done, bulk_request wanted, change_request asked) {
                core.start_bulk(std::move(wanted), std::move(asked), std::move(done));
            },
            token, std::move(request), std::move(change));
    }

    /// Reads a bulk change, also while it works.
    ///
    /// Completes: with the progress that is stored, or with nothing when there is no such bulk
    /// change. Signature: `void(error_code, std::optional<bulk_view>)`.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_read(run_id bulk, Token&& token = {})
    {
        return initiate<Token, std::optional<bulk_view>>(
            [](detail::operations_api& core, auto done, run_id id) {
                core.read_bulk(id, std::move(done));
            },
            token, bulk);
    }

    /// Reads a page of the bulk changes, newest first.
    ///
    /// Completes: with at most `limit` bulk changes. Signature: `void(error_code, bulk_page)`.
    /// Errors: invalid_argument — `limit` is not in 1 to 1,000, or `after` is neither empty nor
    /// bulk_page::next.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_list(std::string after = {}, std::size_t limit = 50, Token&& token = {})
    {
        return initiate<Token, bulk_page>(
            [](detail::operations_api& core, auto done, std::string position, std::size_t count) {
                core.list_bulk(std::move(position), count, std::move(done));
            },
            token, std::move(after), limit);
    }

private:
    template <class Token, class Result, class Start, class... Arguments>
    auto initiate(Start start, std::remove_reference_t<Token>& token, Arguments... arguments)
    {
        return detail::initiate<Token, Result>(
            [start](auto handler, std::shared_ptr<detail::operations_api> core, auto... values) {
                start(*core, detail::completion<Result>{std::move(handler)}, std::move(values)...);
            },
            token, core_, std::move(arguments)...);
    }

    std::shared_ptr<detail::operations_api> core_;
};

} // namespace pawl
