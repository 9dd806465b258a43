#pragma once

#include "pawl/stream_event.hpp"

#include <boost/asio/awaitable.hpp>

#include <vector>

namespace pawl {

/// Where events are published outside of Pawl, at least once: an extension point for a message
/// broker. forward_to() makes a connector of it; with engine::events() as the source, the log of a
/// workflow is the outbox of the sink.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class event_sink {
public:
    virtual ~event_sink() = default;

    /// Publishes events in their order. A repeated call publishes them again, with the same ids, by
    /// which the broker or its consumers recognize them.
    ///
    /// Completes: when the broker has confirmed all of them.
    ///
    /// Durability: that of the broker.
    ///
    /// Errors: broker_unavailable — not all of the events were confirmed; some or all may be
    /// published: repeat the call. invalid_argument — the broker cannot take an event as it is.
    ///
    /// Cancellation: terminal. The events may be published all the same.
    virtual boost::asio::awaitable<void> send(std::vector<stream_event> events) = 0;
};

} // namespace pawl
