#include "pawl/run.hpp"

#include "core/planted.hpp"
#include "core/trace.hpp"

#include <algorithm>

namespace pawl::detail {

const effect* find_effect(const record& where, std::string_view name, bool for_run) noexcept
{
    const auto at = std::ranges::find_if(where.effects, [&](const effect& each) {
        return each.for_run == for_run && each.name == name;
    });
    return at != where.effects.end() ? &*at : nullptr;
}

std::string make_idempotency_key(const record& where, std::string_view name)
{
    std::string key = to_string(where.id);
    key += '/';
    key += std::to_string(where.status);
    key += '.';
    key += std::to_string(where.visit);
    key += '/';
    key += name;
    if (PAWL_PLANTED(key_of_the_attempt))
        key += std::to_string(where.attempt);
    return key;
}

std::string trace_parent_of(const run_context& context)
{
    return to_string(
        core::trace_of(context.current(), context.handler_number(), context.attempt()));
}

unreadable_effect::unreadable_effect(const std::string& name, const std::exception& why)
    : error{errc::decode_failed,
            "the recorded effect \"" + name +
                "\" does not fit its type (give its pawl::schema a version and an upgrade): " +
                why.what()}
{
}

bool is_too_old(const std::exception& failure) noexcept
{
    const auto* known = dynamic_cast<const system_error*>(&failure);
    return known && known->code() == errc::program_too_old;
}

void check_effect_name(std::string_view name)
{
    if (name.empty())
        throw error{errc::invalid_argument, "an effect needs a name"};
}

} // namespace pawl::detail
