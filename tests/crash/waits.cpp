// A workflow of waits, callbacks, retries, recorded effects and hooks with a crash beside each call
// that it makes.
#include "pawl/builder.hpp"
#include "pawl/testing/simulation.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(waits)

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::testing::simulated_process;
using pawl::testing::simulation;
using pawl::testing::simulation_options;

namespace {

enum class place { begun = 1, waiting, called, late, over };
BOOST_DESCRIBE_ENUM(place, begun, waiting, called, late, over)

struct journey {
    std::vector<std::string> stages;
    std::uint64_t ticket = 0;
};
BOOST_DESCRIBE_STRUCT(journey, (), (stages, ticket))

using journey_run = pawl::run<journey>;

/// The world outside: what was done under which key.
struct outside {
    std::map<std::string, std::uint64_t> tickets; ///< by key: a repeated request has the first one
    int hooks = 0;

    std::uint64_t buy(const std::string& key)
    {
        return tickets.emplace(key, tickets.size() + 1).first->second;
    }
};

asio::awaitable<std::uint64_t> buy(outside* world, simulated_process* process, std::string key)
{
    auto bought = co_await process->call("buy", [world, key] { return world->buy(key); });
    co_return bought;
}

pawl::step<place::waiting> begin(journey_run& run, outside* world, simulated_process* process)
{
    run.object().stages.emplace_back("begun");
    co_await run.checkpoint();
    if (run.attempt() < 2)
        throw std::runtime_error("the first attempt");
    const auto key = run.idempotency_key("ticket");
    auto effect = [world, process, key] {
        return buy(world, process, key);
    };
    run.object().ticket = co_await run.once("ticket", std::move(effect));
    co_return pawl::to<place::waiting>;
}

pawl::workflow<journey, place> make_journey(outside& world, simulated_process& process)
{
    pawl::builder<journey, place> b{"journeys"};
    b.step<place::begun>([w = &world, p = &process](journey_run& run) {
         return begin(run, w, p);
     }).retry({.initial = 1s, .max_attempts = 0});
    b.callback<place::waiting>("call", [](journey_run& run, int) -> pawl::step<place::called> {
        run.object().stages.emplace_back("called");
        co_return pawl::to<place::called>;
    });
    b.timeout<place::waiting>(
        1h, [](journey_run&) -> pawl::step<place::over> { co_return pawl::to<place::over>; });
    b.timeout<place::called>(1min, [](journey_run& run) -> pawl::step<place::late> {
        run.object().stages.emplace_back("late");
        co_return pawl::to<place::late>;
    });
    b.step<place::late>([](journey_run& run) -> pawl::step<place::over> {
        if (run.object().stages.size() < 6) {
            run.object().stages.emplace_back("again");
            co_return pawl::repeat_after(10s);
        }
        co_return pawl::to<place::over>;
    });
    b.end<place::over>();
    b.on_complete([w = &world](const pawl::snapshot<journey, place>&) -> asio::awaitable<void> {
        ++w->hooks;
        co_return;
    });
    return std::move(b).build();
}

asio::awaitable<void> travel(simulation* sim, pawl::client<journey, place> client)
{
    for (;;) {
        try {
            const auto run =
                co_await client.async_trigger("one", journey{}, {.idempotency_key = "start"});
            co_await client.async_call(run, "call", 1, {.idempotency_key = "call"});
            co_await client.async_await_finished(run);
            co_return;
        } catch (const pawl::system_error& e) {
            if (e.code() != pawl::errc::not_running && e.code() != pawl::errc::store_unavailable)
                sim->report_violation("the traveller was told: " + e.code().message());
        }
        co_await sim->sleep(500ms);
    }
}

pawl::testing::simulation_result run_journey(simulation_options options)
{
    outside world;
    simulation sim{std::move(options)};
    auto client = sim.add<journey, place>(
        [&](simulated_process& process) { return make_journey(world, process); });
    sim.spawn("the traveller", travel(&sim, client));
    sim.check([&] {
        std::vector<std::string> violations;
        const auto run = sim.read(sim.store().latest("journeys", "one"));
        const auto object = pawl::codec<journey>::decode(run->object);
        // The first checkpoint is made once an attempt, and a crash may add an attempt.
        auto stages = object.stages;
        while (stages.size() > 1 && stages[1] == "begun")
            stages.erase(stages.begin());
        if (stages.front() != "begun" || stages.at(1) != "called" || stages.at(2) != "late")
            violations.emplace_back("the journey took another way");
        if (world.tickets.size() != 1 || object.ticket != 1)
            violations.emplace_back("there is not one ticket");
        if (world.hooks < 1)
            violations.emplace_back("no hook was called");
        return violations;
    });
    return sim.run();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_workflow_of_waits_and_callbacks)
{
    const auto result = pawl::testing::run_crash_matrix(run_journey);
    BOOST_TEST_MESSAGE(result.calls << " calls, " << result.simulations << " lives");
    BOOST_TEST(result.calls > 30u);
    BOOST_TEST(result.simulations == 2 * result.calls + 1);
    for (const auto& sentence : result.violations)
        BOOST_TEST(false, sentence);
}

BOOST_AUTO_TEST_SUITE_END()
