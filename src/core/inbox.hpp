#pragma once

#include "pawl/message.hpp"
#include "pawl/time.hpp"

#include <boost/container/flat_set.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pawl::core {

/// The unsettled messages of a run, in their order, with summaries that each decision needs.
struct waiting_messages {
    std::span<const message> all;
    bool has_commands = false;
    std::optional<time_point> first_expiry;

    waiting_messages() = default;
    waiting_messages(std::span<const message> messages, bool commands,
                     std::optional<time_point> expiry)
        : all(messages), has_commands(commands), first_expiry(expiry)
    {
    }

    /// Computes the summaries from the messages.
    waiting_messages(std::span<const message> messages);
    waiting_messages(const std::vector<message>& messages)
        : waiting_messages(std::span<const message>{messages})
    {
    }
};

/// The unsettled messages of a run. Removal from the front and the summaries take constant
/// amortized time, because a run may have very many messages.
class inbox {
public:
    using iterator = std::vector<message>::const_iterator;

    iterator begin() const noexcept { return messages_.begin() + static_cast<long>(removed_); }
    iterator end() const noexcept { return messages_.end(); }
    bool empty() const noexcept { return removed_ == messages_.size(); }
    const message& operator[](std::size_t i) const noexcept { return messages_[removed_ + i]; }

    std::span<const message> messages() const noexcept { return {begin(), end()}; }

    operator waiting_messages() const { return {messages(), commands_ > 0, first_expiry()}; }

    std::optional<time_point> first_expiry() const
    {
        return expiries_.empty() ? std::nullopt : std::optional{*expiries_.begin()};
    }

    iterator find(std::uint64_t sequence) const;

    void add(message arrived);

    /// Does nothing if there is no such message.
    void remove(std::uint64_t sequence);

    void clear();

private:
    std::vector<message> messages_;
    std::size_t removed_ = 0; ///< how many of messages_ were removed, from the front
    std::size_t commands_ = 0;
    boost::container::flat_multiset<time_point> expiries_;
};

} // namespace pawl::core
