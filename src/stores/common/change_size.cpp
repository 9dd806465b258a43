#include "stores/common/change_size.hpp"

namespace pawl::core {

namespace {

/// Approximate bytes of the numbers, times and names of a change.
constexpr std::size_t fixed_size = 128;

std::size_t size_of(const attribute_changes& changes) noexcept
{
    std::size_t size = 0;
    for (const stored_attribute& changed : changes.values) {
        const auto* text = changed.value ? std::get_if<std::string>(&*changed.value) : nullptr;
        size += changed.name.size() + (text ? text->size() : sizeof(std::int64_t));
    }
    return size;
}

std::size_t size_of(const transition& change) noexcept
{
    const record& next = change.next;
    auto size = next.object.size() + effects_size(next) + next.last_error.size() +
                next.reason.size() + next.foreign_id.size();
    for (const settlement& end : change.settled)
        size += end.detail.size();
    return size + size_of(change.attributes);
}

std::size_t size_of(const attribute_update& change) noexcept
{
    return size_of(change.attributes);
}

std::size_t size_of(const delivery& change) noexcept
{
    return change.content.payload.size() + change.content.name.size() + change.content.key.size();
}

std::size_t size_of(const publication& change) noexcept
{
    auto size = change.content.payload.size() + change.content.id.size() +
                change.content.key.size() + change.content.type.size();
    for (const auto& [name, value] : change.content.headers)
        size += name.size() + value.size();
    return size;
}

std::size_t size_of(const auto&) noexcept
{
    return 0;
}

} // namespace

std::size_t effects_size(const record& run) noexcept
{
    std::size_t size = 0;
    for (const effect& stored : run.effects)
        size += stored.name.size() + stored.value.size();
    return size;
}

std::size_t change_size(const change& next) noexcept
{
    return fixed_size + std::visit([](const auto& one) { return size_of(one); }, next);
}

} // namespace pawl::core
