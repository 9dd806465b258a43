#include "simulation/generated.hpp"

#include "pawl/detail/callable.hpp"
#include "pawl/detail/draft.hpp"
#include "pawl/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::detail::next_kind;
using pawl::detail::next_value;
using pawl::detail::object_ptr;
using pawl::detail::run_context;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

/// Moves to an earlier status in one run.
constexpr int max_returns = 3;

drawn_step draw_step(simulated_random& random, int number, int end)
{
    drawn_step step;
    const auto actions = random.below(5);
    for (std::uint64_t i = 0; i < actions; ++i)
        step.actions.push_back(static_cast<action>(random.below(5)));
    step.to.push_back(number + 1);
    if (random.below(3) == 0)
        step.to.push_back(number + 1 +
                          static_cast<int>(random.below(static_cast<std::uint64_t>(end - number))));
    if (random.below(4) == 0)
        step.back = 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(number)));
    if (random.below(3) == 0)
        step.repeats = 1 + static_cast<int>(random.below(3));
    step.pause = random.between(0s, 20s);
    step.longest = random.between(10ms, 5s);
    step.retry.initial = random.between(100ms, 3s);
    step.retry.multiplier = random.below(2) == 0 ? 1 : 2;
    step.retry.max_interval = 10s;
    step.retry.max_attempts = static_cast<int>(random.below(5));
    if (random.below(4) == 0)
        // Long enough for the actions without faults.
        step.attempt_timeout = step.longest * static_cast<int>(actions) + random.between(1s, 10s);
    if (random.below(5) == 0)
        step.start_delay = random.between(100ms, 10s);
    if (random.below(3) == 0)
        step.max_concurrency = 1 + random.below(2);
    if (step.retry.max_attempts > 0 && random.below(3) == 0)
        step.exhausted = number + 1;
    return step;
}

drawn_status draw_status(simulated_random& random, int number, int end)
{
    drawn_status status;
    if (random.below(3) > 0)
        status.step = draw_step(random, number, end);
    status.callback = random.below(2) == 0;
    status.callback_to = number + 1;
    status.callback_may_stay = random.below(2) == 0;
    const auto timeouts = status.step ? random.below(3) : 1 + random.below(2);
    for (std::uint64_t i = 0; i < timeouts; ++i) {
        drawn_timeout timeout;
        timeout.after = random.between(1s, 2min);
        timeout.to =
            number + 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(end - number)));
        // Each status must be reachable.
        if (i == 0 && !status.step && !status.callback)
            timeout.to = number + 1;
        timeout.repeats_once = random.below(4) == 0;
        timeout.fails_first = random.below(4) == 0;
        status.timeouts.push_back(timeout);
    }
    // A step that skips waits for a timeout or a callback.
    if (status.step && !status.timeouts.empty())
        status.step->skips = random.below(4) == 0;
    return status;
}

next_value move_to(int status)
{
    return {next_kind::move, status, {}, {}};
}

next_value repeat_after(pawl::duration pause)
{
    return {next_kind::repeat, 0, pause, {}};
}

/// The run and the services of a handler.
struct handler_context {
    simulation* sim;
    effect_ledger* ledger;
    simulated_process* process;
    run_context* context;
    generated_data* object;

    const pawl::record& record() const { return context->current(); }
    void note_save() { object->saved_versions.push_back(std::to_string(record().version + 1)); }
    std::string effect_id(int number) const
    {
        return fmt::format("{}/{}.{}.{}/{}", to_string(record().id), record().status,
                           record().visit, record().round, number);
    }
};

asio::awaitable<std::uint64_t> call_outside(handler_context run, int number, bool once)
{
    pawl::run<generated_data> typed{*run.object, *run.context};
    const auto effect_id = run.effect_id(number);
    const auto key = typed.idempotency_key("act-" + std::to_string(number));
    const auto workflow = run.record().workflow;
    const auto id = run.record().foreign_id;
    // A process that has lost the run may repeat an effect of the next owner, and may own the run
    // again when the delayed call arrives.
    const bool counts = once && run.process->owns(workflow, id);
    auto effect_number =
        co_await run.process->call("act", [run, effect_id, key, counts, workflow, id] {
            return run.ledger->add(effect_id, key, counts && run.process->owns(workflow, id));
        });
    co_return effect_number;
}

asio::awaitable<void> record_once(handler_context run, int number)
{
    pawl::run<generated_data> typed{*run.object, *run.context};
    const auto name = "once-" + std::to_string(number);
    if (!pawl::detail::find_effect(*run.context, name, false))
        run.note_save();
    const auto effect_id = run.effect_id(number);
    auto effect = [run, number] {
        return call_outside(run, number, true);
    };
    const auto value = co_await typed.once(name, std::move(effect));
    if (run.process->alive())
        run.ledger->recorded(effect_id, value);
}

