#pragma once

#include "pawl/event_source.hpp"
#include "pawl/testing/store_conformance.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pawl::testing {

/// A source under test, and the system that its events come from. The system has no events and
/// knows no consumers.
struct source_fixture {
    /// Makes the source. Each call makes another one for the same events and consumers, as a
    /// process does that was restarted. Required.
    std::function<std::shared_ptr<event_source>()> make_source;

    /// Adds an event with this key. Completes when the event is in the system, with the id that the
    /// source gives it. Required.
    std::function<boost::asio::awaitable<std::string>(std::string key)> publish;

    /// Adds an event that no program can decode, such as one without headers and with arbitrary
    /// bytes. Completes as `publish`. Default: empty; such events are not checked.
    std::function<boost::asio::awaitable<std::string>()> publish_poison{};

    /// Breaks the connections between the source and the system, for instance by a restart of the
    /// system, and lets them be made again. Default: empty; a reconnect is not checked.
    std::function<boost::asio::awaitable<void>()> disconnect{};

    /// How long an unacknowledged event is held by a receiver before the system would deliver it
    /// again. A check then holds an event for twice as long, in real time. Default zero: the system
    /// delivers again only to another receiver, and this is not checked.
    duration redelivery_time{};

    /// How long a check waits for an event. Above zero. Default 2 s; more for a system that is
    /// restarted, or that delivers again late.
    duration event_timeout = std::chrono::seconds{2};
};

/// Makes a fixture whose operations are called on `executor`.
using source_fixture_factory =
    std::function<source_fixture(const boost::asio::any_io_executor& executor)>;

/// A test of one rule of event_source. See conformance_check.
struct source_check {
    std::string name;
    std::function<void(const source_fixture_factory& make_fixture)> run;
};

/// The conformance suite of event_source, as store_conformance_checks(). A source that passes it
///
/// - gives each consumer all events, each once from a receiver, with ids and positions as
///   event_source demands, the events of a key in their order;
/// - gives what was not acknowledged to the next receiver of the consumer, before later events of
///   the same key, and does not repeat what was acknowledged;
/// - obeys the limit of a receive(), waits without polling by its caller, and can be cancelled;
/// - gives an event that nobody can decode as any other event: the connector makes it a dead
///   letter;
/// - loses nothing when its connection breaks. A call may fail then; a connector opens the source
///   again.
std::vector<source_check> source_conformance_checks();

} // namespace pawl::testing
