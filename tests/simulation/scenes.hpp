// The scenes of the mixed world: each has workflows, clients and checks.
#pragma once

#include "pawl/client.hpp"
#include "pawl/testing/simulation.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace simulation_test {

/// What a scene is made from. It outlives the simulation's run.
struct scene_setup {
    pawl::testing::simulation& sim;
    pawl::testing::simulated_random random;
    pawl::testing::simulation::placement where; ///< the engines that have its workflows
    pawl::duration fault_duration{};
    pawl::duration skew{}; ///< of the engines' clocks
};

class scene {
public:
    virtual ~scene() = default;

    /// Called at the end; returns a sentence for each violation.
    virtual std::vector<std::string> check() = 0;
};

// Each function adds workflows to the simulation and spawns clients.
std::unique_ptr<scene> make_child_runs_scene(scene_setup setup);
std::unique_ptr<scene> make_effects_scene(scene_setup setup);
std::unique_ptr<scene> make_versions_scene(scene_setup setup);
std::unique_ptr<scene> make_queues_scene(scene_setup setup);
std::unique_ptr<scene> make_misbehaving_scene(scene_setup setup);
std::unique_ptr<scene> make_sizes_scene(scene_setup setup);
std::unique_ptr<scene> make_messages_scene(scene_setup setup);
std::unique_ptr<scene> make_crashing_scene(scene_setup setup);

/// Whether a scene or feature of the mixed world is on. See mixed_world.cpp for the list.
bool has_feature(std::string_view name);

/// "+name" turns a feature on, "-name" turns it off, "name" turns off the other scenes; several
/// with commas between them. Throws std::invalid_argument for an unknown name.
void choose_features(std::string_view names);

/// engine_options::max_object_size in the mixed world.
constexpr std::size_t largest_object = 4'000;

/// This long after the fault phase, each engine is up and has its shards.
constexpr pawl::duration recovery_time = std::chrono::minutes{3};

/// Whether the answer was lost or no engine was up.
inline bool may_be_retried(const pawl::error_code& result)
{
    using pawl::errc;
    return result == errc::store_unavailable || result == errc::not_running ||
           result == errc::overloaded;
}

/// Repeats `call()` until it is answered, and returns its error.
template <class Call>
boost::asio::awaitable<pawl::error_code> retry_until_answered(pawl::testing::simulation* sim,
                                                              Call call)
{
    for (;;) {
        pawl::error_code result;
        try {
            co_await call();
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (!may_be_retried(result))
            co_return result;
        co_await sim->sleep(
            sim->random().between(std::chrono::milliseconds{100}, std::chrono::seconds{2}));
    }
}

/// Starts a run with an idempotency key. Each foreign id is used once.
template <class Object, class Status>
boost::asio::awaitable<pawl::run_id> start_run(pawl::testing::simulation* sim,
                                               pawl::client<Object, Status> client,
                                               std::string foreign_id, Object object)
{
    pawl::run_id run;
    const auto result = co_await retry_until_answered(sim, [&]() -> boost::asio::awaitable<void> {
        run = co_await client.async_trigger(foreign_id, object, {.idempotency_key = "start"});
    });
    if (result)
        sim->report_violation(foreign_id + ": the trigger failed: " + result.message());
    co_return run;
}

/// Waits until the run has ended.
template <class Object, class Status>
boost::asio::awaitable<void> await_end(pawl::testing::simulation* sim,
                                       pawl::client<Object, Status> client, pawl::run_id run)
{
    const auto result = co_await retry_until_answered(
        sim, [&]() -> boost::asio::awaitable<void> { co_await client.async_await_finished(run); });
    if (result)
        sim->report_violation("run " + to_string(run) + ": an await failed: " + result.message());
}

/// The runs of a workflow, as they are stored.
std::vector<pawl::record> runs_of(pawl::testing::simulation& sim, std::string_view workflow);

std::vector<pawl::event> history_of(pawl::testing::simulation& sim, pawl::run_id run);

} // namespace simulation_test
