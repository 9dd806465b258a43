// What is simulated: worlds with their workflows, clients and checks.
#pragma once

#include "pawl/testing/simulation.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace simulation_test {

using pawl::testing::simulation_options;
using pawl::testing::simulation_result;

struct world {
    const char* name;
    simulation_result (*run)(simulation_options options);
};

/// A workflow that is drawn from the seed: its graph, handlers, rules and clients.
simulation_result run_generated(simulation_options options);

/// Scenes that are drawn from the seed, some at once: see scenes.hpp.
simulation_result run_mixed(simulation_options options);

/// The order workflow on simulated services.
simulation_result run_orders(simulation_options options);

/// One order, without chance: what the customer orders, and whether he changes his mind.
struct order_case {
    std::string payment_method = "credit_card";
    std::string country = "USA";
    int quantity = 1;      ///< of a product of which there are two
    int pending_polls = 0; ///< until the payment is captured
    bool cancels = false;  ///< while the payment is pending
    bool allow_partial = true;
};

/// Runs it; `effects` is what the ledgers hold at the end, in their order.
simulation_result run_one_order(simulation_options options, const order_case& drawn,
                                std::vector<std::string>& effects);

/// Those that are linked in, by name.
const std::vector<world>& worlds();

} // namespace simulation_test
