#pragma once

#include "pawl/event_streamer.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace pawl {

/// Where the events of a connector come from: a topic, a workflow's log, or a system of your own,
/// which you connect by implementing this and event_receiver.
///
/// What a source of your own has to give: positions that grow from event to event of one receiver,
/// and, as the basis of exactly once, ids that name an event for ever. An event without an id is
/// named by its position, which must then be the same whenever it comes again.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class event_source {
public:
    virtual ~event_source() = default;

    /// Begins, or goes on, to read as this consumer. The engine sees to it that a connector has one
    /// receiver at a time, also among many engines.
    ///
    /// Cancellation: terminal, where it waits for the world outside.
    virtual boost::asio::awaitable<std::unique_ptr<event_receiver>> open(std::string consumer) = 0;
};

/// A topic's events. `from` is where a connector begins that is new to the topic.
std::shared_ptr<event_source> from_topic(std::shared_ptr<event_streamer> streamer,
                                         std::string topic,
                                         subscribe_from from = subscribe_from::beginning);

} // namespace pawl
