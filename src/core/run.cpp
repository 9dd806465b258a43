#include "pawl/run.hpp"

#include "core/decide.hpp"
#include "core/trace.hpp"

#include <algorithm>

namespace pawl::detail {

boost::asio::awaitable<void> run_context::record_effect_in(effect_in_transaction&)
{
    throw error{errc::invalid_argument,
                "a transaction needs a run of an engine: this handler runs without a store"};
}

boost::asio::awaitable<void> run_context::send(std::string, send_call)
{
    throw error{errc::invalid_argument,
                "a callback can be sent in a handler of an engine: this function runs without one"};
}

boost::asio::awaitable<run_id> run_context::start(std::string, trigger_call)
{
    throw error{errc::invalid_argument,
                "a child can be started in a handler of an engine: this function runs without one"};
}

trace_context run_context::span() const
{
    const auto& run = current();
    return core::attempt_span(run, {handler_number(), attempt(), run.visit, run.created_at}, {})
        .span;
}

boost::asio::awaitable<child_counts> run_context::count_children()
{
    throw error{errc::invalid_argument,
                "children can be counted in a handler of an engine: this function runs without "
                "one"};
}

const effect* find_effect(const run_context& context, std::string_view name, bool for_run) noexcept
{
    const auto handler = context.handler_number();
    const auto& effects = context.current().effects;
    const auto found = std::ranges::find_if(effects, [&](const effect& recorded) {
        return recorded.for_run == for_run && recorded.name == name &&
               (for_run || recorded.handler == handler);
    });
    return found != effects.end() ? &*found : nullptr;
}

namespace {

/// Distinguishes the effects of different handlers, see run::idempotency_key().
std::string scope_of(const record& run, std::uint64_t handler)
{
    if (handler >= core::callback_handler_number(0))
        return "m" + std::to_string(handler - core::callback_handler_number(0));
    auto scope = std::to_string(run.status) + '.' + std::to_string(run.visit);
    auto round = run.round;
    if (handler != core::step_handler_number) {
        scope += ".t" + std::to_string(handler);
        const auto armed = std::ranges::find(run.deadlines, handler, [](const deadline& candidate) {
            return core::timeout_handler_number(candidate.timeout);
        });
        round = armed == run.deadlines.end() ? 0 : armed->round;
    }
    if (round > 0)
        scope += '.' + std::to_string(round);
    return scope;
}

} // namespace

std::string make_idempotency_key(const run_context& context, std::string_view name)
{
    const auto& run = context.current();
    std::string key = to_string(run.id);
    key += '/';
    key += scope_of(run, context.handler_number());
    key += '/';
    key += name;
    return key;
}

namespace {

std::string make_call_key(const run_context& context, std::string_view call, std::string_view key)
{
    constexpr std::size_t max_size = 768;
    if (key.size() > max_size)
        throw error{errc::invalid_argument,
                    "the idempotency key of a call of a handler has " + std::to_string(key.size()) +
                        " bytes; it must have at most " + std::to_string(max_size)};
    return make_idempotency_key(context, std::string{call} + "/" + std::string{key});
}

} // namespace

std::string make_send_key(const run_context& context, std::string_view key)
{
    return make_call_key(context, "pawl.send", key);
}

std::string make_start_key(const run_context& context, std::string_view key)
{
    return make_call_key(context, "pawl.start", key);
}

std::string make_idempotency_key_per_run(const run_context& context, std::string_view name)
{
    std::string key = to_string(context.current().id);
    key += "/run/";
    key += name;
    return key;
}

std::string trace_parent_of(const run_context& context)
{
    return to_string(context.span());
}

unreadable_effect::unreadable_effect(const std::string& name, const std::exception& cause)
    : error{errc::decode_failed,
            "the recorded effect \"" + name +
                "\" does not fit its type (give its pawl::schema a version and an upgrade): " +
                cause.what()}
{
}

bool is_too_old(const std::exception& failure) noexcept
{
    const auto* coded = dynamic_cast<const system_error*>(&failure);
    return coded && coded->code() == errc::program_too_old;
}

void check_effect_name(std::string_view name)
{
    if (name.empty())
        throw error{errc::invalid_argument, "an effect needs a name"};
}

} // namespace pawl::detail
