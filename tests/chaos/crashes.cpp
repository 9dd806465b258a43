// Real crashes: the order server and its services as processes, killed with SIGKILL, drained with
// SIGTERM and frozen with SIGSTOP at random moments, again and again on one database. Whatever was
// accepted ends as it must, once.
#include "chaos/campaign.hpp"
#include "flags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <random>

namespace {

bool run_one(const chaos::campaign_options& options)
{
    fmt::print("seed {}: ", options.seed);
    std::fflush(stdout);
    const auto report = chaos::run_campaign(options);
    fmt::print("{} kills, {} drains, {} freezes, {} kills of the services; {} orders accepted, ",
               report.kills, report.drains, report.freezes, report.service_kills, report.accepted);
    fmt::print("{}\n", report.broken.empty() ? "each ended as it must" : "BROKEN:");
    for (const auto& sentence : report.broken)
        fmt::print("  {}\n", sentence);
    if (!report.broken.empty())
        fmt::print(
            "Again, if the system's own timing allows: chaos_crashes --rounds {} --seed {}\n",
            options.rounds, options.seed);
    std::fflush(stdout);
    return report.broken.empty();
}

} // namespace

int main(int argc, char** argv)
{
    chaos::campaign_options options;
    options.order_server = ORDER_SERVER;
    options.mock_services = MOCK_SERVICES;
    options.seed = std::random_device{}() % 1'000'000;
    int minutes = 0;
    int seed = static_cast<int>(options.seed);
    order_processing::flag_set flags{
        "chaos_crashes: kills the order server and its services at random moments.\n"
        "Ends with 0 if every order that was accepted ended as it must.",
        "CHAOS_"};
    flags.number("rounds", options.rounds, "Lives of the order server on one database", 1, 100'000);
    flags.number("orders", options.orders_per_round, "Orders sent in each", 1, 1'000);
    flags.number("minutes", minutes,
                 "Repeat on new databases, with the seeds that follow, for so "
                 "long; 0: once",
                 0, 100'000);
    flags.number("seed", seed, "Seed of what is random", 0, 1'000'000'000);
    try {
        if (!flags.parse(argc, argv)) {
            fmt::print("{}", flags.help());
            return 0;
        }
        options.seed = static_cast<std::uint32_t>(seed);
        const auto end = std::chrono::steady_clock::now() + std::chrono::minutes{minutes};
        bool good = true;
        do {
            good = run_one(options) && good;
            ++options.seed;
        } while (good && std::chrono::steady_clock::now() < end);
        return good ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "chaos_crashes: {}\n", error.what());
        return 2;
    }
}
