#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace chaos {

struct campaign_options {
    int rounds = 100;         ///< lives of the order server
    int orders_per_round = 6; ///< sent at once in each
    std::uint32_t seed = 0;   ///< of everything that is random here; what the system does is not
    std::string order_server; ///< the programs
    std::string mock_services;
};

struct campaign_report {
    int kills = 0;                   ///< of the order server by SIGKILL
    int drains = 0;                  ///< by SIGTERM
    int freezes = 0;                 ///< of either program by SIGSTOP, until SIGCONT
    int service_kills = 0;           ///< of the services by SIGKILL
    int accepted = 0;                ///< orders that were answered 202
    std::vector<std::string> broken; ///< sentences; empty when every promise was kept
};

/// Lets the order server live and die on one database of its own, with the services beside it, both
/// as processes: it takes orders and is killed, drained or frozen at random moments, and so are the
/// services. Then lets everything end, and looks at orders, ledgers and the database.
campaign_report run_campaign(const campaign_options& options);

} // namespace chaos
