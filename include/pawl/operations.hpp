#pragma once

#include "pawl/detail/initiate.hpp"
#include "pawl/detail/operations_api.hpp"
#include "pawl/operations_requests.hpp"
#include "pawl/operations_views.hpp"
#include "pawl/schedule_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl {

class bulk_changes;
class schedule_operations;

/// What an operator does: reads and changes the runs of all workflows in the store, by the names of
/// the workflows. Made by engine::operations(); cheap to copy.
///
/// It needs no workflow: an engine with engine_options::client_only and without add() is enough.
/// Objects and payloads are texts, as the codecs have written them; statuses have labels as far as
/// the engine's own workflows or the definitions in the store have them.
///
/// No function reads more than its budget, whatever the store holds: pages are found by their
/// position, and counts come from counters that each commit maintains.
///
/// Changes are audited: each one that is asked for, also a refused one, is recorded in the audit
/// log before the call completes. The record of a command, a callback and a trigger is stored in
/// the transaction of the change; so a change whose record cannot be stored is not made. A change
/// is executed by the engine that drives the run, exactly once, even if this process dies.
///
/// Functions named async_… take a completion token, by default boost::asio::use_awaitable, and
/// complete as those of pawl::client do. Every operation can also fail with not_running (the engine
/// was not started, or has been stopped) and with a store_* code (the store failed). The
/// cancellation of a read has no effect.
///
/// Lifetime: it may outlive the engine, but not the execution context of its executor.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class operations {
public:
    /// Made by engine::operations().
    explicit operations(std::shared_ptr<detail::operations_api> core) : core_(std::move(core)) {}

    /// Reads how many runs each workflow has in each status and run state, and how many of them
    /// need an operator.
    ///
    /// Completes: with one entry for each workflow that the store knows, in the order of their
    /// names. Signature: `void(error_code, std::vector<workflow_overview>)`.
    /// Errors: invalid_argument — an option is out of its range.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_overview(overview_options options = {}, Token&& token = {})
    {
        return initiate<Token, std::vector<workflow_overview>>(
            [](detail::operations_api& core, auto done, overview_options wanted) {
                core.overview(std::move(wanted), std::move(done));
            },
            token, std::move(options));
    }

    /// Reads a page of the runs that match a filter.
    ///
    /// A reader that follows run_page::next sees each run exactly once that exists and matches all
    /// the time; overdue runs may move while pages are read.
    ///
    /// Completes: with at most `filter.limit` runs. Signature: `void(error_code, run_page)`.
    /// Errors: invalid_argument — a field of the filter is out of its range, a label is not that of
    /// a status of the workflow, or `after` is not a position of such a list.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_list(run_filter filter, Token&& token = {})
    {
        return initiate<Token, run_page>(
            [](detail::operations_api& core, auto done, run_filter wanted) {
                core.list(std::move(wanted), std::move(done));
            },
            token, std::move(filter));
    }

    /// Reads a run by its id.
    ///
    /// Completes: with the run as it is stored, or with nothing when there is no such run.
    /// Signature: `void(error_code, std::optional<run_view>)`.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_read(run_id run, Token&& token = {})
    {
        return initiate<Token, std::optional<run_view>>(
            [](detail::operations_api& core, auto done, run_id id) {
                core.read(id, std::move(done));
            },
            token, run);
    }

    /// Reads the events of a run whose version is greater than `after`, in order.
    ///
    /// Completes: with at most `limit` events; with none when there is no such run. Signature:
    /// `void(error_code, std::vector<event>)`.
    /// Errors: invalid_argument — `limit` is not in 1 to 1,000.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_history(run_id run, std::uint64_t after = 0, std::size_t limit = 1000,
                       Token&& token = {})
    {
        return initiate<Token, std::vector<event>>(
            [](detail::operations_api& core, auto done, run_id id, std::uint64_t version,
               std::size_t count) { core.history(id, version, count, std::move(done)); },
            token, run, after, limit);
    }

    /// Reads the pending messages of a run whose sequence is greater than `after`, in order. The
    /// payload of a settled message is not kept; see async_outcome().
    ///
    /// Completes: with at most `limit` messages; with none when there is no such run. Signature:
    /// `void(error_code, std::vector<message>)`.
    /// Errors: invalid_argument — `limit` is not in 1 to 1,000.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_messages(run_id run, std::uint64_t after = 0, std::size_t limit = 100,
                        Token&& token = {})
    {
        return initiate<Token, std::vector<message>>(
            [](detail::operations_api& core, auto done, run_id id, std::uint64_t sequence,
               std::size_t count) { core.messages(id, sequence, count, std::move(done)); },
            token, run, after, limit);
    }

    /// Reads what became of a message. The messages of a run have the sequences from 1 to
    /// record::inbox_last.
    ///
    /// Completes: with the outcome, which may be `pending`, or with nothing when the run has no
    /// such message. Signature: `void(error_code, std::optional<settlement>)`.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_outcome(run_id run, std::uint64_t sequence, Token&& token = {})
    {
        return initiate<Token, std::optional<settlement>>(
            [](detail::operations_api& core, auto done, run_id id, std::uint64_t number) {
                core.outcome(id, number, std::move(done));
            },
            token, run, sequence);
    }

    /// Reads the workflows that the store knows, with the definitions that programs have been
    /// started with. Of a workflow that has neither runs nor a stored definition nothing is known.
    ///
    /// Completes: with the workflow of this name, or without a name with all of them, in the order
    /// of their names. Signature: `void(error_code, std::vector<workflow_view>)`.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_definitions(std::string workflow = {}, Token&& token = {})
    {
        return initiate<Token, std::vector<workflow_view>>(
            [](detail::operations_api& core, auto done, std::string name) {
                core.definitions(std::move(name), std::move(done));
            },
            token, std::move(workflow));
    }

    /// Reads which engines are alive, which workflows they have, and which shards they own. An
    /// engine with `client_only` is not among them. Of a store that is not shared, only the engine
    /// that answers is known.
    ///
    /// Signature: `void(error_code, engines_view)`.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_engines(Token&& token = {})
    {
        return initiate<Token, engines_view>(
            [](detail::operations_api& core, auto done) { core.engines(std::move(done)); }, token);
    }

    /// Reads the schedules of a workflow, or without a name those of all workflows, in the order of
    /// workflow and name.
    ///
    /// Signature: `void(error_code, std::vector<schedule_info>)`.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_schedules(std::string workflow = {}, Token&& token = {})
    {
        return initiate<Token, std::vector<schedule_info>>(
            [](detail::operations_api& core, auto done, std::string name) {
                core.schedules(std::move(name), std::move(done));
            },
            token, std::move(workflow));
    }

    /// Reads the connectors of this engine, and those that other live engines run.
    ///
    /// Completes: in the order of their names. Signature:
    /// `void(error_code, std::vector<connector_view>)`.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_connectors(Token&& token = {})
    {
        return initiate<Token, std::vector<connector_view>>(
            [](detail::operations_api& core, auto done) { core.connectors(std::move(done)); },
            token);
    }

    /// Reads which topics have dead letters: those of the callbacks, hooks and SQL requests of all
    /// workflows that the store knows, and those of the connectors that async_connectors() reads.
    ///
    /// Completes: with the topics that have letters. Signature:
    /// `void(error_code, std::vector<dead_letter_topic_view>)`.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_dead_letter_topics(Token&& token = {})
    {
        return initiate<Token, std::vector<dead_letter_topic_view>>(
            [](detail::operations_api& core, auto done) {
                core.dead_letter_topics(std::move(done));
            },
            token);
    }

    /// Reads the dead letters of a topic whose position is greater than `after`, in order; see
    /// dead_letter_topic() for their form.
    ///
    /// Completes: with at most `limit` letters and about 4 MiB, but with at least one if there is
    /// one. Signature: `void(error_code, topic_page)`.
    /// Errors: invalid_argument — `limit` is not in 1 to 1,000, or the name is not that of a topic
    /// of dead letters.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_dead_letters(std::string topic, std::uint64_t after = 0, std::size_t limit = 100,
                            Token&& token = {})
    {
        return initiate<Token, topic_page>(
            [](detail::operations_api& core, auto done, std::string name, std::uint64_t position,
               std::size_t count) {
                core.dead_letters(std::move(name), position, count, std::move(done));
            },
            token, std::move(topic), after, limit);
    }

    /// Pauses a run, as client::async_pause() does.
    ///
    /// Completes: when the engine that drives the run has executed it, or when
    /// change_request::wait_for has passed. Signature: `void(error_code, change_result)`.
    /// Durability: the command is in the run's inbox, with its audit record, before it is executed.
    /// Errors: not_found — the workflow has no such run; already_paused, already_finished — the
    /// state of the run; conflict — the run has another version; invalid_argument — a field of the
    /// request is out of its range.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_pause(std::string workflow, run_id run, change_request request, Token&& token = {})
    {
        return initiate_change({std::move(workflow), run, message_kind::pause}, std::move(request),
                               token);
    }

    /// Continues a paused run, as client::async_resume() does.
    ///
    /// Completes, durability, errors, cancellation: those of async_pause(), but not_paused instead
    /// of already_paused.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_resume(std::string workflow, run_id run, change_request request, Token&& token = {})
    {
        return initiate_change({std::move(workflow), run, message_kind::resume}, std::move(request),
                               token);
    }

    /// Cancels a run, as client::async_cancel() does.
    ///
    /// Completes, durability, errors, cancellation: those of async_pause(), without already_paused.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_cancel(std::string workflow, run_id run, change_request request, Token&& token = {})
    {
        return initiate_change({std::move(workflow), run, message_kind::cancel}, std::move(request),
                               token);
    }

    /// Deletes the data of a finished run, as client::async_delete_data() does.
    ///
    /// Completes, durability, errors, cancellation: those of async_pause(), but not_finished
    /// instead of already_paused and already_finished.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_delete_data(std::string workflow, run_id run, change_request request,
                           Token&& token = {})
    {
        return initiate_change({std::move(workflow), run, message_kind::delete_data},
                               std::move(request), token);
    }

    /// Lets the failing handlers of a run run now, with attempts from zero: of a run that waits for
    /// its next attempt, or that an error has paused. The event of the history is `retried`.
    ///
    /// Completes, durability, cancellation: those of async_pause().
    /// Errors: not_found — the workflow has no such run; not_failing — the run has no failed
    /// attempt; already_paused — it is paused by a request: resume it; already_finished — it has
    /// finished; conflict — it has another version; invalid_argument — a field of the request is
    /// out of its range.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_retry(std::string workflow, run_id run, change_request request, Token&& token = {})
    {
        return initiate_change({std::move(workflow), run, message_kind::retry}, std::move(request),
                               token);
    }

    /// Continues a paused run in any status of its workflow, with the object that is stored or with
    /// an edited one. The engine that drives the run checks the object by the workflow's codec, and
    /// stores all of it in one commit: a new visit of the status begins, with its deadlines. The
    /// event of the history is `moved_by_command`; a move to an end status completes the run.
    ///
    /// Completes, durability, cancellation: those of async_pause().
    /// Errors: not_found — the workflow has no such run; not_paused — it is not paused: pause it
    /// first; already_finished — it has finished; invalid_status — the engine's workflow has no
    /// such status; decode_failed — the codec cannot read the object, or the object has a member
    /// that its type does not have; conflict — the run has another version; too_large — the object
    /// has more than engine_options::max_object_size; invalid_argument — the status is no label of
    /// the workflow, the object is no JSON, or a field of the request is out of its range.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_move(std::string workflow, run_id run, move_request move, change_request request,
                    Token&& token = {})
    {
        detail::run_change wanted{std::move(workflow), run, message_kind::move};
        wanted.move = std::move(move);
        return initiate_change(std::move(wanted), std::move(request), token);
    }

    /// Sends a callback to a run, as client::async_call() does.
    ///
    /// Completes, durability, cancellation: those of async_pause(); executed means that the
    /// callback's handler has returned.
    /// Errors: not_found — the workflow has no such run; no_such_callback — no known definition of
    /// the workflow declares the callback; already_finished — the run has finished; callback_failed
    /// — the attempts of the handler are used up; inbox_full — too many messages wait; conflict —
    /// the run has another version; too_large — the payload has more than
    /// engine_options::max_object_size; invalid_argument — the payload is no JSON, or a field of
    /// the request is out of its range.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_call(std::string workflow, run_id run, callback_request callback,
                    change_request request, Token&& token = {})
    {
        detail::run_change wanted{std::move(workflow), run, message_kind::callback};
        wanted.callback = std::move(callback);
        return initiate_change(std::move(wanted), std::move(request), token);
    }

    /// Starts a run, as client::async_trigger() does. The engine must have the workflow, whose
    /// codec checks the object; `change_request::if_version` and `wait_for` are ignored.
    ///
    /// Completes: when the run is stored. Signature: `void(error_code, change_result)`.
    /// Durability: the run and its audit record are stored in one transaction.
    /// Errors: missing_workflow — this engine does not have the workflow; the detail names live
    /// engines that have it; already_running, already_ran — the foreign id has a run; decode_failed
    /// — the codec cannot read the object, or the object has a member that its type does not have;
    /// invalid_status — no run can start in the status; too_large — the object has more than
    /// engine_options::max_object_size; invalid_argument — a field is out of its range.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_trigger(std::string workflow, trigger_request start, change_request request,
                       Token&& token = {})
    {
        return initiate<Token, change_result>(
            [](detail::operations_api& core, auto done, std::string name, trigger_request wanted,
               change_request asked) {
                core.trigger(std::move(name), std::move(wanted), std::move(asked), std::move(done));
            },
            token, std::move(workflow), std::move(start), std::move(request));
    }

    /// Removes a finished run now, as retention does later: its archiver gets it first, and its id,
    /// foreign id and idempotency keys are free afterwards. `change_request::wait_for` is ignored.
    ///
    /// Completes: when the run has been removed. Signature: `void(error_code, change_result)`.
    /// Durability: the request is recorded before the run is archived.
    /// Errors: not_found — the workflow has no such run; not_finished — it has not finished, or a
    /// hook, a connector or its parent has not seen its end: see the detail; conflict — it has
    /// another version; missing_workflow — this engine does not drive the workflow; fenced —
    /// another engine owns the run's shard, and must be asked; an error of the archiver.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_remove(std::string workflow, run_id run, change_request request, Token&& token = {})
    {
        return initiate<Token, change_result>(
            [](detail::operations_api& core, auto done, std::string name, run_id id,
               change_request asked) {
                core.remove(std::move(name), id, std::move(asked), std::move(done));
            },
            token, std::move(workflow), run, std::move(request));
    }

    /// Tries the dead letters of a topic again, see engine::async_redrive(). The engine must have
    /// the connector or workflow of the topic.
    ///
    /// Completes: when all letters that the topic had at the call have been tried. Signature:
    /// `void(error_code, redrive_result)`.
    /// Durability: that of engine::async_redrive(). The request is recorded before the first letter
    /// is tried.
    /// Errors: invalid_argument — the topic holds no dead letters of this engine, or a field of the
    /// request is out of its range.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_redrive(std::string topic, change_request request, Token&& token = {})
    {
        return initiate<Token, redrive_result>(
            [](detail::operations_api& core, auto done, std::string name, change_request asked) {
                core.redrive(std::move(name), std::move(asked), std::move(done));
            },
            token, std::move(topic), std::move(request));
    }

    /// Reads the entries of the audit log whose position is greater than `after`, in order. The log
    /// is the topic "pawl.audit" of the store; engine_options::max_audit_entries bounds it.
    ///
    /// Completes: with at most `limit` entries. Signature: `void(error_code, audit_page)`.
    /// Errors: invalid_argument — `limit` is not in 1 to 1,000.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_audit(std::uint64_t after = 0, std::size_t limit = 100, Token&& token = {})
    {
        return initiate<Token, audit_page>(
            [](detail::operations_api& core, auto done, std::uint64_t position, std::size_t count) {
                core.audit(position, count, std::move(done));
            },
            token, after, limit);
    }

private:
    friend class bulk_changes;
    friend class schedule_operations;

    template <class Token>
    auto initiate_change(detail::run_change wanted, change_request request, Token& token)
    {
        return initiate<Token, change_result>(
            [](detail::operations_api& core, auto done, detail::run_change change,
               change_request asked) {
                core.change(std::move(change), std::move(asked), std::move(done));
            },
            token, std::move(wanted), std::move(request));
    }

    /// Calls `start` with the core, a completion handler and the arguments.
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
