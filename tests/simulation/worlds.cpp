#include "simulation/worlds.hpp"

namespace simulation_test {

const std::vector<world>& worlds()
{
    static const std::vector<world> linked{
        {"generated", run_generated},
        {"mixed", run_mixed},
#ifdef SIMULATE_ORDERS
        {"orders", run_orders},
#endif
    };
    return linked;
}

} // namespace simulation_test
