#pragma once

#include "pawl/stream_event.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::nats {

/// Where a message comes from, as the subject of its acknowledgement says.
struct message_origin {
    std::string stream;
    std::uint64_t sequence = 0; ///< in the stream
    std::int64_t stored_at = 0; ///< nanoseconds since 1970
};

/// Parses `$JS.ACK.…`; empty for any other subject.
std::optional<message_origin> parse_origin(std::string_view reply);

/// One message of a stream.
struct delivery {
    message_origin origin;
    std::string reply; ///< the subject of its acknowledgement
    stream_event event;
};

/// Decides what becomes of the messages of one receiver: JetStream delivers a message again when
/// its acknowledgement is late or lost, and those of an earlier receiver after newer ones.
///
/// In the beginning, messages are held until all that an earlier receiver left unacknowledged have
/// come, so that the events of a key stay in order.
class delivery_tracker {
public:
    /// @param pending messages that an earlier receiver left unacknowledged.
    /// @param delivered the last sequence that was delivered to an earlier receiver.
    delivery_tracker(std::size_t pending, std::uint64_t delivered);

    enum class outcome {
        accepted,     ///< it is given, or held
        known,        ///< the receiver has it: renew its time
        acknowledged, ///< its acknowledgement was lost: send it again
        went_back,    ///< another stream has taken its name
    };

    outcome add(delivery received);

    /// Whether messages are held.
    bool holds() const noexcept { return holds_; }

    /// The messages that are held or have been given, and are not acknowledged.
    std::size_t unacknowledged() const noexcept { return known_.size(); }

    /// Gives what is held, because nothing that comes before it is left at the server.
    void end_hold();

    /// Takes the events to give next, in their order, with their positions.
    std::vector<stream_event> take_events();

    /// Forgets the events up to a position. Returns the subjects of their acknowledgements.
    std::vector<std::string> acknowledge(std::uint64_t position);

    /// The subjects of the acknowledgements of all messages that are not acknowledged, in the order
    /// of the stream.
    std::vector<std::string> open_replies() const;

private:
    struct known_message {
        std::string reply;
        std::uint64_t position = 0; ///< 0 while it is held
    };

    void give(std::uint64_t sequence, stream_event event);

    const std::uint64_t delivered_before_;
    std::size_t awaited_; ///< messages of an earlier receiver that have not come
    bool holds_;
    std::map<std::uint64_t, known_message> known_;       ///< by sequence
    std::map<std::uint64_t, std::uint64_t> by_position_; ///< given and unacknowledged: the sequence
    std::map<std::uint64_t, stream_event> held_;         ///< by sequence
    std::set<std::uint64_t> given_before_; ///< of an earlier receiver, given by this one
    std::vector<stream_event> ready_;
    std::uint64_t last_position_ = 0;
    std::uint64_t last_sequence_ = 0; ///< the greatest that has come
    std::int64_t last_stored_at_ = 0; ///< of that one
};

} // namespace pawl::nats
