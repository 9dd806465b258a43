#include "engine/operations/bulk_worker.hpp"

#include "core/repair.hpp"
#include "core/reserved_names.hpp"
#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/operations/audit_log.hpp"
#include "engine/operations/store_inventory.hpp"
#include "pawl/builder.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// How long a command may be in flight before it is counted as pending.
constexpr duration execution_limit = 30s;

/// How often a bulk change looks for a free permit while other bulk changes have all of them.
constexpr duration permit_poll = 50ms;

constexpr std::size_t longest_bulk_reason = 1024;
constexpr std::size_t searched_events = 256;

/// Stored: never change a number.
enum class bulk_status { working = 1, finished = 2 };
BOOST_DESCRIBE_ENUM(bulk_status, working, finished)

message_kind kind_of(const bulk_state& state)
{
    switch (parse_bulk_action(state.action).value()) {
    case bulk_action::retry:
        return message_kind::retry;
    case bulk_action::pause:
        return message_kind::pause;
    case bulk_action::resume:
        return message_kind::resume;
    case bulk_action::cancel:
        return message_kind::cancel;
    case bulk_action::delete_data:
        return message_kind::delete_data;
    case bulk_action::move:
        return message_kind::move;
    }
    throw error(errc::decode_failed, "the bulk change has no action");
}

class working_step {
public:
    explicit working_step(bulk_worker& worker) : worker_(worker) {}

    step<bulk_status::finished> operator()(run<bulk_state>& bulk) const
    {
        const bool is_finished = co_await worker_.work(bulk);
        if (is_finished)
            co_return to<bulk_status::finished>;
        co_return repeat_after(0s);
    }

private:
    bulk_worker& worker_;
};

} // namespace

std::string bulk_mark(run_id bulk)
{
    return "pawl.bulk/" + to_string(bulk);
}

/// A command that is in flight counts until this object is destroyed.
class bulk_worker::permit {
public:
    explicit permit(std::atomic<std::size_t>& taken) : taken_(&taken) {}
    permit(permit&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
    permit& operator=(permit&&) = delete;
    ~permit()
    {
        if (taken_)
            --*taken_;
    }

private:
    std::atomic<std::size_t>* taken_;
};

/// A command that is in the inbox of its run.
struct bulk_worker::flight {
    record receiver;
    std::uint64_t message = 0;
    time_point sent_at;
    permit held;
};

/// The page of a bulk change that is being changed.
struct bulk_worker::job {
    run<bulk_state> bulk;
    list_search search;
    std::string mark;
    message_kind kind;
    std::deque<flight> flights{};
    std::map<std::string, bool> driven{}; ///< by workflow: whether a live engine has it

