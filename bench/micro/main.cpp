// Times the small operations with Google Benchmark, or does one of them so many times for a
// program that counts instructions.
#include "micro/operation.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <string>

namespace pawl_bench {

std::span<const operation> operations()
{
    static constexpr std::array<operation, 10> all{{
        {"decide/step-moves", step_moves},
        {"decide/step-fails", step_fails},
        {"decide/next-action", next_action},
        {"codec/order-encode", order_is_encoded},
        {"codec/order-decode", order_is_decoded},
        {"commit_queue/64-changes", batch_is_committed},
        {"activation/five-steps", run_is_driven},
        {"activation/five-limited-steps", run_is_driven_within_limits},
        {"sqlite/five-steps", run_is_driven_on_sqlite},
        {"trigger/refused", trigger_is_refused},
    }};
    return all;
}

} // namespace pawl_bench

namespace {

using namespace pawl_bench;

int repeat(std::string_view name, long times)
{
    const auto found = std::ranges::find(operations(), name, &operation::name);
    if (found == operations().end()) {
        std::cerr << "pawl_microbench: no operation is named " << name << "; see --list\n";
        return 1;
    }
    const auto perform = found->prepare();
    for (long i = 0; i < times; ++i)
        perform();
    return 0;
}

void measure(benchmark::State& state, const operation& which)
{
    const auto perform = which.prepare();
    for (auto _ : state)
        perform();
}

} // namespace

/// pawl_microbench --list | --repeat NAME TIMES | flags of Google Benchmark
int main(int argc, char** argv)
{
    const std::string first = argc > 1 ? argv[1] : "";
    if (first == "--list") {
        for (const auto& each : operations())
            std::cout << each.name << '\n';
        return 0;
    }
    if (first == "--repeat" && argc == 4)
        return repeat(argv[2], std::atol(argv[3]));
    for (const auto& each : operations())
        benchmark::RegisterBenchmark(each.name.data(), measure, each);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
