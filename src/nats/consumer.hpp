#pragma once

#include "nats/client.hpp"
#include "pawl/nats.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pawl::nats {

/// What the server says of a consumer.
struct consumer_state {
    std::size_t pending = 0;     ///< messages that were delivered and not acknowledged
    std::uint64_t delivered = 0; ///< the last sequence that was delivered
};

// Called on the client's thread; each waits for an answer of the server. They throw error
// (broker_unavailable).

/// Empty if there is no such consumer, or no such stream.
std::optional<consumer_state> find_consumer(nats_client& client, const std::string& stream,
                                            const std::string& consumer);

/// Creates the consumer if it is missing; otherwise updates its settings. Throws error
/// (invalid_argument) if it has settings that a connector cannot work with.
consumer_state prepare_consumer(nats_client& client, const nats_source_options& options,
                                const std::string& consumer);

std::int64_t nanoseconds(duration span);

} // namespace pawl::nats
