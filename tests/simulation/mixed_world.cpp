// The mixed world: one or two scenes at once, on engines drawn from the seed.
#include "simulation/scenes.hpp"
#include "simulation/worlds.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace simulation_test {

using namespace std::chrono_literals;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

struct feature {
    const char* name;
    bool is_on;
    std::unique_ptr<scene> (*make)(scene_setup) = nullptr; ///< null: not a scene
};

std::vector<feature>& features()
{
    static std::vector<feature> all{
        {"child-runs", true, make_child_runs_scene},
        {"effects", true, make_effects_scene},
        {"versions", true, make_versions_scene},
        {"queues", true, make_queues_scene},
        {"misbehaving", true, make_misbehaving_scene},
        {"sizes", true, make_sizes_scene},
        {"messages", true, make_messages_scene},
        {"crashing", true, make_crashing_scene},
        {"places", true},          // engines have different workflows
        {"skew", true},            // clocks disagree
        {"full", true},            // a small max_active_runs, also with handlers that wait
        {"limits", true},          // max_concurrency of steps
        {"callbacks", true},       // a callback that fails must be retried
        {"message-effects", true}, // an effect of a callback belongs to its message
        {"codec", true},           // codecs throw exceptions of any type
        {"deletion", true},        // of data, by scrubbers that throw
        {"hanging", true},         // callbacks that do not end
        {"punctual", true},        // see simulation_options::punctuality
        {"uncancelled", true},     // steps that do not end when they are cancelled
    };
    return all;
}

feature& find_feature(std::string_view name)
{
    const auto found = std::ranges::find(features(), name, &feature::name);
    if (found == features().end())
        throw std::invalid_argument("--mix has \"" + std::string{name} +
                                    "\", which is neither a scene nor a feature");
    return *found;
}

/// Draws which engines have a scene's workflows. At the end, at least one of them is up.
simulation::placement draw_placement(simulated_random& random, int engines)
{
    if (engines < 2)
        return {};
    switch (random.below(4)) {
    case 0:
        return [](int engine, int) {
            return engine == 0;
        };
    case 1:
        return [](int engine, int) {
            return engine > 0;
        };
    case 2:
        return [](int engine, int life) {
            return engine == 0 || life > 1;
        };
    default:
        return {};
    }
}

simulation_options draw_options(simulation_options options, simulated_random& random)
{
    options.fault_duration = random.between(1min, 3min);
    options.faults.max_fault_interval = 20s;
    options.redeploys = true;
    options.shards = 1 + static_cast<std::uint32_t>(random.below(12));
    const bool has_few_slots = random.below(3) == 0;
    if (has_few_slots && has_feature("full"))
        options.engine.max_active_runs = 2 + random.below(3);
    if (!has_feature("punctual"))
        options.punctuality = pawl::duration::zero();
    options.engine.max_batch = random.below(3) == 0 ? 1 : 100;
    options.engine.max_object_size = largest_object;
    if (options.engines == 1)
        options.engines = 1 + 2 * static_cast<int>(random.below(2));
    const auto skew = random.below(2) == 0 ? random.between(0s, 2min) : 0s;
    if (has_feature("skew") && options.engines > 1)
        options.clock_skew = skew;
    return options;
}

} // namespace

bool has_feature(std::string_view name)
{
    return find_feature(name).is_on;
}

void choose_features(std::string_view names)
{
    bool others_are_off = false;
    while (!names.empty()) {
        auto name = names.substr(0, names.find(','));
        names.remove_prefix(std::min(names.size(), name.size() + 1));
        const char sign = name.empty() ? ' ' : name.front();
        if (sign == '+' || sign == '-') {
            find_feature(name.substr(1)).is_on = sign == '+';
            continue;
        }
        if (!std::exchange(others_are_off, true))
            for (auto& other : features())
                if (other.make)
                    other.is_on = false;
        find_feature(name).is_on = true;
    }
}

std::vector<pawl::record> runs_of(simulation& sim, std::string_view workflow)
{
    pawl::record_query query;
    query.workflow = workflow;
    query.limit = 1'000;
    return sim.read(sim.store().list(query)).runs;
}

std::vector<pawl::event> history_of(simulation& sim, pawl::run_id run)
{
    return sim.read(sim.store().history(run, 0, 1'000));
}

simulation_result run_mixed(simulation_options options)
{
    simulated_random random{options.seed ^ 0x313ed};
    options = draw_options(std::move(options), random);
    const auto fault_duration = options.fault_duration;
    const auto skew = options.clock_skew;
    const auto engines = options.engines;
    simulation sim{std::move(options)};
    std::vector<std::unique_ptr<scene>> scenes;
    std::vector<feature*> available;
    for (auto& known : features())
        if (known.make && known.is_on)
            available.push_back(&known);
    if (available.empty())
        throw std::invalid_argument("--mix turns off every scene");
    for (auto count = 1 + random.below(2); count > 0 && !available.empty(); --count) {
        const auto chosen =
            available.begin() + static_cast<std::ptrdiff_t>(random.below(available.size()));
        const auto where =
            has_feature("places") ? draw_placement(random, engines) : simulation::placement{};
        sim.trace(std::string{"the scene "} + (*chosen)->name);
        scenes.push_back((*chosen)->make({sim, random.fork(), where, fault_duration, skew}));
        available.erase(chosen);
    }
    for (const auto& active : scenes)
        sim.check([&scene = *active] { return scene.check(); });
    return sim.run();
}

} // namespace simulation_test