asio::awaitable<void> perform_action(handler_context run, action chosen, int number,
                                     pawl::duration longest)
{
    auto& random = run.sim->random();
    switch (chosen) {
    case action::wait:
        co_await run.process->sleep(random.between(0s, longest));
        break;
    case action::call:
        co_await call_outside(run, number, false);
        break;
    case action::once:
        co_await record_once(run, number);
        break;
    case action::checkpoint:
        run.note_save();
        co_await run.context->checkpoint([&] {
            std::string bytes;
            pawl::codec<generated_data>::encode(*run.object, bytes);
            return bytes;
        }());
        break;
    case action::fail:
        if (run.sim->faults_active() && random.below(2) == 0)
            throw std::runtime_error("drawn");
        break;
    }
}

asio::awaitable<next_value> run_step(handler_context run, const drawn_step* drawn)
{
    int number = 0;
    for (const auto chosen : drawn->actions)
        co_await perform_action(run, chosen, ++number, drawn->longest);
    auto& object = *run.object;
    if (object.repeats < drawn->repeats) {
        ++object.repeats;
        run.note_save();
        co_return repeat_after(drawn->pause);
    }
    if (drawn->skips)
        co_return next_value{next_kind::skip, 0, {}, {}};
    object.repeats = 0;
    run.note_save();
    auto& random = run.sim->random();
    if (drawn->back && object.returns < max_returns && random.below(2) == 0) {
        ++object.returns;
        co_return move_to(*drawn->back);
    }
    co_return move_to(drawn->to[random.below(drawn->to.size())]);
}

asio::awaitable<next_value> run_timeout(handler_context run, const drawn_timeout* drawn)
{
    auto& random = run.sim->random();
    if (drawn->fails_first && run.sim->faults_active() && random.below(2) == 0)
        throw std::runtime_error("drawn");
    run.note_save();
    if (drawn->repeats_once && random.below(2) == 0)
        co_return repeat_after(random.between(1s, 20s));
    run.object->repeats = 0;
    co_return move_to(drawn->to);
}

asio::awaitable<next_value> run_callback(handler_context run, const drawn_status* drawn,
                                         std::string payload)
{
    auto& random = run.sim->random();
    if (random.below(3) == 0)
        co_await run.process->sleep(random.between(0s, 1s));
    if (run.sim->faults_active() && random.below(8) == 0)
        throw std::runtime_error("drawn");
    run.object->payloads.push_back(payload);
    run.note_save();
    if (drawn->callback_may_stay && random.below(2) == 0)
        co_return repeat_after(0s);
    run.object->repeats = 0;
    co_return move_to(drawn->callback_to);
}

asio::awaitable<void> run_hook(simulation* sim, simulated_process* process)
{
    if (sim->random().below(4) == 0)
        co_await process->sleep(sim->random().between(0s, 2s));
    // Rarely enough that retries are not exhausted.
    if (sim->faults_active() && sim->random().below(10) == 0)
        throw std::runtime_error("drawn");
}

/// The services of a process for its handlers.
struct process_services {
    simulation* sim;
    effect_ledger* ledger;
    simulated_process* process;

    handler_context context_of(const object_ptr& object, run_context& context) const
    {
        return {sim, ledger, process, &context, static_cast<generated_data*>(object.get())};
    }
};

void add_step(pawl::detail::status_draft& into, const drawn_step& drawn, process_services services)
{
    auto& step = *into.steps.emplace_back(std::make_unique<pawl::detail::step_draft>());
    step.destinations = drawn.to;
    if (drawn.back)
        step.destinations.push_back(*drawn.back);
    step.options.retry = drawn.retry;
    step.options.attempt_timeout = drawn.attempt_timeout;
    step.options.start_delay = drawn.start_delay;
    step.options.max_concurrency = drawn.max_concurrency;
    step.options.exhausted = drawn.exhausted;
    step.run = [services, &drawn](const object_ptr& object, run_context& context) {
        return run_step(services.context_of(object, context), &drawn);
    };
}

void add_timeout(pawl::detail::status_draft& into, const drawn_timeout& drawn,
                 process_services services)
{
    auto& timeout = *into.timeouts.emplace_back(std::make_unique<pawl::detail::timeout_draft>());
    timeout.name = "timeout-" + std::to_string(into.timeouts.size());
    timeout.fixed = drawn.after;
    timeout.handler.due = pawl::detail::make_timer(drawn.after);
    timeout.destinations = {drawn.to};
    timeout.handler.run = [services, &drawn](const object_ptr& object, run_context& context) {
        return run_timeout(services.context_of(object, context), &drawn);
    };
}

