#pragma once

#include "pawl/detail/initiate.hpp"
#include "pawl/detail/operations_api.hpp"
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

private:
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
