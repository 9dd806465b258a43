#pragma once

#include "order.hpp"
#include "order_options.hpp"
#include "pawl/attribute.hpp"
#include "pawl/snapshot.hpp"
#include "pawl/workflow.hpp"
#include "service_clients.hpp"

#include <functional>
#include <string>

namespace order_processing {

using order_snapshot = pawl::snapshot<Order, OrderStatus>;

/// By which the orders of a customer are found.
inline constexpr pawl::attribute<std::string> customer{"customer"};

/// Listeners for the ends and pauses of orders; each function may be empty. They are called at
/// least once per event, from the engine's threads, and must not block.
struct order_observer {
    std::function<void(const order_snapshot&)> completed; ///< Fulfilled or Refunded
    std::function<void(const order_snapshot&)> cancelled; ///< with nothing paid
    std::function<void(const order_snapshot&)> paused;    ///< an operator has to look at it
    std::function<void()> unsent{}; ///< a step waits, because a service cannot be reached
};

/// The workflow "order-processing". `services` outlive every engine that runs it.
/// @throws pawl::definition_error that names the option which is out of its range.
pawl::workflow<Order, OrderStatus> order_workflow(order_services& services, order_options options,
                                                  order_observer observer = {});

} // namespace order_processing
