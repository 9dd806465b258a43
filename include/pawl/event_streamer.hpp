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

/// Where a consumer begins that its topic does not know yet.
enum class subscribe_from {
    beginning, ///< with the first event that is still there
    latest,    ///< with the first event sent after the subscription has completed
};

/// One consumer's way along a topic. Made by event_streamer::subscribe(); ends when it is
/// destroyed.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe. An ack() may be called while a receive() is
/// under way; else one call at a time.
class event_receiver {
public:
    virtual ~event_receiver() = default;

    /// Completes with the next events, in order, at least one and at most `limit`; until there is
    /// one it waits, without polling. Events that this receiver has given are not given again.
    ///
    /// Cancellation: terminal, at any moment; nothing is lost then. The receiver outlives the call.
    virtual boost::asio::awaitable<std::vector<stream_event>> receive(std::size_t limit = 100) = 0;

    /// Says that all events up to this position have been worked off. The consumer's next receiver
    /// begins after it; what is not acknowledged comes again.
    ///
    /// Durability: as the streamer's.
    virtual boost::asio::awaitable<void> ack(std::uint64_t position) = 0;
};

/// Topics of events, read by named consumers, each at its own pace: the seam to a broker, which you
/// may implement. The conformance suite of pawl::testing states this contract as tests.
///
/// Names of topics and consumers are compared exactly; a consumer of the same name on another topic
/// is another one. Receivers of the same consumer that live at the same time are each given what
/// was not acknowledged when they began.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class event_streamer {
public:
    virtual ~event_streamer() = default;

    /// Appends events to a topic, in their order, all or none. One whose id the topic has already
    /// is passed over. Completes with their positions, of those passed over the first one's.
    ///
    /// Durability: as the implementation's. Errors: invalid_argument for a topic without a name;
    /// store_* codes.
    virtual boost::asio::awaitable<std::vector<std::uint64_t>>
    send(std::string topic, std::vector<stream_event> events) = 0;

    /// Begins, or goes on, to read a topic. The topic need not have events yet.
    ///
    /// Errors: invalid_argument for a name that is empty; store_* codes.
    virtual boost::asio::awaitable<std::unique_ptr<event_receiver>>
    subscribe(std::string topic, std::string consumer,
              subscribe_from from = subscribe_from::beginning) = 0;

    /// Removes a topic's events up to a position, that included, whoever has not read them.
    virtual boost::asio::awaitable<void> trim(std::string topic, std::uint64_t up_to) = 0;
};

struct store_streamer_options {
    /// In a store that other processes share: how often a receiver that waits looks for what they
    /// sent. Above zero. Default 1 s.
    duration look = std::chrono::seconds{1};

    /// What that is measured on. Default: the machine's clocks.
    std::shared_ptr<pawl::clock> clock = default_clock();
};

/// Topics in a record_store, as durable as that: with open_memory() a streamer in memory.
///
/// Receivers are woken by what is sent through any streamer of the same store object.
///
/// Throws definition_error when an option is out of its range.
std::shared_ptr<event_streamer> store_streamer(std::shared_ptr<record_store> store,
                                               store_streamer_options options = {});

} // namespace pawl
