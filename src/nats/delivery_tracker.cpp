#include "nats/delivery_tracker.hpp"

#include <charconv>
#include <utility>

namespace pawl::nats {

namespace {

template <class Number>
bool parse(std::string_view text, Number& value)
{
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    return problem == std::errc{} && end == text.data() + text.size();
}

} // namespace

/// $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<time>.<pending>; newer
/// servers have a domain and an account before the stream, and may have tokens at the end.
std::optional<message_origin> parse_origin(std::string_view reply)
{
    constexpr std::size_t old_tokens = 9, new_tokens = 11;
    std::vector<std::string_view> tokens;
    for (std::size_t start = 0; start <= reply.size();) {
        const auto end = std::min(reply.find('.', start), reply.size());
        tokens.push_back(reply.substr(start, end - start));
        start = end + 1;
    }
    const bool is_old = tokens.size() == old_tokens;
    if ((!is_old && tokens.size() < new_tokens) || tokens[0] != "$JS" || tokens[1] != "ACK")
        return {};
    const std::size_t first = is_old ? 2 : 4;
    message_origin origin;
    origin.stream = tokens[first];
    if (!parse(tokens[first + 3], origin.sequence) || origin.sequence == 0 ||
        !parse(tokens[first + 5], origin.stored_at))
        return {};
    return origin;
}

delivery_tracker::delivery_tracker(std::size_t pending, std::uint64_t delivered)
    : delivered_before_(delivered), awaited_(pending), holds_(pending > 0)
{
}

delivery_tracker::outcome delivery_tracker::add(delivery received)
{
    const auto sequence = received.origin.sequence;
    if (const auto known = known_.find(sequence); known != known_.end()) {
        known->second.reply = std::move(received.reply);
        return outcome::known;
    }
    const bool is_left = sequence <= delivered_before_ && !given_before_.contains(sequence);
    if (sequence <= last_sequence_ && received.origin.stored_at > last_stored_at_)
        return outcome::went_back;
    if (!is_left && sequence <= last_sequence_)
        return outcome::acknowledged;
    if (sequence > last_sequence_) {
        last_sequence_ = sequence;
        last_stored_at_ = received.origin.stored_at;
    }
    if (is_left) {
        given_before_.insert(sequence);
        awaited_ -= awaited_ > 0 ? 1 : 0;
    }
    known_[sequence].reply = std::move(received.reply);
    if (!holds_) {
        give(sequence, std::move(received.event));
        return outcome::accepted;
    }
    held_.emplace(sequence, std::move(received.event));
    if (awaited_ == 0)
        end_hold();
    return outcome::accepted;
}

void delivery_tracker::end_hold()
{
    holds_ = false;
    for (auto& [sequence, event] : std::exchange(held_, {}))
        give(sequence, std::move(event));
}

void delivery_tracker::give(std::uint64_t sequence, stream_event event)
{
    event.position = ++last_position_;
    known_[sequence].position = last_position_;
    by_position_.emplace(last_position_, sequence);
    ready_.push_back(std::move(event));
}

std::vector<stream_event> delivery_tracker::take_events()
{
    return std::exchange(ready_, {});
}

std::vector<std::string> delivery_tracker::acknowledge(std::uint64_t position)
{
    std::vector<std::string> replies;
    while (!by_position_.empty() && by_position_.begin()->first <= position) {
        const auto known = known_.find(by_position_.begin()->second);
        replies.push_back(std::move(known->second.reply));
        known_.erase(known);
        by_position_.erase(by_position_.begin());
    }
    return replies;
}

std::vector<std::string> delivery_tracker::open_replies() const
{
    std::vector<std::string> replies;
    for (const auto& [sequence, message] : known_)
        replies.push_back(message.reply);
    return replies;
}

} // namespace pawl::nats
