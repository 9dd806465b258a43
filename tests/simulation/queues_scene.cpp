// Runs that wait for a step's concurrency limit and for a slot in a full engine. Their deadlines
// and messages are processed meanwhile, and runs start in the order in which they wait.
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <fmt/format.h>

#include <map>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

constexpr pawl::limit two_at_a_time{"jobs", {.concurrency = 2}};

enum class job_status : int { working = 1, aside = 2, over = 3, late = 4 };

struct job_data {
    int seconds = 0; ///< duration of the work
    int limit = 0;   ///< seconds until its timeout; 0: none
};
BOOST_DESCRIBE_STRUCT(job_data, (), (seconds, limit))

using job_client = pawl::client<job_data, job_status>;

/// The runs that wait for their first attempt.
class waiting_list {
public:
    explicit waiting_list(simulation& sim) : sim_(sim) {}

    void add(const std::string& foreign_id) { since_.emplace(foreign_id, wait{sim_.now(), true}); }
    void remove(const std::string& foreign_id) { since_.erase(foreign_id); }

    /// The trigger was accepted: the wait starts now, unless the run has started.
    void accepted(const std::string& foreign_id)
    {
        if (const auto found = since_.find(foreign_id); found != since_.end())
            found->second = {sim_.now(), sim_.faults_active()};
    }

    /// Checks that no other run of the same engine has waited for much longer.
    void started(const std::string& foreign_id, const simulated_process& process)
    {
        const auto found = since_.find(foreign_id);
        if (found == since_.end())
            return;
        const auto started_wait = found->second;
        since_.erase(found);
        if (sim_.calm() < recovery_time)
            return;
        for (const auto& [other, other_wait] : since_) {
            // The clock is stepped during the fault phase.
            const pawl::duration tolerance =
                started_wait.during_faults || other_wait.during_faults ? 10min : 1min;
            if (other_wait.since + tolerance < started_wait.since && process.owns("jobs", other))
                sim_.report_violation(
                    fmt::format("{} started before {}, which had waited {} s longer; expected the "
                                "order of waiting",
                                foreign_id, other,
                                (started_wait.since - other_wait.since).count() / 1'000'000));
        }
    }

private:
    struct wait {
        pawl::time_point since;
        bool during_faults;
    };

    simulation& sim_;
    std::map<std::string, wait> since_;
};

pawl::step<job_status::over, job_status::aside>
work(simulated_process* process, waiting_list* waiting, pawl::run<job_data>& run)
{
    if (process->alive() && process->owns(run.workflow(), run.foreign_id()))
        waiting->started(run.foreign_id(), *process);
    co_await process->sleep(std::chrono::seconds{run.object().seconds});
    if (run.object().seconds % 7 == 3)
        co_return pawl::to<job_status::aside>;
    co_return pawl::to<job_status::over>;
}

pawl::step<job_status::late> time_out(waiting_list* waiting, pawl::run<job_data>& run)
{
    waiting->remove(run.foreign_id());
    co_return pawl::to<job_status::late>;
}

pawl::step<job_status::over> end_aside(pawl::run<job_data>&)
{
    co_return pawl::to<job_status::over>;
}

class queues_scene final : public scene {
public:
    explicit queues_scene(scene_setup setup)
        : setup_(std::move(setup)), waiting_(setup_.sim),
          parallel_(has_feature("limits") ? setup_.random.below(3) : 0),
          jobs_(setup_.sim.add<job_data, job_status>(
              [this](simulated_process& process) { return make_workflow(process); }, setup_.where))
    {
        const auto early = 2 + setup_.random.below(4);
        for (std::uint64_t i = 0; i < early; ++i)
            setup_.sim.spawn(fmt::format("early {}", i),
                             live_during_faults(this, i, setup_.random.fork()));
        const auto late = 4 + setup_.random.below(8);
        const auto rounds = 1 + setup_.random.below(5);
        for (std::uint64_t i = 0; i < late; ++i)
            setup_.sim.spawn(fmt::format("late {}", i),
                             live_after_faults(this, i, rounds, setup_.random.fork()));
    }

