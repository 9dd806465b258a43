// What the suites of streamers and sources have in common: receives that may not complete.
#pragma once

#include "pawl/event_streamer.hpp"
#include "testing/conformance/fixture.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pawl::testing {

inline constexpr duration default_event_timeout = std::chrono::seconds{2};

/// A receive that may not have completed.
struct pending_receive {
    boost::asio::cancellation_signal cancel;
    std::optional<std::vector<stream_event>> events;
    std::exception_ptr thrown;
    bool done = false;
};

std::shared_ptr<pending_receive> begin_receive(const boost::asio::any_io_executor& executor,
                                               event_receiver& from, std::size_t limit = 10);

/// Runs the handlers that are ready.
awaitable<void> run_ready_handlers();

/// Runs other handlers until `done`; fails after `timeout`.
awaitable<void> wait_until(const bool& done, std::string violation,
                           duration timeout = default_event_timeout);

/// Cancels the receive, and waits for its end.
awaitable<void> end_receive(std::shared_ptr<pending_receive> begun, std::string subject,
                            duration timeout = default_event_timeout);

/// Waits for the end of the receive. After `timeout` it is cancelled, and the call fails.
awaitable<void> complete_receive(std::shared_ptr<pending_receive> begun, std::string violation,
                                 duration timeout = default_event_timeout);

/// Receives until there are `count` events; rethrows what a receive throws.
awaitable<std::vector<stream_event>> receive_events(event_receiver& receiver, std::size_t count,
                                                    std::string subject,
                                                    duration timeout = default_event_timeout);

/// Receives as many events as `expected` has, and compares their ids.
awaitable<void> expect_events(event_receiver& receiver, std::vector<std::string> expected,
                              std::string subject, duration timeout = default_event_timeout);

} // namespace pawl::testing
