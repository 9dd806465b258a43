// Runs that are left paused or waiting at the end of a simulation.
#include "pawl/builder.hpp"
#include "pawl/testing/explore.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(unfinished_runs)

namespace {

using namespace std::chrono_literals;
using pawl::testing::simulated_process;
using pawl::testing::simulation;
using pawl::testing::simulation_options;
using pawl::testing::simulation_result;

enum class phase { packing = 1, packed, sent };
BOOST_DESCRIBE_ENUM(phase, packing, packed, sent)

struct parcel {
    bool fails = false;       ///< each attempt to pack it fails
    bool fails_first = false; ///< each attempt during the fault phase fails
};
BOOST_DESCRIBE_STRUCT(parcel, (), (fails, fails_first))

using parcels = pawl::client<parcel, phase>;

constexpr pawl::callback<pawl::bytes> collect{"collect"};

pawl::step<phase::packed> pack(simulation* sim, pawl::run<parcel>& run)
{
    const auto& object = run.object();
    if (object.fails || (object.fails_first && sim->faults_active()))
        throw std::runtime_error("no paper left");
    co_return pawl::to<phase::packed>;
}

pawl::step<phase::sent> send(pawl::run<parcel>&, pawl::bytes)
{
    co_return pawl::to<phase::sent>;
}

boost::asio::awaitable<void> order(simulation* sim, parcels client, std::string id, parcel object,
                                   bool is_collected)
{
    for (bool done = false; !done; co_await sim->sleep(1s)) {
        try {
            co_await client.async_trigger(id, object, {.idempotency_key = id});
            if (is_collected)
                co_await client.async_call(id, collect, {}, {.idempotency_key = id});
            done = true;
        } catch (const pawl::system_error& failure) {
            done = failure.code() == pawl::errc::already_finished;
        }
    }
}

/// Two parcels of the same kind.
simulation_result simulate(simulation_options options, parcel object, bool is_collected,
                           std::vector<std::size_t>* resumes = nullptr)
{
    options.shards = 1;
    simulation sim{std::move(options)};
    auto client = sim.add<parcel, phase>([&sim](simulated_process&) {
        pawl::builder<parcel, phase> b{"parcels"};
        b.step<phase::packing>([s = &sim](pawl::run<parcel>& run) {
             return pack(s, run);
         }).retry({.max_attempts = 1});
        b.callback<phase::packed>(collect, send);
        b.end<phase::sent>();
        b.auto_resume(0s, 0);
        return std::move(b).build();
    });
    for (const std::string id : {"parcel-1", "parcel-2"})
        sim.spawn("sender of " + id, order(&sim, client, id, object, is_collected));
    if (resumes)
        sim.check([&sim, resumes] {
            for (const auto& run : sim.read(sim.store().list({})).runs) {
                const auto history = sim.read(sim.store().history(run.id, 0, 1'000));
                resumes->push_back(static_cast<std::size_t>(
                    std::ranges::count(history, pawl::event_kind::resumed, &pawl::event::kind)));
            }
            return std::vector<std::string>{};
        });
    return sim.run();
}

bool may_be_packed(const pawl::record& run)
{
    return run.state != pawl::run_state::paused && run.status == static_cast<int>(phase::packed);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_that_waits_at_the_end_is_a_finding)
{
    const auto result = simulate({}, {}, false);
    BOOST_TEST(result.waiting == 2u);
    BOOST_TEST(result.paused == 0u);
    BOOST_REQUIRE(result.violations.size() == 2u);
    const auto& sentence = result.violations.front();
    BOOST_TEST(sentence.find("(parcels \"parcel-") != std::string::npos, sentence);
    BOOST_TEST(sentence.find("is Running in status packed (2)") != std::string::npos, sentence);
    BOOST_TEST(sentence.find("it waits for an event from outside") != std::string::npos, sentence);
    BOOST_TEST(sentence.find("simulation_options::may_be_left") != std::string::npos, sentence);
}

BOOST_AUTO_TEST_CASE(a_run_that_stays_paused_is_a_finding)
{
    std::vector<std::size_t> resumes;
    const auto result = simulate({.max_resumes = 3}, {.fails = true}, false, &resumes);
    BOOST_TEST(result.paused == 2u);
    BOOST_TEST(result.waiting == 0u);
    BOOST_REQUIRE(result.violations.size() == 2u);
    const auto& sentence = result.violations.front();
    BOOST_TEST(sentence.find("is Paused in status packing (1)") != std::string::npos, sentence);
    BOOST_TEST(sentence.find("the reason of the pause: no paper left") != std::string::npos,
               sentence);
    // The limit holds for each run.
    BOOST_TEST(resumes == (std::vector<std::size_t>{3, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_options_allow_runs_to_be_left)
{
    simulation_options options;
    options.may_be_left = may_be_packed;
    auto result = simulate(options, {}, false);
    BOOST_TEST(result.violations.empty());
    BOOST_TEST(result.waiting == 2u);
    result = simulate(options, {.fails = true}, false);
    BOOST_TEST(result.violations.size() == 2u); // paused in another status
    options.may_be_left = [](const pawl::record& run) {
        return run.state == pawl::run_state::paused;
    };
    result = simulate(options, {.fails = true}, false);
    BOOST_TEST(result.violations.empty());
    BOOST_TEST(result.paused == 2u);
}

BOOST_AUTO_TEST_CASE(a_run_that_is_resumed_and_finishes_is_clean)
{
    const auto live = [](simulation_options options) {
        return simulate(std::move(options), {.fails_first = true}, true);
    };
    const auto result = pawl::testing::explore(live, {.seeds = 20});
    BOOST_TEST(!result.found.has_value(),
               (result.found ? result.found->sentences.front() : std::string{}));
    BOOST_TEST(result.runs == 40u);
    BOOST_TEST(result.paused == 0u);
    BOOST_TEST(result.waiting == 0u);
}

BOOST_AUTO_TEST_CASE(a_search_counts_the_runs_that_are_left)
{
    pawl::testing::exploration_options options;
    options.seeds = 5;
    options.base.may_be_left = may_be_packed;
    const auto live = [](simulation_options given) {
        return simulate(std::move(given), {}, false);
    };
    const auto result = pawl::testing::explore(live, options);
    BOOST_TEST(!result.found.has_value(),
               (result.found ? result.found->sentences.front() : std::string{}));
    BOOST_TEST(result.waiting == 10u);
}

BOOST_AUTO_TEST_SUITE_END()
