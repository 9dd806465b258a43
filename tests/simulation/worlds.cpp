#include "simulation/worlds.hpp"

namespace simulation_test {

const std::vector<world>& worlds()
{
    static const std::vector<world> all{{"generated", run_generated}};
    return all;
}

} // namespace simulation_test
