// Measures after how many seeds a search finds each mistake in the payment workflow of
// payments.hpp. Prints a table, which stands in examples/simulation/README.md.
#include "payments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

using namespace payment_test;

struct described_mistake {
    mistake made;
    const char* text;
};

constexpr described_mistake mistakes[] = {
    {mistake::charge_without_key, "a charge without an idempotency key"},
    {mistake::shipment_without_key, "a shipment without a key"},
    {mistake::receipt_without_key, "a receipt that a hook sends without a key"},
    {mistake::key_of_the_attempt, "a key that changes with the attempt"},
    {mistake::price_not_recorded, "a price that is read again in each attempt, without `once`"},
    {mistake::key_of_the_message, "the key of the message for an effect of the run"},
    {mistake::unknown_charge_held, "a charge whose answer is lost holds the run forever"},
};

/// The limit of a search.
constexpr std::uint64_t max_seeds = 1'000;

/// Returns how many seeds a search needs from this seed on; more than `max_seeds` if it finds
/// nothing.
std::uint64_t seeds_needed(mistake made, std::uint64_t first)
{
    auto options = seeds(max_seeds);
    options.first_seed = first;
    options.repeat_every = 0;
    const auto result = pawl::testing::explore(life_with(made), options);
    return result.found ? result.found->seed - first + 1 : max_seeds + 1;
}

int measure(std::uint64_t searches)
{
    bool found_all = true;
    std::puts("| mistake | median | most |\n|---|---|---|");
    for (const auto& [made, text] : mistakes) {
        std::vector<std::uint64_t> needed;
        for (std::uint64_t i = 0; i < searches; ++i)
            needed.push_back(seeds_needed(made, 1 + i * max_seeds));
        std::ranges::sort(needed);
        found_all = found_all && needed.back() <= max_seeds;
        std::puts(fmt::format("| {} | {} | {} |", text, needed[needed.size() / 2], needed.back())
                      .c_str());
        std::fflush(stdout);
    }
    return found_all ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

/// payment_mistakes [SEARCHES]
int main(int argc, char** argv)
{
    std::uint64_t searches = 30;
    if (argc > 1) {
        const std::string_view text = argv[1];
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), searches);
        if (argc > 2 || error != std::errc{} || end != text.data() + text.size() || searches < 1) {
            std::fputs("usage: payment_mistakes [SEARCHES]\n", stderr);
            return 2;
        }
    }
    return measure(searches);
}