void add_callback(pawl::detail::status_draft& into, const drawn_status& drawn, int status,
                  process_services services)
{
    pawl::detail::callback_draft callback;
    callback.name = callback_of(status);
    callback.destinations = {drawn.callback_to};
    callback.run = [services, &drawn](const object_ptr& object, run_context& context,
                                      std::string_view payload) {
        return run_callback(services.context_of(object, context), &drawn,
                            pawl::codec<std::string>::decode(payload));
    };
    into.callbacks.push_back(std::move(callback));
}

void declare_attributes(pawl::detail::workflow_draft& draft)
{
    const auto declared = attributes_of({{}, {"a payload"}});
    for (std::size_t i = 0; i < declared.size(); ++i)
        draft.attributes.push_back(
            {{declared[i].name, pawl::kind_of(*declared[i].value)}, [i](const object_ptr& object) {
                 return attributes_of(*static_cast<const generated_data*>(object.get()))[i].value;
             }});
}

} // namespace

drawn_workflow draw(simulated_random random)
{
    drawn_workflow drawn;
    const auto count = 3 + static_cast<int>(random.below(5));
    for (int number = 1; number <= count; ++number)
        drawn.statuses.push_back(draw_status(random, number, count + 1));
    drawn.hooks = random.below(4) > 0;
    return drawn;
}

std::uint64_t effect_ledger::add(const std::string& effect_id, const std::string& key, bool once)
{
    const auto [known, is_new] = keys_.emplace(effect_id, key);
    if (!is_new && known->second != key)
        sim_.report_violation("effect " + effect_id +
                              " has two idempotency keys: " + known->second + " and " + key);
    if (once && recorded_.contains(effect_id))
        sim_.report_violation("effect " + effect_id + " was made again after it was recorded");
    return ++last_;
}

void effect_ledger::recorded(const std::string& effect_id, std::uint64_t value)
{
    const auto [known, is_new] = recorded_.emplace(effect_id, value);
    if (!is_new && known->second != value)
        sim_.report_violation("effect " + effect_id + " has two recorded results");
}

std::vector<pawl::stored_attribute> attributes_of(const generated_data& object)
{
    pawl::stored_attribute payload{"payload", {}};
    if (!object.payloads.empty())
        payload.value = object.payloads.back();
    return {{"commits", static_cast<std::int64_t>(object.saved_versions.size())}, payload};
}

pawl::workflow<generated_data, generated_status> make_workflow(const drawn_workflow& drawn,
                                                               simulation& sim,
                                                               effect_ledger& ledger,
                                                               simulated_process& process)
{
    pawl::detail::workflow_draft draft;
    draft.name = "drawn";
    draft.label = [](int status) {
        return "s" + std::to_string(status);
    };
    draft.impl.decode = [](std::string_view bytes, std::string*) -> object_ptr {
        return std::make_shared<generated_data>(pawl::codec<generated_data>::decode(bytes));
    };
    draft.impl.encode = [](const object_ptr& object, std::string& out) {
        pawl::codec<generated_data>::encode(*static_cast<const generated_data*>(object.get()), out);
    };
    draft.impl.blank = [] {
        std::string bytes;
        pawl::codec<generated_data>::encode(generated_data{}, bytes);
        return bytes;
    };
    const process_services services{&sim, &ledger, &process};
    for (int status = 1; status < drawn.end(); ++status) {
        const auto& from = drawn.statuses[static_cast<std::size_t>(status - 1)];
        auto& into = draft.handled(status);
        if (from.step)
            add_step(into, *from.step, services);
        for (const auto& timeout : from.timeouts)
            add_timeout(into, timeout, services);
        if (from.callback)
            add_callback(into, from, status, services);
    }
    draft.statuses[drawn.end()].end = true;
    draft.starts.push_back(1);
    draft.resume_after = 2min;
    if (!drawn.new_attributes || process.life() > 1)
        declare_attributes(draft);
    if (drawn.hooks) {
        using enum pawl::event_kind;
        pawl::detail::declared_hook hook;
        hook.name = "everything";
        hook.kinds = {started, moved, completed, cancelled, paused, resumed};
        hook.run = [&sim, &process](const pawl::event&, const pawl::record&) {
            return run_hook(&sim, &process);
        };
        draft.impl.hooks.push_back(std::move(hook));
    }
    return pawl::workflow<generated_data, generated_status>{pawl::detail::finish(std::move(draft))};
}

} // namespace simulation_test
