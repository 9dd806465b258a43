#include "engine/operations/schedule_control.hpp"

#include "core/cron.hpp"
#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/operations/audited_changes.hpp"
#include "engine/operations/run_lister.hpp"

#include <exception>
#include <optional>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::quoted;

/// The schedule's own run.
asio::awaitable<record> schedule_control::find(std::string workflow, std::string name)
{
    auto found =
        co_await core_.shared_.store.latest(schedules_workflow, schedule_key(workflow, name));
    if (!found || is_finished(found->state))
        throw error(errc::not_found, quoted(workflow) + " has no schedule " + quoted(name));
    co_return std::move(*found);
}

asio::awaitable<std::vector<time_point>>
schedule_control::slots(std::string workflow, std::string name, std::size_t count)
{
    check_page_limit(count);
    const auto schedule = co_await find(std::move(workflow), std::move(name));
    const auto info = read_schedule(schedule);
    std::vector<time_point> slots;
    // The slots of an interval are counted from any of them.
    const core::cron when{info.when, info.zone, info.next_slot.value_or(time_point{})};
    for (auto slot = info.next_slot; slot && slots.size() < count; slot = when.next(*slot))
        slots.push_back(*slot);
    co_return slots;
}

asio::awaitable<change_result> schedule_control::fire(std::string workflow, std::string name,
                                                      change_request request)
{
    auto entry = changes_.begin("fire", request);
    entry.workflow = workflow;
    entry.target = name;
    change_result result;
    std::exception_ptr failure;
    try {
        check_request(request);
        detail::check_key(request.idempotency_key);
        auto schedule = co_await find(std::move(workflow), name);
        if (read_schedule(schedule).paused)
            throw error(errc::already_paused, "schedule " + quoted(name) + " is paused");
        result = co_await send(std::move(schedule), std::move(request), entry);
    } catch (...) {
        failure = std::current_exception();
    }
    result.audit_id = entry.id;
    entry.outcome =
        result.outcome == message_outcome::pending ? audit_outcome::accepted : audit_outcome::done;
    co_await changes_.finish(std::move(entry), std::move(failure));
    co_return result;
}

asio::awaitable<change_result> schedule_control::send(record schedule, change_request request,
                                                      audit_entry& entry)
{
    entry.run = schedule.id;
    entry.foreign_id = schedule.foreign_id;
    entry.outcome = audit_outcome::requested;
    detail::send_call call;
    call.name = "fire";
    call.key = request.idempotency_key;
    call.requested_by = request.by.name;
    auto content = core_.make_message(schedule.workflow, core_.schedules_.get(), std::move(call));
    auto record = changes_.log().publication_of(entry);
    auto sent =
        co_await core_.deliver(std::move(schedule), std::move(content),
                               core_.max_pending_of(message_kind::callback), std::move(record));
    const auto delivered = std::move(sent).value();
    auto settled = delivered.state;
    if (settled.outcome == message_outcome::pending && request.wait_for > duration::zero())
        settled =
            co_await core_.await_settlement(delivered.run, settled.sequence, request.wait_for);
    if (const auto refused = detail::failure_of(settled, message_kind::callback))
        std::rethrow_exception(detail::exception_of(refused));
    co_return change_result{delivered.run, settled.sequence, settled.outcome, {}};
}

} // namespace pawl::engine_detail
