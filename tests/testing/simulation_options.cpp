// Options and uses of a simulation that are refused, and exceptions that leave its coroutines.
#include "pawl/builder.hpp"
#include "pawl/testing/simulation.hpp"

#include <boost/test/unit_test.hpp>

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

BOOST_AUTO_TEST_SUITE(simulation_options_)

namespace {

using namespace std::chrono_literals;
using pawl::testing::simulated_process;
using pawl::testing::simulation;
using pawl::testing::simulation_options;

enum class lamp { on = 1, off };
BOOST_DESCRIBE_ENUM(lamp, on, off)

struct bulb {
    int watts = 0;
};
BOOST_DESCRIBE_STRUCT(bulb, (), (watts))

void add_lamps(simulation& sim)
{
    sim.add<bulb, lamp>([](simulated_process&) {
        pawl::builder<bulb, lamp> b{"lamps"};
        b.step<lamp::on>(
            [](pawl::run<bulb>&) -> pawl::step<lamp::off> { co_return pawl::to<lamp::off>; });
        b.end<lamp::off>();
        return std::move(b).build();
    });
}

bool is_refused_with(const std::string& text, const std::function<void()>& call)
{
    try {
        call();
    } catch (const pawl::definition_error& e) {
        BOOST_TEST(std::string{e.what()} == text);
        return true;
    }
    return false;
}

boost::asio::awaitable<void> throw_number()
{
    throw 7;
    co_return;
}

} // namespace

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused_by_name)
{
    using change = std::function<void(simulation_options&)>;
    const std::vector<std::pair<change, std::string>> cases{
        {[](auto& o) { o.engines = 0; }, "simulation_options::engines is 0; it must be at least 1"},
        {[](auto& o) { o.max_resumes = -1; },
         "simulation_options::max_resumes is -1; it must be at least 0"},
        {[](auto& o) { o.settle_time = -1us; },
         "simulation_options::settle_time is -1 us; it must be at least 0 s"},
        {[](auto& o) { o.fault_duration = -1us; },
         "simulation_options::fault_duration is -1 us; it must be at least 0 s"},
        {[](auto& o) { o.clock_skew = -1us; },
         "simulation_options::clock_skew is -1 us; it must be at least 0 s"},
        {[](auto& o) { o.punctuality = -1us; },
         "simulation_options::punctuality is -1 us; it must be at least 0 s"},
        {[](auto& o) { o.faults.call_lost = 1'000'001; },
         "simulated_faults::call_lost is 1,000,001; it must be from 0 to 1,000,000"},
        {[](auto& o) { o.faults.max_fault_interval = -1us; },
         "simulated_faults::max_fault_interval is -1 us; it must be at least 0 s"},
    };
    for (const auto& [set, text] : cases) {
        simulation_options options;
        set(options);
        BOOST_TEST(is_refused_with(text, [&] { simulation sim{options}; }), text);
    }
}

BOOST_AUTO_TEST_CASE(a_simulation_needs_a_workflow_and_runs_once)
{
    simulation empty{{}};
    BOOST_TEST(is_refused_with("simulation::run: add a workflow before", [&] { empty.run(); }));
    simulation sim{{}};
    add_lamps(sim);
    BOOST_TEST(sim.run().violations.empty());
    BOOST_TEST(is_refused_with("simulation::run was called before: each simulation runs once",
                               [&] { sim.run(); }));
}

BOOST_AUTO_TEST_CASE(an_exception_of_any_type_is_a_violation)
{
    simulation sim{{}};
    add_lamps(sim);
    sim.spawn("a customer", throw_number());
    const auto result = sim.run();
    BOOST_REQUIRE(!result.violations.empty());
    BOOST_TEST(result.violations.front().find(
                   "the coroutine \"a customer\" ended with an exception: ") == 0u,
               result.violations.front());
}

BOOST_AUTO_TEST_SUITE_END()
