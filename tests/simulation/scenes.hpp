// The scenes of the mixed world: each has its workflows, its clients and what must hold of them.
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

/// What a scene is given. It outlives the simulation's run.
struct stage {
    pawl::testing::simulation& sim;
    pawl::testing::simulated_random random;
    pawl::testing::simulation::placement where; ///< of each of its workflows
    pawl::duration fault_duration{};
    pawl::duration skew{}; ///< of the engines' clocks
};

class scene {
public:
    virtual ~scene() = default;

    /// At the end: a sentence for each thing that does not hold.
    virtual std::vector<std::string> check() = 0;
};

// Each adds its workflows to the simulation, and spawns its clients.
std::unique_ptr<scene> make_family_scene(stage on);
std::unique_ptr<scene> make_effects_scene(stage on);
std::unique_ptr<scene> make_versions_scene(stage on);
std::unique_ptr<scene> make_line_scene(stage on);
std::unique_ptr<scene> make_unruly_scene(stage on);
std::unique_ptr<scene> make_sizes_scene(stage on);
std::unique_ptr<scene> make_callbacks_scene(stage on);
std::unique_ptr<scene> make_deadly_scene(stage on);

/// What of the mixed world is simulated: the name of a scene, or of something that may be drawn for
/// all of them. See mixed_world.cpp for the list.
bool has_feature(std::string_view name);

/// "+name" adds one, "-name" leaves it out, "name" leaves out the other scenes; several with commas
/// between them. Throws std::invalid_argument for an unknown one.
void choose_features(std::string_view names);

/// Of an engine in the mixed world; larger objects are refused.
constexpr std::size_t largest_object = 4'000;

/// After that time of calm each engine is up and has its shards.
constexpr pawl::duration settled_after = std::chrono::minutes{3};

/// The answer was lost, or nobody was there: worth asking again.
inline bool is_lost(const pawl::error_code& why)
{
    using pawl::errc;
    return why == errc::store_unavailable || why == errc::not_running || why == errc::overloaded;
}

/// Makes a call, `call()`, until it is answered, and gives the answer's error.
template <class Call>
boost::asio::awaitable<pawl::error_code> persist(pawl::testing::simulation* sim, Call call)
{
    for (;;) {
        pawl::error_code result;
        try {
            co_await call();
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (!is_lost(result))
            co_return result;
        co_await sim->sleep(
            sim->random().between(std::chrono::milliseconds{100}, std::chrono::seconds{2}));
    }
}

/// Starts a run under a key, and gives it. Each foreign id is used once.
template <class Object, class Status>
boost::asio::awaitable<pawl::run_id> start_run(pawl::testing::simulation* sim,
                                               pawl::client<Object, Status> client,
                                               std::string foreign_id, Object object)
{
    pawl::run_id run;
    const auto result = co_await persist(sim, [&]() -> boost::asio::awaitable<void> {
        run = co_await client.async_trigger(foreign_id, object, {.idempotency_key = "start"});
    });
    if (result)
        sim->report_violation("the trigger of " + foreign_id + " was refused: " + result.message());
    co_return run;
}

/// Waits until the run has ended.
template <class Object, class Status>
boost::asio::awaitable<void> see_end(pawl::testing::simulation* sim,
                                     pawl::client<Object, Status> client, pawl::run_id run)
{
    const auto result = co_await persist(
        sim, [&]() -> boost::asio::awaitable<void> { co_await client.async_await_finished(run); });
    if (result)
        sim->report_violation("an await of " + to_string(run) + " ended with: " + result.message());
}

/// The runs of a workflow, as they are stored.
std::vector<pawl::record> runs_of(pawl::testing::simulation& sim, std::string_view workflow);

std::vector<pawl::event> history_of(pawl::testing::simulation& sim, pawl::run_id run);

} // namespace simulation_test
