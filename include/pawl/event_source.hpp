#pragma once

#include "pawl/event_streamer.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace pawl {

/// Where the events of a connector come from: a topic, the log of a workflow, or a system of your
/// own, which you connect by implementing this class and event_receiver.
///
/// A source of your own gives its events positions that grow from event to event of one receiver,
/// and ids that name an event forever: the connector recognizes a repeated event by its id. An
/// event without an id is recognized by its position, which must then be the same each time. The
/// conformance suite pawl::testing::source_conformance_checks() checks what a source owes.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class event_source {
public:
    virtual ~event_source() = default;

    /// Begins to read as this consumer, or continues behind the last acknowledged event. The engine
    /// makes sure that a connector has one receiver at a time, among all engines.
    ///
    /// Completes: with a receiver, which is not null.
    ///
    /// Errors: any exception; the engine tries again later.
    ///
    /// Cancellation: terminal, if the call waits for another system.
    virtual boost::asio::awaitable<std::unique_ptr<event_receiver>> open(std::string consumer) = 0;
};

/// Makes a source of the events of a topic. `start` says where a connector begins that the topic
/// does not know yet.
std::shared_ptr<event_source> from_topic(std::shared_ptr<event_streamer> streamer,
                                         std::string topic,
                                         subscribe_from start = subscribe_from::beginning);

} // namespace pawl
