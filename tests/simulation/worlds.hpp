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

/// The order workflow on simulated services.
simulation_result run_orders(simulation_options options);

/// Those that are linked in, by name.
const std::vector<world>& worlds();

} // namespace simulation_test
