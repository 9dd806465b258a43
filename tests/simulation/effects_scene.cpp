// Concurrent effects in one handler: each is recorded once, and repeated only after a fault.
#include "simulation/generated.hpp"
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <fmt/format.h>

#include <map>
#include <set>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

enum class work_status : int { first = 1, second = 2, over = 3 };

struct work {
    int branches = 0;
    std::vector<std::uint64_t> results; ///< of the effects of the run, as the first status saw them
};
BOOST_DESCRIBE_STRUCT(work, (), (branches, results))

using works = pawl::client<work, work_status>;

/// The effects as the simulated service sees them.
class effect_log {
public:
    explicit effect_log(simulation& sim) : sim_(sim), ledger_(sim) {}

    std::uint64_t make(const std::string& effect_id, bool is_owner)
    {
        if (sim_.calm() > recovery_time && !made_after_faults_.insert(effect_id).second)
            sim_.report_violation("effect " + effect_id +
                                  " was made twice; expected once without faults");
        return ledger_.add(effect_id, effect_id, is_owner);
    }

    void recorded(const std::string& effect_id, std::uint64_t value)
    {
        ledger_.recorded(effect_id, value);
    }

    void handler_started(const std::string& handler, int attempt)
    {
        if (sim_.calm() > recovery_time && !started_after_faults_.insert(handler).second)
            sim_.report_violation("handler " + handler +
                                  " ran twice; expected once without faults");
        if (attempt > failures_[handler] + 1)
            sim_.report_violation(fmt::format("handler {} is in attempt {} after {} failures",
                                              handler, attempt, failures_[handler]));
    }

    /// A cancellation is not a failure.
    void handler_failed(const std::string& handler, const std::exception_ptr& failure)
    {
        try {
            std::rethrow_exception(failure);
        } catch (const boost::system::system_error& error) {
            if (error.code() == asio::error::operation_aborted)
                return;
        } catch (...) {
        }
        ++failures_[handler];
    }

private:
    simulation& sim_;
    effect_ledger ledger_;
    std::set<std::string> made_after_faults_;
    std::set<std::string> started_after_faults_;
    std::map<std::string, int> failures_;
};

struct effects_context {
    simulation* sim;
    simulated_process* process;
    effect_log* log;
};

asio::awaitable<std::uint64_t> make_effect(effects_context in, std::string effect_id,
                                           std::string foreign_id)
{
    auto number = co_await in.process->call("effect", [in, effect_id, foreign_id] {
        return in.log->make(effect_id, in.process->owns("works", foreign_id));
    });
    co_return number;
}

/// One of the concurrent branches of a handler.
asio::awaitable<void> branch(effects_context in, pawl::run<work>* run, int number,
                             std::uint64_t* result)
{
    if (number % 2 == 1)
        co_await in.process->sleep(in.sim->random().between(0s, 100ms));
    const int effect = number % 8 < 4 ? number : number - 4; // some branches make the same effect
    const auto id = to_string(run->id());
    const auto foreign_id = run->foreign_id();
    if (number % 4 == 2) {
        const auto effect_id = fmt::format("{}/run/{}", id, effect);
        auto make = [in, effect_id, foreign_id] {
            return make_effect(in, effect_id, foreign_id);
        };
        *result = co_await run->once_per_run(fmt::format("run-{}", effect), make);
        if (in.process->alive())
            in.log->recorded(effect_id, *result);
    } else if (number % 4 == 3) {
        co_await run->checkpoint();
    } else {
        const auto effect_id = fmt::format("{}/{}/{}", id, run->visit(), effect);
        auto make = [in, effect_id, foreign_id] {
            return make_effect(in, effect_id, foreign_id);
        };
        const auto value = co_await run->once(fmt::format("once-{}", effect), make);
        if (in.process->alive())
            in.log->recorded(effect_id, value);
    }
}

asio::awaitable<void> all_branches(effects_context in, pawl::run<work>* run, int number,
                                   std::map<int, std::uint64_t>* results)
{
    using namespace asio::experimental::awaitable_operators;
    auto* const result = &(*results)[number];
    if (number == 0)
        co_await branch(in, run, number, result);
    else
        co_await (branch(in, run, number, result) && all_branches(in, run, number - 1, results));
}

asio::awaitable<std::map<int, std::uint64_t>> make_effects(effects_context in, pawl::run<work>* run)
{
    const auto handler = fmt::format("{}/{}", to_string(run->id()), run->visit());
    in.log->handler_started(handler, run->attempt());
    std::map<int, std::uint64_t> results;
    std::exception_ptr failure;
    try {
        co_await all_branches(in, run, run->object().branches, &results);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        in.log->handler_failed(handler, failure);
        std::rethrow_exception(failure);
    }
    co_return results;
}

pawl::step<work_status::second> do_first(effects_context in, pawl::run<work>& run)
{
    const auto results = co_await make_effects(in, &run);
    for (const auto& [number, result] : results)
        run.object().results.push_back(result);
    co_return pawl::to<work_status::second>;
}

pawl::step<work_status::over> do_second(effects_context in, pawl::run<work>& run)
{
    const auto results = co_await make_effects(in, &run);
    for (const auto& [number, result] : results)
        if (number % 4 == 2 && in.process->alive() &&
            run.object().results[static_cast<std::size_t>(number)] != result)
            in.sim->report_violation(
                run.foreign_id() +
                ": a once_per_run effect has two results; expected the recorded one");
    co_return pawl::to<work_status::over>;
}

class effects_scene final : public scene {
public:
    explicit effects_scene(scene_setup setup)
        : setup_(std::move(setup)), log_(setup_.sim),
          works_(setup_.sim.add<work, work_status>(
              [this](simulated_process& process) { return works_in(process); }, setup_.where))
    {
        const auto count = 2 + setup_.random.below(5);
        for (std::uint64_t i = 0; i < count; ++i)
            setup_.sim.spawn(fmt::format("worker {}", i), live(this, i, setup_.random.fork()));
    }

    std::vector<std::string> check() override { return {}; }

private:
    pawl::workflow<work, work_status> works_in(simulated_process& process)
    {
        const effects_context in{&setup_.sim, &process, &log_};
        pawl::builder<work, work_status> b{"works"};
        b.step<work_status::first>([in](pawl::run<work>& run) { return do_first(in, run); });
        b.step<work_status::second>([in](pawl::run<work>& run) { return do_second(in, run); });
        b.end<work_status::over>();
        b.defaults({.retry = {.initial = 200ms, .max_interval = 5s, .max_attempts = 0}});
        return std::move(b).build();
    }

    static asio::awaitable<void> live(effects_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->setup_.sim;
        const bool calm = random.below(2) == 0;
        co_await sim.sleep(calm ? self->setup_.fault_duration + recovery_time + 10s
                                : random.between(0s, self->setup_.fault_duration));
        work object;
        object.branches = 1 + static_cast<int>(random.below(8));
        const auto run =
            co_await start_run(&sim, self->works_, fmt::format("work-{}", number), object);
        co_await await_end(&sim, self->works_, run);
    }

    scene_setup setup_;
    effect_log log_;
    works works_;
};

} // namespace

std::unique_ptr<scene> make_effects_scene(scene_setup setup)
{
    return std::make_unique<effects_scene>(std::move(setup));
}

} // namespace simulation_test
