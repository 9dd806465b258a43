#pragma once

#include <functional>
#include <span>
#include <string_view>

namespace pawl_bench {

/// Something small to be done many times. `prepare` sets its stage, which the function that it
/// returns keeps alive.
struct operation {
    std::string_view name;
    std::function<void()> (*prepare)();
};

std::span<const operation> operations();

std::function<void()> step_moves();
std::function<void()> step_fails();
std::function<void()> next_action();
std::function<void()> order_is_encoded();
std::function<void()> order_is_decoded();
std::function<void()> batch_is_committed();
std::function<void()> run_is_driven();
std::function<void()> run_is_driven_within_limits();
std::function<void()> run_is_driven_on_sqlite();
std::function<void()> trigger_is_refused();

} // namespace pawl_bench
