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

/// Messages of a run that are not settled, in their order, and what is asked of all of them before
/// each step of the run.
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

    /// Looks at each of them.
    waiting_messages(std::span<const message> messages);
    waiting_messages(const std::vector<message>& messages)
        : waiting_messages(std::span<const message>{messages})
    {
    }
};

/// The messages of a run that are not settled. A run may have very many: those that leave from the
/// front, and what all of them are asked, cost the same however many there are.
class inbox {
public:
    using iterator = std::vector<message>::const_iterator;

    iterator begin() const noexcept { return messages_.begin() + static_cast<long>(gone_); }
    iterator end() const noexcept { return messages_.end(); }
    bool empty() const noexcept { return gone_ == messages_.size(); }
    const message& operator[](std::size_t i) const noexcept { return messages_[gone_ + i]; }

    std::span<const message> messages() const noexcept { return {begin(), end()}; }

    operator waiting_messages() const { return {messages(), commands_ > 0, first_expiry()}; }

    std::optional<time_point> first_expiry() const
    {
        return expiries_.empty() ? std::nullopt : std::optional{*expiries_.begin()};
    }

    iterator find(std::uint64_t sequence) const;

    void add(message arrived);

    /// Nothing happens if it is not there.
    void remove(std::uint64_t sequence);

    void clear();

private:
    std::vector<message> messages_;
    std::size_t gone_ = 0; ///< of these, from the front
    std::size_t commands_ = 0;
    boost::container::flat_multiset<time_point> expiries_;
};

} // namespace pawl::core
