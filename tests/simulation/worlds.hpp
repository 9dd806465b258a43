// The simulated worlds, with their workflows, clients and checks.
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

/// A workflow drawn from the seed: its statuses, handlers, options and clients.
simulation_result run_generated(simulation_options options);

/// One or two scenes drawn from the seed: see scenes.hpp.
simulation_result run_mixed(simulation_options options);

/// The order workflow on simulated services.
simulation_result run_orders(simulation_options options);

/// One fixed order, and whether the customer cancels it.
struct order_case {
    std::string payment_method = "credit_card";
    std::string country = "USA";
    int quantity = 1;      ///< two are in stock
    int pending_polls = 0; ///< until the payment is captured
    bool cancels = false;  ///< while the payment is pending
    bool allow_partial = true;
};

/// Runs one order. `effects` are the entries of the ledgers at the end, in order.
simulation_result run_one_order(simulation_options options, const order_case& order,
                                std::vector<std::string>& effects);

/// The worlds of this program.
const std::vector<world>& worlds();

} // namespace simulation_test
