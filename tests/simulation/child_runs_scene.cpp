// Parents that start children in their handlers, wait for them, and get their ends; callbacks that
// start children and send callbacks to them; parents that are cancelled with their children.
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

enum class parent : int { begun = 1, open = 2, waiting = 3, done = 4, counting = 5 };
enum class child : int { young = 1, grown = 2 };

struct parent_data {
    int children = 0;
    int greeted = 0;
    std::vector<std::string> ended; ///< children whose end has arrived
};
BOOST_DESCRIBE_STRUCT(parent_data, (), (children, greeted, ended))

struct child_data {
    int seconds = 0;
    int waved = 0;
};
BOOST_DESCRIBE_STRUCT(child_data, (), (seconds, waved))

using parent_runs = pawl::client<parent_data, parent>;
using child_runs = pawl::client<child_data, child>;
using child_end = pawl::child_end<child_data, child>;

constexpr pawl::workflow_handle<child_data, child> child_workflow{"children"};
constexpr pawl::callback<child_end> child_ended{"child-ended"};
constexpr pawl::callback<int> wave_callback{"wave"};

/// What the handlers of a process use.
struct child_runs_context {
    simulation* sim;
    simulated_process* process;
    pawl::duration skew;

    child_runs child_client() const { return process->client_of<child_data, child>("children"); }
};

std::string child_of(const pawl::run<parent_data>& run, int number)
{
    return fmt::format("{}/{}", run.foreign_id(), number);
}

/// Fails in the first attempt now and then, so that it is repeated.
pawl::step<parent::open> start_children(child_runs_context in, pawl::run<parent_data>& run)
{
    for (int i = 0; i < run.object().children; ++i) {
        const auto name = child_of(run, i);
        const auto policy = i == 0 ? pawl::parent_cancel::leave : pawl::parent_cancel::cancel;
        co_await run.start(child_workflow, name, {static_cast<int>(name.size()), 0},
                           {.on_end = child_ended, .on_parent_cancel = policy});
    }
    if (run.attempt() == 1 && in.sim->random().below(3) == 0)
        throw std::runtime_error("the first attempt fails");
    co_return pawl::to<parent::open>;
}

/// An await must complete within two minutes of the end of its run.
void check_await_latency(const child_runs_context& in, const std::string& foreign_id,
                         pawl::time_point since, pawl::time_point ended)
{
    constexpr pawl::duration limit = 2min;
    if (in.sim->calm() < recovery_time)
        return;
    const auto late = in.sim->now() - std::max(since, ended);
    if (late > limit + in.skew)
        in.sim->report_violation(fmt::format(
            "{}: the await of a child run completed {} s after its end; expected at "
            "most {} s",
            foreign_id, late.count() / 1'000'000, (limit + in.skew).count() / 1'000'000));
}

/// Waits by a client, as a handler may.
pawl::step<parent::counting> await_children(child_runs_context in, pawl::run<parent_data>& run)
{
    auto children = in.child_client();
    for (int i = 0; i < run.object().children; ++i) {
        const auto known = co_await children.async_find_latest(child_of(run, i));
        if (!known)
            throw std::runtime_error("a child is missing");
        const auto since = in.sim->now();
        const auto end = co_await children.async_await_finished(known->id);
        if (in.process->alive())
            check_await_latency(in, run.foreign_id(), since, end.updated_at);
    }
    co_return pawl::to<parent::counting>;
}

pawl::step<> note_end(pawl::run<parent_data>& run, child_end end)
{
    run.object().ended.push_back(end.foreign_id);
    co_return pawl::repeat_after(0s);
}

pawl::step<parent::done> count_end(pawl::run<parent_data>& run, child_end end)
{
    run.object().ended.push_back(end.foreign_id);
    if (run.object().ended.size() >= static_cast<std::size_t>(run.object().children))
        co_return pawl::to<parent::done>;
    co_return pawl::repeat_after(0s);
}

pawl::step<parent::done> count_ends(pawl::run<parent_data>& run)
{
    if (run.object().ended.size() >= static_cast<std::size_t>(run.object().children))
        co_return pawl::to<parent::done>;
    co_return pawl::skip();
}

/// Sleeps, so that stops happen while it runs.
pawl::step<> greet(child_runs_context in, pawl::run<parent_data>& run, int number)
{
    co_await in.process->sleep(in.sim->random().between(0s, 3s));
    const auto guest = fmt::format("{}/g{}", run.foreign_id(), number);
    co_await run.start(child_workflow, guest, {static_cast<int>(guest.size()), 0});
    try {
        co_await run.send(child_workflow, guest, wave_callback, number);
    } catch (const pawl::system_error& e) {
        if (e.code() != errc::already_finished)
            throw;
    }
    ++run.object().greeted;
    co_return pawl::repeat_after(0s);
}

pawl::step<parent::waiting> close(pawl::run<parent_data>&)
{
    co_return pawl::to<parent::waiting>;
}

pawl::step<child::grown> grow(child_runs_context in, pawl::run<child_data>& run)
{
    co_await in.process->sleep(std::chrono::seconds{run.object().seconds});
    co_await in.process->sleep(in.sim->random().between(0s, 40s));
    co_return pawl::to<child::grown>;
}

pawl::step<> wave(pawl::run<child_data>& run, int)
{
    ++run.object().waved;
    co_return pawl::repeat_after(0s);
}

pawl::retry_policy patient()
{
    return {.initial = 500ms, .max_interval = 5s, .max_attempts = 0};
}

