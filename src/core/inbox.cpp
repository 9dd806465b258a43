#include "core/inbox.hpp"

#include <algorithm>
#include <utility>

namespace pawl::core {

waiting_messages::waiting_messages(std::span<const message> messages) : all(messages)
{
    for (const auto& waiting : messages) {
        has_commands = has_commands || waiting.kind != message_kind::callback;
        if (waiting.expires_at && (!first_expiry || *waiting.expires_at < *first_expiry))
            first_expiry = waiting.expires_at;
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
    const auto found = find(sequence);
    if (found == end())
        return;
    if (found->kind != message_kind::callback)
        --commands_;
    if (found->expires_at)
        expiries_.erase(expiries_.find(*found->expires_at));
    if (found != begin()) {
        messages_.erase(found);
        return;
    }
    messages_[removed_++] = {};
    if (removed_ * 2 < messages_.size())
        return;
    messages_.erase(messages_.begin(), begin());
    removed_ = 0;
}

void inbox::clear()
{
    messages_.clear();
    removed_ = 0;
    commands_ = 0;
    expiries_.clear();
}

} // namespace pawl::core
