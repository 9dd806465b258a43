#include "engine/operations/bulk_service.hpp"

#include "core/reserved_names.hpp"
#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/operations/audited_changes.hpp"
#include "engine/operations/store_inventory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::quoted;

namespace {

constexpr std::size_t max_samples = 20;
constexpr std::size_t counted_runs = 1'000;

/// The longest foreign id of a run: "<home>/<key>" for a bulk change.
constexpr std::size_t max_foreign_id = 1'024;

} // namespace

/// A request that was checked.
struct bulk_service::plan {
    list_search search;
    std::string home; ///< an engine that has this workflow drives the bulk change
    std::optional<int> status;
};

bulk_service::bulk_service(detail::engine_core& core, run_reader& runs, audited_changes& changes)
    : core_(core), runs_(runs), changes_(changes), worker_(core)
{
}

asio::awaitable<std::string> bulk_service::home_of(std::string workflow)
{
    if (workflow.starts_with(core::reserved_prefix))
        throw error(errc::invalid_argument,
                    "bulk_request::filter.workflow is " + quoted(workflow) +
                        "; it must not be one of Pawl's own, which begin with \"pawl.\"");
    if (!workflow.empty()) {
        const bool known = co_await runs_.is_known(workflow);
        if (!known)
            throw error(errc::not_found, "the store knows no workflow " + quoted(workflow));
        co_return workflow;
    }
    const store_inventory inventory{core_.shared_, core_.options_.client_only};
    auto names = co_await inventory.workflows();
    const auto driven = co_await inventory.driven(std::move(names));
    if (driven.empty())
        throw error(errc::missing_workflow, "no live engine has a workflow, so that none could "
                                            "drive the bulk change: start one, or name a workflow");
    co_return *driven.begin();
}

asio::awaitable<bulk_service::plan> bulk_service::make_plan(bulk_request wanted)
{
    const bool is_move = wanted.action == bulk_action::move;
    if (!wanted.filter.after.empty())
        throw error(errc::invalid_argument,
                    "bulk_request::filter.after is " + quoted(wanted.filter.after) +
                        "; it must be empty: all runs that match are meant");
    if (is_move && wanted.filter.workflow.empty())
        throw error(errc::invalid_argument,
                    "bulk_request::filter.workflow is empty; a move needs a workflow");
    if (is_move == wanted.status.empty())
        throw error(errc::invalid_argument,
                    "bulk_request::status is " + quoted(wanted.status) +
                        (is_move ? "; a move needs a status" : "; only a move has a status"));
    wanted.filter.limit = counted_runs;
    wanted.filter.max_examined = run_filter{}.max_examined;
    wanted.filter.max_bytes = run_filter{}.max_bytes;
    plan made;
    made.home = co_await home_of(wanted.filter.workflow);
    const auto now = core_.shared_.clock.now();
    // Runs of the same microsecond are older.
    const auto end = now + duration{1};
    wanted.filter.created_to = std::min(wanted.filter.created_to.value_or(end), end);
    status_labels labels;
    if (is_move) {
        const store_inventory inventory{core_.shared_, core_.options_.client_only};
        co_await inventory.add_labels({wanted.filter.workflow}, labels);
        made.status = labels.number(wanted.filter.workflow, wanted.status);
    }
    made.search = co_await runs_.resolve(std::move(wanted.filter), now, labels);
    co_return made;
}

asio::awaitable<bulk_preview> bulk_service::preview(bulk_request wanted)
{
    auto made = co_await make_plan(std::move(wanted));
    // Through the list, which has the labels and engines of the samples.
    auto found = co_await list_runs(core_.shared_.store, std::move(made.search));
    std::erase_if(found.runs, [](const record& run) {
        return run.workflow.starts_with(core::reserved_prefix);
    });
    bulk_preview preview;
    preview.runs = {found.runs.size(), !found.complete};
    preview.examined = found.examined;
    found.runs.resize(std::min(found.runs.size(), max_samples));
    preview.samples = co_await runs_.views_of(std::move(found.runs));
    co_return preview;
}

asio::awaitable<bulk_view> bulk_service::start(bulk_request wanted, change_request request)
{
    auto entry = changes_.begin("bulk", request);
    entry.workflow = core::truncate_utf8(wanted.filter.workflow, max_foreign_id);
    entry.target = to_string(wanted.action);
    run_id started;
    std::exception_ptr failure;
    try {
        started = co_await start_run(std::move(wanted), std::move(request), entry);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) // the end of a bulk change is recorded when it ends
        co_await changes_.finish(std::move(entry), failure);
    auto view = co_await read(started);
    if (!view)
        throw error(errc::not_found, "the bulk change " + to_string(started) + " was removed");
    co_return std::move(*view);
}

asio::awaitable<run_id> bulk_service::start_run(bulk_request wanted, change_request request,
                                                audit_entry& entry)
{
    check_request(request);
    detail::check_key(request.idempotency_key);
    bulk_state state;
    state.action = to_string(wanted.action);
    state.status_text = wanted.status;
    const auto made = co_await make_plan(std::move(wanted));
    state.filter = store_filter(made.search);
    state.status = made.status;
    state.started_at = made.search.now;
    state.requester = entry.by.name;
    state.method = entry.by.method;
    state.address = entry.by.address;
    state.reason = entry.reason;
    state.audit_id = entry.id;
    detail::trigger_call call;
    const auto& key = request.idempotency_key;
    call.foreign_id = made.home + "/" + (key.empty() ? entry.id : key);
    if (call.foreign_id.size() > max_foreign_id)
        throw error(errc::invalid_argument,
                    fmt::format("change_request::idempotency_key has {} bytes; of a bulk change "
                                "of {} it must have at most {}",
                                key.size(), quoted(made.home),
                                max_foreign_id - made.home.size() - 1));
    call.key = key;
    call.object = encode_bulk(state);
    entry.outcome = audit_outcome::requested;
    auto record = changes_.log().publication_of(entry);
    const auto workflow = core_.shared_.workflows.find(core::bulk_workflow)->second.impl;
    const auto started =
        co_await core_.do_trigger(workflow, std::move(call), false, std::move(record));
    co_return started.value();
}

asio::awaitable<bulk_view> bulk_service::view_of(record run)
{
    auto view = read_bulk(run);
    const store_inventory inventory{core_.shared_, core_.options_.client_only};
    const auto driven =
        co_await inventory.driven({std::string{shard_home(run.workflow, run.foreign_id)}});
    view.has_engine = !driven.empty();
    co_return view;
}

asio::awaitable<std::optional<bulk_view>> bulk_service::read(run_id bulk)
{
    auto found = co_await core_.shared_.store.find(bulk);
    if (!found || found->workflow != core::bulk_workflow)
        co_return std::nullopt;
    auto view = co_await view_of(std::move(*found));
    co_return view;
}

asio::awaitable<bulk_page> bulk_service::list(std::string after, std::size_t limit)
{
    check_page_limit(limit);
    record_query query;
    query.workflow = core::bulk_workflow;
    query.order = sort_order::newest_first;
    query.limit = limit;
    if (!after.empty()) {
        const auto position = parse_list_position(after);
        if (!position)
            throw error(errc::invalid_argument,
                        "after is " + quoted(after) + "; it must be bulk_page::next");
        query.after = *position;
    }
    auto found = co_await core_.shared_.store.list(query);
    bulk_page page;
    if (found.next)
        page.next = to_string(found.next);
    for (auto& run : found.runs) {
        auto view = co_await view_of(std::move(run));
        page.changes.push_back(std::move(view));
    }
    co_return page;
}

} // namespace pawl::engine_detail