class child_runs_scene final : public scene {
public:
    explicit child_runs_scene(scene_setup setup)
        : setup_(std::move(setup)),
          parents_(setup_.sim.add<parent_data, parent>(
              [this](simulated_process& process) { return parents_in(process); }, setup_.where)),
          children_(setup_.sim.add<child_data, child>(
              [this](simulated_process& process) { return children_in(process); }, setup_.where))
    {
        const auto count = 2 + setup_.random.below(5);
        for (std::uint64_t i = 0; i < count; ++i)
            setup_.sim.spawn(fmt::format("family {}", i), live(this, i, setup_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        std::map<std::string, int> starts;
        std::vector<std::string> violations;
        for (const auto& run : runs_of(setup_.sim, "children")) {
            ++starts[run.foreign_id];
            if (!is_finished(run.state) ||
                (!run.parent->callback.empty() && !run.parent->is_notified))
                violations.push_back(
                    fmt::format("child run {} has not finished, or its parent does not know it",
                                run.foreign_id));
        }
        for (const auto& [name, count] : starts)
            if (count > 1)
                violations.push_back(
                    fmt::format("child run {} was started {} times; expected 1", name, count));
        for (const auto& run : runs_of(setup_.sim, "parents")) {
            const auto object = pawl::codec<parent_data>::decode(run.object);
            for (int i = 0; i < object.children && run.state == pawl::run_state::completed; ++i)
                if (!starts.contains(fmt::format("{}/{}", run.foreign_id, i)))
                    violations.push_back(
                        fmt::format("{}: child run {} was not started; expected {}", run.foreign_id,
                                    i, object.children));
            auto ended = object.ended;
            std::ranges::sort(ended);
            if (std::ranges::adjacent_find(ended) != ended.end())
                violations.push_back(fmt::format("{}: the end of a child arrived twice; expected 1",
                                                 run.foreign_id));
            if (run.state == pawl::run_state::completed &&
                std::cmp_not_equal(ended.size(), object.children))
                violations.push_back(fmt::format("{}: the ends of {} children arrived; expected {}",
                                                 run.foreign_id, ended.size(), object.children));
        }
        return violations;
    }

private:
    pawl::workflow<parent_data, parent> parents_in(simulated_process& process)
    {
        const child_runs_context in{&setup_.sim, &process, setup_.skew};
        pawl::builder<parent_data, parent> b{"parents"};
        b.uses(child_workflow);
        b.step<parent::begun>(
            [in](pawl::run<parent_data>& run) { return start_children(in, run); });
        b.callback<parent::open>("greet", [in](pawl::run<parent_data>& run, int number) {
            return greet(in, run, number);
        });
        b.callback<parent::open, parent::waiting>(child_ended, note_end);
        b.timeout<parent::open>(30s, close);
        b.step<parent::counting>(count_ends);
        b.callback<parent::counting>(child_ended, count_end);
        b.step<parent::waiting>(
            [in](pawl::run<parent_data>& run) { return await_children(in, run); });
        b.end<parent::done>();
        b.defaults({.retry = patient()});
        return std::move(b).build();
    }

    pawl::workflow<child_data, child> children_in(simulated_process& process)
    {
        const child_runs_context in{&setup_.sim, &process, setup_.skew};
        pawl::builder b{child_workflow};
        b.step<child::young>([in](pawl::run<child_data>& run) { return grow(in, run); });
        b.callback<child::young>(wave_callback, wave);
        b.end<child::grown>();
        b.defaults({.retry = patient()});
        return std::move(b).build();
    }

    static asio::awaitable<void> send_greeting(child_runs_scene* self, pawl::run_id run, int number,
                                               simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, 40s));
        const auto result = co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->parents_.async_call(run, "greet", number,
                                               {.idempotency_key = std::to_string(number)});
        });
        if (result && result != errc::already_finished && result != errc::callback_failed)
            sim.report_violation("callback \"greet\" failed: " + result.message());
        if (result == errc::callback_failed && has_feature("callbacks"))
            sim.report_violation("callback \"greet\" failed; expected it to be retried");
    }

    static asio::awaitable<void> cancel_parent(child_runs_scene* self, pawl::run_id run,
                                               simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, 60s));
        const auto result = co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->parents_.async_cancel(run, "moved out");
        });
        if (result && result != errc::already_finished)
            sim.report_violation("a cancel failed: " + result.message());
    }

    static asio::awaitable<void> live(child_runs_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->setup_.sim;
        const auto calm = random.below(3) == 0 ? recovery_time : pawl::duration::zero();
        co_await sim.sleep(
            random.between(0s, self->setup_.fault_duration) +
            (calm > pawl::duration::zero() ? self->setup_.fault_duration + calm : calm));
        const auto name = fmt::format("family-{}", number);
        const auto run = co_await start_run(
            &sim, self->parents_, name, parent_data{1 + static_cast<int>(random.below(3)), 0, {}});
        const int greetings = static_cast<int>(random.below(4));
        for (int i = 0; i < greetings; ++i)
            sim.spawn(fmt::format("greeting {}.{}", number, i),
                      send_greeting(self, run, i, random.fork()));
        if (random.below(4) == 0)
            sim.spawn(fmt::format("end {}", number), cancel_parent(self, run, random.fork()));
        co_await await_end(&sim, self->parents_, run);
    }

    scene_setup setup_;
    parent_runs parents_;
    child_runs children_;
};

} // namespace

std::unique_ptr<scene> make_child_runs_scene(scene_setup setup)
{
    return std::make_unique<child_runs_scene>(std::move(setup));
}

} // namespace simulation_test
