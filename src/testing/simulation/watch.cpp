// Handlers and hooks as a process runs them: watched, and over with it.
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

void must_live(const process& of)
{
    if (!of.alive())
        throw simulated_call_error{"the process is gone", true};
}

std::string place_of(const record& run)
{
    return fmt::format("{} \"{}\" {}.{}", run.workflow, run.foreign_id, run.status, run.visit);
}

void begin(process& of, const std::string& what, const run_context& context)
{
    must_live(of);
    of.owner().trace(fmt::format("{} {} of {}, attempt {}", of.name(), what,
                                 place_of(context.current()), context.attempt()));
}

void end(process& of, const std::string& what, const std::string& place, const next_value& value)
{
    must_live(of);
    of.owner().trace(fmt::format("{} {} of {} ends: {} {}", of.name(), what, place,
                                 static_cast<int>(value.kind), value.status));
}

asio::awaitable<next_value> run_step(process* of, const pawl::detail::handler* inner,
                                     object_ptr object, run_context* context)
{
    const auto place = place_of(context->current());
    begin(*of, "step", *context);
    auto value = co_await (*inner)(object, *context);
    end(*of, "step", place, value);
    co_return value;
}

asio::awaitable<next_value> run_callback(process* of, const pawl::detail::callback_handler* inner,
                                         object_ptr object, run_context* context,
                                         std::string_view payload)
{
    const auto place = place_of(context->current());
    begin(*of, "callback", *context);
    auto value = co_await (*inner)(object, *context, payload);
    end(*of, "callback", place, value);
    co_return value;
}

asio::awaitable<next_value> run_timeout(process* of, const pawl::detail::handler* inner,
                                        std::string timeout, object_ptr object,
                                        run_context* context)
{
    const auto run = context->current();
    const auto place = place_of(run);
    begin(*of, "timeout", *context);
    of->owner().seen.timeout_runs(run, timeout, context->now());
    next_value value;
    try {
        value = co_await (*inner)(object, *context);
    } catch (...) {
        of->owner().seen.timeout_moved(run, timeout);
        throw;
    }
    if (value.kind == next_kind::repeat)
        of->owner().seen.timeout_moved(run, timeout);
    end(*of, "timeout", place, value);
    co_return value;
}

asio::awaitable<void> run_hook(process* of, const pawl::detail::hook* inner, std::size_t hook,
                               const event* what, const record* run)
{
    must_live(*of);
    auto& owner = of->owner();
    owner.trace(fmt::format("{} hook {} for version {} of {}", of->name(), hook, what->version,
                            place_of(*run)));
    std::exception_ptr failure;
    try {
        co_await (*inner)(*what, *run);
    } catch (...) {
        failure = std::current_exception();
    }
    must_live(*of);
    if (failure) {
        owner.seen.hook_failed(of->name(), hook, *what,
                               owner.options.engine.hook_retry.max_attempts);
        std::rethrow_exception(failure);
    }
    owner.seen.hook_done(of->name(), hook, *what);
}

} // namespace

std::shared_ptr<const pawl::detail::workflow_impl>
process::watched(std::shared_ptr<const pawl::detail::workflow_impl> flow)
{
    // The copies refer to the functions of the original, which they keep alive with themselves.
    auto own = std::make_shared<pawl::detail::workflow_impl>(*flow);
    own->encode = [flow](const object_ptr& object, std::string& out) {
        flow->encode(object, out);
    };
    for (auto& [status, handlers] : own->handlers) {
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
            handlers.timeouts[i].due = [this, timeout, name, at = status](const object_ptr& object,
                                                                          run_context& context) {
                const auto due = timeout->due(object, context);
                if (due)
                    owner_.seen.armed(context.current().id, at, name, *due, context.now());
                return due;
            };
        }
    }
    for (std::size_t i = 0; i < own->hooks.size(); ++i)
        own->hooks[i].run = [this, hook = &flow->hooks[i].run, i](const event& what,
                                                                  const record& run) {
            return run_hook(this, hook, i, &what, &run);
        };
    return own;
}

} // namespace pawl::testing::detail
