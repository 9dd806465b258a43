#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"
#include "pawl/stream_event.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pawl {

/// Where a consumer begins that its topic does not know yet. A known consumer continues behind its
/// last acknowledged event.
enum class subscribe_from {
    beginning, ///< with the oldest event that the topic still has
    latest,    ///< with the first event that is sent after the subscription has completed
};

/// Reads a topic as one consumer. Made by event_streamer::subscribe(); reading ends when the object
/// is destroyed, and what was not acknowledged is read by the consumer's next receiver.
///
/// Lifetime: the receiver outlives its calls.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe; but ack() may be called while a receive() is
/// in progress. Otherwise one call at a time.
class event_receiver {
public:
    virtual ~event_receiver() = default;

    /// Receives the next events in the order of their positions: at least one, at most `limit`.
    /// Each event comes once from a receiver, acknowledged or not.
    ///
    /// Completes: as soon as there is an event; the caller need not poll.
    ///
    /// Errors: invalid_argument — `limit` is 0; store_* codes, or those of the broker.
    ///
    /// Cancellation: terminal, at any time; the call throws operation_aborted. No event is lost:
    /// the next receive() gives what this one did not.
    virtual boost::asio::awaitable<std::vector<stream_event>> receive(std::size_t limit = 100) = 0;

    /// Acknowledges all events up to and including a position: they have been processed. The
    /// consumer's next receiver begins behind it. A receive() in progress goes on. The position may
    /// be greater than that of the topic's last event.
    ///
    /// Durability: that of the streamer.
    virtual boost::asio::awaitable<void> ack(std::uint64_t position) = 0;
};

/// Topics of events, which named consumers read, each at its own pace: an extension point for a
/// message broker. The conformance suite pawl::testing::streamer_conformance_checks() checks these
/// rules:
///
/// - Names of topics and consumers are compared exactly. Consumers of the same name on two topics
///   are two consumers.
/// - Each consumer of a topic receives all of its events. Two receivers of one consumer at the same
///   time both receive what was not acknowledged when they were made.
/// - An event comes back as it was sent, whatever bytes it has, but for its position. Positions of
///   a topic grow and are above 0.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class event_streamer {
public:
    virtual ~event_streamer() = default;

    /// Appends events to a topic, in their order, all or none. An event whose id the topic has, and
    /// whose id is not empty, is not appended again.
    ///
    /// Completes: with one position for each event; of an event that was not appended it is the
    /// position of the first one with its id.
    ///
    /// Durability: that of the implementation.
    ///
    /// Errors: invalid_argument — the name of the topic is empty; store_* codes.
    virtual boost::asio::awaitable<std::vector<std::uint64_t>>
    send(std::string topic, std::vector<stream_event> events) = 0;

    /// Begins to read a topic as this consumer, or continues. The topic need not have events yet.
    /// With subscribe_from::latest a new consumer is stored before the call completes.
    ///
    /// Completes: with a receiver, which is not null.
    ///
    /// Errors: invalid_argument — a name is empty; store_* codes.
    virtual boost::asio::awaitable<std::unique_ptr<event_receiver>>
    subscribe(std::string topic, std::string consumer,
              subscribe_from start = subscribe_from::beginning) = 0;

    /// Removes the events of a topic up to and including a position, whether or not all consumers
    /// have read them. Their ids may be used again.
    ///
    /// Errors: store_* codes.
    virtual boost::asio::awaitable<void> trim(std::string topic, std::uint64_t up_to) = 0;
};

struct store_streamer_options {
    /// Poll interval of a waiting receiver for events that other processes sent. Not used if the
    /// store is not shared. Above zero. Default 1 s.
    duration poll_interval = std::chrono::seconds{1};

    /// The clock of the poll interval. Default: the machine's clocks.
    std::shared_ptr<pawl::clock> clock = default_clock();
};

/// Makes a streamer whose topics are in a record_store, with the durability of the store. A waiting
/// receiver wakes at once for events that any streamer of the same store object sends.
///
/// Errors: throws definition_error if an option is out of its range.
std::shared_ptr<event_streamer> store_streamer(std::shared_ptr<record_store> store,
                                               store_streamer_options options = {});

} // namespace pawl
