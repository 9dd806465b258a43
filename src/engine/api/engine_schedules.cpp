// What clients ask about schedules, and how a schedule starts its runs.
#include "async/complete.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/run/concurrency_limiter.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;

using engine_detail::schedule_key;

namespace {

constexpr std::size_t list_page = 256;

bool starts(const workflow_impl& workflow, std::optional<int> status)
{
    const auto* rules = workflow.rules.find(status.value_or(workflow.rules.default_start));
    return rules && !rules->end &&
           (rules->step || !rules->callbacks.empty() || !rules->timeouts.empty());
}

std::string encoded(const schedule_definition& what)
{
    std::string bytes;
    codec<schedule_definition>::encode(what, bytes);
    return bytes;
}

} // namespace

void engine_core::add_schedules()
{
    schedules_ = engine_detail::make_schedules_workflow(
        [this](engine_detail::scheduled_trigger slot) { return fire(std::move(slot)); });
    shared_.workflows[schedules_->rules.name].impl = schedules_;
}

asio::awaitable<run_id> engine_core::fire(engine_detail::scheduled_trigger slot)
{
    const auto target = shared_.workflows.find(slot.of.workflow);
    if (target == shared_.workflows.end())
        throw error(errc::not_found,
                    "this engine does not have the workflow \"" + slot.of.workflow + "\"");
    record as_set;
    as_set.object = std::move(slot.of.object);
    as_set.object_version = slot.of.object_version;
    std::string upgraded;
    trigger_call call;
    call.foreign_id = std::move(slot.foreign_id);
    call.status = slot.of.start;
    call.object = present_object(*target->second.impl, as_set, upgraded);
    call.key = std::move(slot.key);
    const auto started = co_await do_trigger(target->second.impl, std::move(call), false);
    co_return started.value();
}

void engine_core::launch(asio::awaitable<void> work, completion<> done)
{
    if (admits() && tasks_.enter())
        tasks_.start(shared_.executor, finish(std::move(work), std::move(done)));
    else
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running));
}

asio::awaitable<void> engine_core::finish(asio::awaitable<void> work, completion<> done)
{
    const auto alive = shared_from_this();
    failure result;
    try {
        co_await std::move(work);
    } catch (...) {
        result = failure_of(std::current_exception());
    }
    async::complete(shared_.executor, std::move(done), std::move(result));
}

void engine_core::set_schedule(std::shared_ptr<const workflow_impl> workflow, schedule_call call,
                               completion<> done)
{
    launch(do_set_schedule(std::move(workflow), std::move(call)), std::move(done));
}

asio::awaitable<void> engine_core::do_set_schedule(std::shared_ptr<const workflow_impl> workflow,
                                                   schedule_call call)
{
    check_early(call.early, workflow->rules.name, "the object of a schedule");
    auto& what = call.what;
    what.workflow = workflow->rules.name;
    what.object = written_object(*workflow, std::move(what.object));
    what.object_version = workflow->rules.write_version;
    if (what.foreign_id.empty())
        what.foreign_id = what.name;
    if (!starts(*workflow, what.start))
        throw error(errc::invalid_status,
                    no_start_text(*workflow, what.start.value_or(workflow->rules.default_start)));
    try {
        engine_detail::check_schedule(what);
    } catch (const error& e) {
        shared_.log({log_level::error, "schedule \"" + what.name + "\" of " + what.workflow +
                                           " cannot be set: " + e.detail()});
        throw;
    }
    const auto key = schedule_key(what.workflow, what.name);
    while (!shared_.stopping) {
        trigger_call first;
        first.foreign_id = key;
        first.object = engine_detail::first_schedule_state(what, shared_.clock.now());
        failure refused;
        try {
            const auto begun = co_await do_trigger(schedules_, std::move(first), true);
            if (begun)
                co_return;
            refused = begun.error();
        } catch (...) {
            refused = failure_of(std::current_exception());
        }
        if (refused.code != errc::already_running)
            std::rethrow_exception(exception_of(refused));
        try {
            co_await call_schedule(key, "set", encoded(what));
            co_return;
        } catch (...) {
            refused = failure_of(std::current_exception());
        }
        // Removed between the two: the next turn makes it again.
        if (refused.code != errc::already_finished && refused.code != errc::not_found)
            std::rethrow_exception(exception_of(refused));
    }
    throw system_error(make_error_code(errc::not_running));
}

asio::awaitable<settlement> engine_core::call_schedule(std::string key, std::string callback,
                                                       std::string payload)
{
    send_call call;
    call.to = std::move(key);
    call.name = std::move(callback);
    call.payload = std::move(payload);
    const auto settled = co_await initiate<const asio::use_awaitable_t<>, settlement>(
        [](auto handler, engine_core* self, send_call what) {
            self->send(self->schedules_, std::move(what),
                       completion<settlement>{std::move(handler)});
        },
        asio::use_awaitable, this, std::move(call));
    if (settled.outcome == message_outcome::failed)
        throw error(errc::callback_failed, settled.detail);
    if (settled.outcome != message_outcome::handled)
        throw system_error(make_error_code(errc::already_finished));
    co_return settled;
}

void engine_core::command_schedule(std::string workflow, std::string name, schedule_command what,
                                   completion<> done)
{
    launch(do_command_schedule(std::move(workflow), std::move(name), what), std::move(done));
}

asio::awaitable<void> engine_core::do_command_schedule(std::string workflow, std::string name,
                                                       schedule_command what)
{
    const auto key = schedule_key(workflow, name);
    const auto run = co_await shared_.store.latest(engine_detail::schedules_workflow, key);
    const auto no_schedule = [&] {
        return error(errc::not_found, "\"" + workflow + "\" has no schedule \"" + name + "\"");
    };
    if (!run || is_finished(run->state))
        throw no_schedule();
    const bool paused = engine_detail::read_schedule(*run).paused;
    if (what == schedule_command::pause && paused)
        throw error(errc::already_paused, "schedule \"" + name + "\" is paused");
    if (what == schedule_command::resume && !paused)
        throw error(errc::not_paused, "schedule \"" + name + "\" is not paused");
    const char* const callback = what == schedule_command::pause    ? "pause"
                                 : what == schedule_command::resume ? "resume"
                                                                    : "remove";
    try {
        co_await call_schedule(key, callback, {});
    } catch (const system_error& e) {
        if (e.code() == errc::already_finished)
            throw no_schedule();
        throw;
    }
}

void engine_core::list_schedules(std::string workflow, completion<std::vector<schedule_info>> done)
{
    launch(read_schedules(std::move(workflow)), std::move(done));
}

asio::awaitable<std::vector<schedule_info>> engine_core::read_schedules(std::string workflow)
{
    std::vector<schedule_info> found;
    record_query query;
    query.workflow = engine_detail::schedules_workflow;
    query.states = {run_state::initiated, run_state::running, run_state::paused};
    query.limit = list_page;
    do {
        const auto page = co_await shared_.store.list(query);
        for (const auto& run : page.runs)
            if (auto info = engine_detail::read_schedule(run); info.workflow == workflow)
                found.push_back(std::move(info));
        query.after = page.next;
    } while (query.after);
    std::ranges::sort(found, {}, &schedule_info::name);
    co_return found;
}

} // namespace pawl::detail