    std::vector<std::string> check() override { return {}; }

private:
    pawl::workflow<job_data, job_status> make_workflow(simulated_process& process)
    {
        auto* const waiting = &waiting_;
        pawl::builder<job_data, job_status> b{"jobs"};
        auto step = b.step<job_status::working>(
            [p = &process, waiting](pawl::run<job_data>& run) { return work(p, waiting, run); });
        // One of an engine, or two of all engines together.
        if (parallel_ == 2)
            step.within(two_at_a_time);
        else
            step.max_concurrency(parallel_);
        b.timeout<job_status::working>(
            [](const pawl::run<job_data>& run) -> std::optional<pawl::time_point> {
                if (run.object().limit == 0)
                    return std::nullopt;
                return run.now() + std::chrono::seconds{run.object().limit};
            },
            [waiting](pawl::run<job_data>& run) { return time_out(waiting, run); });
        b.callback<job_status::aside>("early", end_aside);
        b.timeout<job_status::aside>(1min, end_aside);
        b.end<job_status::over, job_status::late>();
        b.defaults({.retry = {.initial = 1s, .max_interval = 5s, .max_attempts = 0}});
        return std::move(b).build();
    }

    /// Some seconds of work; one job in eight takes 20 minutes and must not delay the others.
    static job_data draw_job(simulated_random& random)
    {
        job_data drawn;
        drawn.seconds = static_cast<int>(random.below(8) == 0 ? 1'200 : 1 + random.below(20));
        if (drawn.seconds > 100 || random.below(2) == 0)
            drawn.limit = static_cast<int>(60 + random.below(drawn.seconds > 100 ? 1'200 : 120));
        return drawn;
    }

    static asio::awaitable<void> send_early(queues_scene* self, pawl::run_id run,
                                            simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, 20s));
        pawl::callback_options options;
        options.idempotency_key = "early";
        options.expires_after = random.between(20s, 5min);
        co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->jobs_.async_call(run, "early", pawl::bytes{}, options);
        });
    }

    static asio::awaitable<void> command(queues_scene* self, pawl::run_id run,
                                         std::string foreign_id, simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, 1min));
        self->waiting_.remove(foreign_id);
        if (random.below(3) == 0) {
            co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
                co_await self->jobs_.async_cancel(run, {"drawn"});
            });
            co_return;
        }
        co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->jobs_.async_pause(run, {"drawn"});
        });
        co_await sim.sleep(random.between(0s, 1min));
        co_await retry_until_answered(
            &sim, [&]() -> asio::awaitable<void> { co_await self->jobs_.async_resume(run); });
    }

    static asio::awaitable<void> run_job(queues_scene* self, std::string foreign_id,
                                         simulated_random random)
    {
        auto& sim = self->setup_.sim;
        self->waiting_.add(foreign_id);
        const auto run = co_await start_run(&sim, self->jobs_, foreign_id, draw_job(random));
        self->waiting_.accepted(foreign_id);
        if (random.below(4) == 0)
            sim.spawn("message to " + foreign_id, send_early(self, run, random.fork()));
        if (random.below(6) == 0)
            sim.spawn("command to " + foreign_id, command(self, run, foreign_id, random.fork()));
        co_await await_end(&sim, self->jobs_, run);
        self->waiting_.remove(foreign_id);
    }

    static asio::awaitable<void> live_during_faults(queues_scene* self, std::uint64_t number,
                                                    simulated_random random)
    {
        co_await self->setup_.sim.sleep(random.between(0s, self->setup_.fault_duration));
        co_await run_job(self, fmt::format("early-{}", number), random.fork());
    }

    /// Starts one run after the other.
    static asio::awaitable<void> live_after_faults(queues_scene* self, std::uint64_t number,
                                                   std::uint64_t rounds, simulated_random random)
    {
        co_await self->setup_.sim.sleep(self->setup_.fault_duration + recovery_time +
                                        random.between(0s, 5s));
        for (std::uint64_t round = 0; round < rounds; ++round)
            co_await run_job(self, fmt::format("late-{}.{}", number, round), random.fork());
    }

    scene_setup setup_;
    waiting_list waiting_;
    std::size_t parallel_;
    job_client jobs_;
};

} // namespace

std::unique_ptr<scene> make_queues_scene(scene_setup setup)
{
    return std::make_unique<queues_scene>(std::move(setup));
}

} // namespace simulation_test
