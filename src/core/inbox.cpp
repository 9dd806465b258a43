#include "core/inbox.hpp"

#include <algorithm>
#include <utility>

namespace pawl::core {

waiting_messages::waiting_messages(std::span<const message> messages) : all(messages)
{
    for (const auto& each : messages) {
        has_commands = has_commands || each.kind != message_kind::callback;
        if (each.expires_at && (!first_expiry || *each.expires_at < *first_expiry))
            first_expiry = each.expires_at;
    }
}

inbox::iterator inbox::find(std::uint64_t sequence) const
{
    return std::ranges::find(begin(), end(), sequence, &message::sequence);
}

void inbox::add(message arrived)
{
    if (arrived.kind != message_kind::callback)
        ++commands_;
    if (arrived.expires_at)
        expiries_.insert(*arrived.expires_at);
    messages_.push_back(std::move(arrived));
}

void inbox::remove(std::uint64_t sequence)
{
    const auto at = find(sequence);
    if (at == end())
        return;
    if (at->kind != message_kind::callback)
        --commands_;
    if (at->expires_at)
        expiries_.erase(expiries_.find(*at->expires_at));
    if (at != begin()) {
        messages_.erase(at);
        return;
    }
    messages_[gone_++] = {};
    if (gone_ * 2 < messages_.size())
        return;
    messages_.erase(messages_.begin(), begin());
    gone_ = 0;
}

void inbox::clear()
{
    messages_.clear();
    gone_ = 0;
    commands_ = 0;
    expiries_.clear();
}

} // namespace pawl::core
