// The calls of clients about schedules, and the trigger by which a schedule starts runs.
#include "async/complete.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
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

bool can_start_in(const workflow_impl& workflow, std::optional<int> status)
{
    const auto* rules = workflow.rules.find(status.value_or(workflow.rules.default_start));
    return rules && !rules->end &&
           (rules->step || !rules->callbacks.empty() || !rules->timeouts.empty());
}

std::string encoded(const schedule_definition& definition)
{
    std::string bytes;
    codec<schedule_definition>::encode(definition, bytes);
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
    const auto target = shared_.workflows.find(slot.definition.workflow);
    if (target == shared_.workflows.end())
        throw error(errc::not_found,
                    "this engine does not have the workflow \"" + slot.definition.workflow + "\"");
    record as_set;
    as_set.object = std::move(slot.definition.object);
    as_set.object_version = slot.definition.object_version;
    std::string upgraded;
    trigger_call call;
    call.foreign_id = std::move(slot.foreign_id);
    call.status = slot.definition.start;
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
    auto& definition = call.definition;
    definition.workflow = workflow->rules.name;
    definition.object = written_object(*workflow, std::move(definition.object));
    definition.object_version = workflow->rules.write_version;
    if (definition.foreign_id.empty())
        definition.foreign_id = definition.name;
    if (!can_start_in(*workflow, definition.start))
        throw error(
            errc::invalid_status,
            no_start_text(*workflow, definition.start.value_or(workflow->rules.default_start)));
    try {
        engine_detail::check_schedule(definition);
    } catch (const error& e) {
        shared_.log({log_level::error, "schedule \"" + definition.name + "\" of " +
                                           definition.workflow + " cannot be set: " + e.detail()});
        throw;
    }
    const auto key = schedule_key(definition.workflow, definition.name);
    while (!shared_.stopping) {
        trigger_call first;
        first.foreign_id = key;
        first.object = engine_detail::first_schedule_state(definition, shared_.clock.now());
        failure rejection;
        try {
            const auto started = co_await do_trigger(schedules_, std::move(first), true);
            if (started)
                co_return;
            rejection = started.error();
        } catch (...) {
            rejection = failure_of(std::current_exception());
        }
        if (rejection.code != errc::already_running)
            std::rethrow_exception(exception_of(rejection));
        try {
            co_await call_schedule(key, "set", encoded(definition));
            co_return;
        } catch (...) {
            rejection = failure_of(std::current_exception());
        }
        // The schedule was removed between the two calls: the next iteration creates it again.
        if (rejection.code != errc::already_finished && rejection.code != errc::not_found)
            std::rethrow_exception(exception_of(rejection));
    }
    throw system_error(make_error_code(errc::not_running));
}

asio::awaitable<settlement> engine_core::call_schedule(std::string key, std::string callback,
                                                       std::string payload)
{
    send_call call;
    call.run = std::move(key);
    call.name = std::move(callback);
    call.payload = std::move(payload);
    auto settled = co_await call_internal(schedules_, std::move(call));
    co_return settled;
}

/// Sends a callback to a run of one of Pawl's own workflows, and waits until it has been handled.
asio::awaitable<settlement>
engine_core::call_internal(std::shared_ptr<const workflow_impl> workflow, send_call call)
{
    const auto settled = co_await initiate<const asio::use_awaitable_t<>, settlement>(
        [](auto handler, engine_core* self, std::shared_ptr<const workflow_impl> receiver,
           send_call sent) {
            self->send(std::move(receiver), std::move(sent),
                       completion<settlement>{std::move(handler)});
        },
        asio::use_awaitable, this, std::move(workflow), std::move(call));
    if (settled.outcome == message_outcome::failed)
        throw error(errc::callback_failed, settled.detail);
    if (settled.outcome != message_outcome::handled)
        throw system_error(make_error_code(errc::already_finished));
    co_return settled;
}

void engine_core::command_schedule(std::string workflow, std::string name, schedule_command command,
                                   completion<> done)
{
    launch(do_command_schedule(std::move(workflow), std::move(name), command), std::move(done));
}

asio::awaitable<void> engine_core::do_command_schedule(std::string workflow, std::string name,
                                                       schedule_command command)
{
    const auto key = schedule_key(workflow, name);
    const auto run = co_await shared_.store.latest(engine_detail::schedules_workflow, key);
    const auto no_schedule = [&] {
        return error(errc::not_found, "\"" + workflow + "\" has no schedule \"" + name + "\"");
    };
    if (!run || is_finished(run->state))
        throw no_schedule();
    const bool paused = engine_detail::read_schedule(*run).paused;
    if (command == schedule_command::pause && paused)
        throw error(errc::already_paused, "schedule \"" + name + "\" is paused");
    if (command == schedule_command::resume && !paused)
        throw error(errc::not_paused, "schedule \"" + name + "\" is not paused");
    const char* const callback = command == schedule_command::pause    ? "pause"
                                 : command == schedule_command::resume ? "resume"
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