    bulk_state& state() { return bulk.object(); }
};

std::shared_ptr<const detail::workflow_impl> bulk_worker::make_workflow()
{
    using enum bulk_status;
    builder<bulk_state, bulk_status> b{std::string{core::bulk_workflow}};
    b.step<working>(working_step{*this})
        .retry({.initial = 1s, .max_interval = 1min, .max_attempts = 0});
    b.end<finished>();
    b.start<working>();
    return std::move(b).build().impl();
}

asio::awaitable<bool> bulk_worker::work(run<bulk_state> bulk)
{
    auto& state = bulk.object();
    co_await change_page(bulk);
    state.page.clear();
    if (!state.is_searched)
        co_await select_page(bulk);
    if (!state.is_searched || !state.page.empty())
        co_return false;
    audit_entry entry;
    entry.id = state.audit_id;
    entry.at = core_.shared_.clock.now();
    entry.by = {state.requester, state.method, state.address};
    entry.action = "bulk";
    entry.workflow = state.filter.workflow;
    entry.run = bulk.id();
    entry.target = state.action;
    entry.reason = state.reason;
    entry.outcome = audit_outcome::done;
    entry.detail = summary_of(state);
    const audit_log log{core_.shared_, core_.options_.max_audit_entries};
    co_await log.append(std::move(entry)); // a repetition has the same id, and is not stored
    co_return true;
}

asio::awaitable<void> bulk_worker::select_page(run<bulk_state> bulk)
{
    auto& state = bulk.object();
    auto search = search_of(state);
    if (search.filter.attention == attention_kind::overdue) {
        const store_inventory inventory{core_.shared_, core_.options_.client_only};
        const auto shards = co_await inventory.shards_of(state.filter.workflow);
        search.first_shard = shards.first;
        search.end_shard = shards.second;
    }
    auto found = co_await list_runs(core_.shared_.store, std::move(search));
    for (const auto& run : found.runs)
        if (!run.workflow.starts_with(core::reserved_prefix))
            state.page.push_back({to_string(run.id), run.version});
    state.next = std::move(found.next);
    state.is_searched = found.complete;
    if (found.searched_to)
        state.searched_to = found.searched_to;
    state.examined += found.examined;
    state.selected += state.page.size();
}

asio::awaitable<void> bulk_worker::change_page(run<bulk_state> bulk)
{
    auto& state = bulk.object();
    job work{bulk, search_of(state), bulk_mark(bulk.id()), kind_of(state)};
    for (const auto& target : state.page)
        co_await change(work, target);
    while (!work.flights.empty())
        co_await finish_first(work);
}

/// Checks the run again, and sends the command unless it must be passed over.
asio::awaitable<void> bulk_worker::change(job& work, bulk_target target)
{
    const auto id = parse_run_id(target.run);
    auto found = co_await core_.shared_.store.find(id.value_or(run_id{}));
    if (!found) {
        ++work.state().passed_over;
        co_return;
    }
    bool is_wanted = co_await still_matches(work, *found);
    // An earlier attempt at this page may have changed the run: its outcome is counted then.
    if (!is_wanted && found->version != target.version)
        is_wanted = co_await has_command(work, *found, target.version);
    if (!is_wanted) {
        ++work.state().passed_over;
        co_return;
    }
    // The bulk change of one workflow is driven by an engine that has it.
    const bool is_driven =
        !work.search.filter.workflow.empty() || co_await has_engine(work, found->workflow);
    if (is_driven)
        co_await send(work, std::move(*found));
    else
        add_problem(work.state(), *found, errc::missing_workflow, "no live engine has it");
}

asio::awaitable<bool> bulk_worker::still_matches(const job& work, const record& run)
{
    if (work.search.filter.attributes.empty())
        co_return matches(work.search, run);
    // Records do not have their attributes.
    const auto found = co_await find_match(core_.shared_.store, work.search, run);
    co_return found;
}

/// Whether the run has got the command of this bulk change: executed since `version`, or waiting.
asio::awaitable<bool> bulk_worker::has_command(const job& work, const record& run,
                                               std::uint64_t version)
{
    auto& store = core_.shared_.store;
    for (bool more = true; more;) {
        const auto events = co_await store.history(run.id, version, searched_events);
        for (const auto& event : events)
            if (event.error.starts_with(work.mark))
                co_return true;
        more = events.size() == searched_events;
        if (more)
            version = events.back().version;
    }
    std::uint64_t sequence = 0;
    for (bool more = run.inbox_pending > 0; more;) {
        const auto waiting = co_await store.inbox(run.id, sequence, searched_events);
        if (std::ranges::find(waiting, work.mark, &message::key) != waiting.end())
            co_return true;
        more = waiting.size() == searched_events;
        if (more)
            sequence = waiting.back().sequence;
    }
    co_return false;
}

asio::awaitable<bool> bulk_worker::has_engine(job& work, std::string workflow)
{
    if (const auto known = work.driven.find(workflow); known != work.driven.end())
        co_return known->second;
    const store_inventory inventory{core_.shared_, core_.options_.client_only};
    const auto driven = co_await inventory.driven({workflow});
    co_return work.driven.emplace(std::move(workflow), !driven.empty()).first->second;
}

asio::awaitable<void> bulk_worker::send(job& work, record receiver)
{
    auto& state = work.state();
    auto held = co_await take_permit(work);
    detail::send_call call;
    call.kind = work.kind;
    call.key = work.mark;
    call.requested_by = state.requester;
    auto reason = core::truncate_utf8(work.mark + ": " + state.reason, longest_bulk_reason);
    if (work.kind == message_kind::retry || work.kind == message_kind::move)
        call.payload = core::encode_repair({std::move(reason), receiver.version, state.status, {}});
    else
        call.payload = std::move(reason);
    auto content = core_.make_message(receiver.workflow, nullptr, std::move(call));
    const auto sent =
        co_await core_.deliver(receiver, std::move(content), core_.max_pending_of(work.kind));
    if (!sent && sent.error().code == errc::overloaded)
        std::rethrow_exception(detail::exception_of(sent.error()));
    if (sent)
        work.flights.push_back({std::move(receiver), sent->state.sequence,
                                core_.shared_.clock.now(), std::move(held)});
    else
        co_await count_refusal(work, receiver, sent.error().code, sent.error().detail);
}

/// Waits until fewer than engine_options::max_bulk_commands commands are in flight.
asio::awaitable<bulk_worker::permit> bulk_worker::take_permit(job& work)
{
    while (++in_flight_ > core_.options_.max_bulk_commands) {
        --in_flight_;
        if (!work.flights.empty()) {
            co_await finish_first(work);
            continue;
        }
        const auto executor = co_await asio::this_coro::executor;
        const auto pause = core_.shared_.clock.make_timer(executor);
        co_await wait(*pause, permit_poll);
    }
    co_return permit{in_flight_};
}

/// Waits until the oldest command in flight is executed, or its time is over, and counts it.
asio::awaitable<void> bulk_worker::finish_first(job& work)
{
    const auto first = std::move(work.flights.front());
    work.flights.pop_front();
    const auto run = first.receiver.id;
    const auto waited = core_.shared_.clock.now() - first.sent_at;
    settlement settled{first.message, message_outcome::pending, {}};
    if (waited < execution_limit)
        settled = co_await core_.await_settlement(run, first.message, execution_limit - waited);
    if (settled.outcome == message_outcome::pending) {
        const auto stored = co_await core_.shared_.store.outcome(run, first.message);
        settled = stored.value_or(settled);
    }
    if (settled.outcome == message_outcome::pending)
        add_problem(work.state(), first.receiver, {}, "the command is not executed yet");
    else if (const auto refused = detail::failure_of(settled, work.kind))
        co_await count_refusal(work, first.receiver, refused.code, refused.detail);
    else
        ++work.state().done;
}

/// A run that refuses the command because it has changed is passed over if it no longer matches.
asio::awaitable<void> bulk_worker::count_refusal(job& work, const record& run, error_code code,
                                                 std::string detail)
{
    const auto now = co_await core_.shared_.store.find(run.id);
    const bool is_wanted = now && co_await still_matches(work, *now);
    if (is_wanted)
        add_problem(work.state(), *now, code, std::move(detail));
    else
        ++work.state().passed_over;
}

} // namespace pawl::engine_detail
