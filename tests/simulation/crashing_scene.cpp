// Steps that crash the process of their engine each time: the engine stops retrying them, and other
// runs are completed.
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <fmt/format.h>

#include <map>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

enum class crashing_status : int { running = 1, done = 2, given_up = 3 };

struct crashing_job {
    bool crashes = false;
    std::uint64_t delay_ms = 0; ///< from the start of the step to its end or crash
};
BOOST_DESCRIBE_STRUCT(crashing_job, (), (crashes, delay_ms))

using crashing_client = pawl::client<crashing_job, crashing_status>;

/// A crash is detected by comparing wall clock times. While the clock is set back behind the run's
/// last commit, crashes are not counted; hence the high limit.
constexpr int max_crashes = 100;

class crashing_scene final : public scene {
public:
    explicit crashing_scene(scene_setup setup)
        : setup_(std::move(setup)),
          jobs_(setup_.sim.add<crashing_job, crashing_status>(
              [this](simulated_process& process) { return make_workflow(process); }, setup_.where))
    {
        const auto count = 2 + setup_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            setup_.sim.spawn(fmt::format("job {}", i), live(this, i, setup_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        std::vector<std::string> violations;
        for (const auto& run : runs_of(setup_.sim, "jobs-that-crash")) {
            const bool given_up = run.status == static_cast<int>(crashing_status::given_up);
            if (crashes_by_run_.contains(run.foreign_id) && !given_up)
                violations.push_back(run.foreign_id +
                                     ": the run is not in status given_up; "
                                     "expected its crashing step to fail for good");
            if (run.suspicion != 0)
                violations.push_back(run.foreign_id +
                                     ": suspicion is not 0 after the end of the run");
        }
        return violations;
    }

private:
    static pawl::step<crashing_status::done, crashing_status::given_up>
    run_job(crashing_scene* self, simulated_process* process, pawl::run<crashing_job>& run)
    {
        co_await process->sleep(std::chrono::milliseconds{run.object().delay_ms});
        if (!run.object().crashes || !process->alive())
            co_return pawl::to<crashing_status::done>;
        if (++self->crashes_by_run_[std::string{run.foreign_id()}] == max_crashes)
            self->setup_.sim.report_violation(fmt::format(
                "{}: the step crashed {} processes; expected it to fail for good earlier",
                run.foreign_id(), max_crashes));
        process->crash();
        co_await process->sleep(1h);
        co_return pawl::to<crashing_status::done>;
    }

    pawl::workflow<crashing_job, crashing_status> make_workflow(simulated_process& process)
    {
        pawl::builder<crashing_job, crashing_status> b{"jobs-that-crash"};
        b.step<crashing_status::running>([this, p = &process](pawl::run<crashing_job>& run) {
             return run_job(this, p, run);
         }).template on_exhausted<crashing_status::given_up>();
        b.end<crashing_status::done, crashing_status::given_up>();
        return std::move(b).build();
    }

    static asio::awaitable<void> live(crashing_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, self->setup_.fault_duration));
        const crashing_job object{number == 0, random.below(3) == 0 ? 0 : random.below(500)};
        const auto run =
            co_await start_run(&sim, self->jobs_, fmt::format("job-{}", number), object);
        co_await await_end(&sim, self->jobs_, run);
    }

    scene_setup setup_;
    std::map<std::string, int> crashes_by_run_; ///< by foreign id: how many processes it has ended
    crashing_client jobs_;
};

} // namespace

std::unique_ptr<scene> make_crashing_scene(scene_setup setup)
{
    return std::make_unique<crashing_scene>(std::move(setup));
}

} // namespace simulation_test
