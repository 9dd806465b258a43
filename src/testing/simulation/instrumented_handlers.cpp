// Handlers and hooks of a simulated process: each call is traced and reported to the invariant
// checker, and throws after the process has crashed.
#include "testing/simulation/simulator.hpp"

#include <fmt/format.h>

#include <utility>

namespace pawl::testing::detail {

namespace asio = boost::asio;
using pawl::detail::next_kind;
using pawl::detail::next_value;
using pawl::detail::object_ptr;
using pawl::detail::run_context;

namespace {

void throw_unless_alive(const process& host)
{
    if (!host.alive())
        throw simulated_call_error{"the process is gone", true};
}

std::string visit_text(const record& run)
{
    return fmt::format("{} \"{}\" {}.{}", run.workflow, run.foreign_id, run.status, run.visit);
}

void trace_begin(process& host, const std::string& handler, const run_context& context)
{
    throw_unless_alive(host);
    host.owner().trace(fmt::format("{} {} of {}, attempt {}", host.name(), handler,
                                   visit_text(context.current()), context.attempt()));
}

void trace_end(process& host, const std::string& handler, const std::string& visit,
               const next_value& value)
{
    throw_unless_alive(host);
    host.owner().trace(fmt::format("{} {} of {} ends: {} {}", host.name(), handler, visit,
                                   static_cast<int>(value.kind), value.status));
}

asio::awaitable<next_value> run_step(process* host, const pawl::detail::handler* inner,
                                     object_ptr object, run_context* context)
{
    const auto visit = visit_text(context->current());
    trace_begin(*host, "step", *context);
    auto value = co_await (*inner)(object, *context);
    trace_end(*host, "step", visit, value);
    co_return value;
}

asio::awaitable<next_value> run_callback(process* host, const pawl::detail::callback_handler* inner,
                                         object_ptr object, run_context* context,
                                         std::string_view payload)
{
    const auto visit = visit_text(context->current());
    trace_begin(*host, "callback", *context);
    auto value = co_await (*inner)(object, *context, payload);
    trace_end(*host, "callback", visit, value);
    co_return value;
}

asio::awaitable<next_value> run_timeout(process* host, const pawl::detail::handler* inner,
                                        std::string timeout, object_ptr object,
                                        run_context* context)
{
    const auto run = context->current();
    const auto visit = visit_text(run);
    trace_begin(*host, "timeout", *context);
    host->owner().checker.timeout_started(run, timeout, context->now());
    next_value value;
    try {
        value = co_await (*inner)(object, *context);
    } catch (...) {
        host->owner().checker.deadline_moved(run, timeout);
        throw;
    }
    if (value.kind == next_kind::repeat)
        host->owner().checker.deadline_moved(run, timeout);
    trace_end(*host, "timeout", visit, value);
    co_return value;
}

asio::awaitable<void> run_hook(process* host, const pawl::detail::hook* inner, std::size_t hook,
                               const event* entry, const record* run)
{
    throw_unless_alive(*host);
    auto& sim = host->owner();
    sim.trace(fmt::format("{} hook {} for version {} of {}", host->name(), hook, entry->version,
                          visit_text(*run)));
    std::exception_ptr failure;
    try {
        co_await (*inner)(*entry, *run);
    } catch (...) {
        failure = std::current_exception();
    }
    throw_unless_alive(*host);
    if (failure) {
        sim.checker.hook_failed(host->name(), hook, *entry,
                                sim.options.engine.hook_retry.max_attempts);
        std::rethrow_exception(failure);
    }
    sim.checker.hook_succeeded(host->name(), hook, *entry);
}

} // namespace

std::shared_ptr<const pawl::detail::workflow_impl>
process::instrument(std::shared_ptr<const pawl::detail::workflow_impl> flow)
{
    // The copies refer to the functions of the original, which `encode` keeps alive.
    auto instrumented = std::make_shared<pawl::detail::workflow_impl>(*flow);
    instrumented->encode = [flow](const object_ptr& object, std::string& out) {
        flow->encode(object, out);
    };
    for (auto& [status, handlers] : instrumented->handlers) {
        const auto& inner = flow->handlers.at(status);
        if (handlers.step)
            handlers.step = [this, step = &inner.step](const object_ptr& object,
                                                       run_context& context) {
                return run_step(this, step, object, &context);
            };
        for (std::size_t i = 0; i < handlers.callbacks.size(); ++i)
            handlers.callbacks[i] = [this, callback = &inner.callbacks[i]](
                                        const object_ptr& object, run_context& context,
                                        std::string_view payload) {
                return run_callback(this, callback, object, &context, payload);
            };
        for (std::size_t i = 0; i < handlers.timeouts.size(); ++i) {
            const auto* timeout = &inner.timeouts[i];
            const auto& name = flow->rules.find(status)->timeouts[i].name;
            handlers.timeouts[i].run = [this, timeout, name](const object_ptr& object,
                                                             run_context& context) {
                return run_timeout(this, &timeout->run, name, object, &context);
            };
            handlers.timeouts[i].due = [this, timeout, name, armed_in = status](
                                           const object_ptr& object, run_context& context) {
                const auto due = timeout->due(object, context);
                if (due)
                    owner_.checker.timeout_armed(context.current().id, armed_in, name, *due,
                                                 context.now());
                return due;
            };
        }
    }
    for (std::size_t i = 0; i < instrumented->hooks.size(); ++i)
        instrumented->hooks[i].run = [this, hook = &flow->hooks[i].run, i](const event& entry,
                                                                           const record& run) {
            return run_hook(this, hook, i, &entry, &run);
        };
    return instrumented;
}

} // namespace pawl::testing::detail
