// Parents that start children in their handlers and wait for them, and callbacks that do the same.
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

enum class parent : int { begun = 1, open = 2, waiting = 3, done = 4 };
enum class child : int { young = 1, grown = 2 };

struct family {
    int children = 0;
    int greeted = 0;
};
BOOST_DESCRIBE_STRUCT(family, (), (children, greeted))

struct youth {
    int seconds = 0;
    int waved = 0;
};
BOOST_DESCRIBE_STRUCT(youth, (), (seconds, waved))

using parents = pawl::client<family, parent>;
using children = pawl::client<youth, child>;

/// What a process gives to its handlers.
struct household {
    simulation* sim;
    simulated_process* process;
    pawl::duration skew;

    children kids() const { return process->client_of<youth, child>("children"); }
};

std::string child_of(const pawl::run<family>& run, int number)
{
    return fmt::format("{}/{}", run.foreign_id(), number);
}

asio::awaitable<pawl::run_id> have_child(household in, std::string name)
{
    auto kids = in.kids();
    auto run = co_await kids.async_trigger(name, youth{static_cast<int>(name.size()), 0},
                                           {.idempotency_key = "birth"});
    co_return run;
}

pawl::step<parent::open> have_children(household in, pawl::run<family>& run)
{
    for (int i = 0; i < run.object().children; ++i)
        co_await have_child(in, child_of(run, i));
    co_return pawl::to<parent::open>;
}

/// Whoever waits is told of the end soon after it.
void check_told(const household& in, const std::string& who, pawl::time_point since,
                pawl::time_point ended)
{
    constexpr pawl::duration soon = 2min;
    if (in.sim->calm() < settled_after)
        return;
    const auto late = in.sim->now() - std::max(since, ended);
    if (late > soon + in.skew)
        in.sim->report_violation(
            fmt::format("{} was told of its child's end {} s late", who, late.count() / 1'000'000));
}

pawl::step<parent::done> await_children(household in, pawl::run<family>& run)
{
    auto kids = in.kids();
    for (int i = 0; i < run.object().children; ++i) {
        const auto id = co_await have_child(in, child_of(run, i));
        const auto since = in.sim->now();
        const auto end = co_await kids.async_await_finished(id);
        if (in.process->alive())
            check_told(in, run.foreign_id(), since, end.updated_at);
    }
    co_return pawl::to<parent::done>;
}

/// Takes its time, so that stops come in the middle of it.
pawl::step<> greet(household in, pawl::run<family>& run, int number)
{
    co_await in.process->sleep(in.sim->random().between(0s, 3s));
    auto kids = in.kids();
    const auto guest = co_await have_child(in, fmt::format("{}/g{}", run.foreign_id(), number));
    try {
        co_await kids.async_call(guest, "wave", number,
                                 {.idempotency_key = std::to_string(number)});
    } catch (const pawl::system_error& e) {
        if (e.code() != errc::already_finished)
            throw;
    }
    ++run.object().greeted;
    co_return pawl::repeat_after(0s);
}

pawl::step<parent::waiting> close(pawl::run<family>&)
{
    co_return pawl::to<parent::waiting>;
}

pawl::step<child::grown> grow(household in, pawl::run<youth>& run)
{
    co_await in.process->sleep(std::chrono::seconds{run.object().seconds});
    co_await in.process->sleep(in.sim->random().between(0s, 40s));
    co_return pawl::to<child::grown>;
}

pawl::step<> wave(pawl::run<youth>& run, int)
{
    ++run.object().waved;
    co_return pawl::repeat_after(0s);
}

pawl::retry_policy patient()
{
    return {.initial = 500ms, .max_interval = 5s, .max_attempts = 0};
}

class family_scene final : public scene {
public:
    explicit family_scene(stage on)
        : on_(std::move(on)),
          parents_(on_.sim.add<family, parent>(
              [this](simulated_process& of) { return parents_in(of); }, on_.where)),
          children_(on_.sim.add<youth, child>(
              [this](simulated_process& of) { return children_in(of); }, on_.where))
    {
        const auto count = 2 + on_.random.below(5);
        for (std::uint64_t i = 0; i < count; ++i)
            on_.sim.spawn(fmt::format("family {}", i), live(this, i, on_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        std::map<std::string, int> births;
        for (const auto& run : runs_of(on_.sim, "children"))
            ++births[run.foreign_id];
        std::vector<std::string> violations;
        for (const auto& [name, count] : births)
            if (count > 1)
                violations.push_back(fmt::format("the child {} was born {} times", name, count));
        for (const auto& run : runs_of(on_.sim, "parents")) {
            const auto object = pawl::codec<family>::decode(run.object);
            for (int i = 0; i < object.children; ++i)
                if (!births.contains(fmt::format("{}/{}", run.foreign_id, i)))
                    violations.push_back(run.foreign_id + " ended without one of its children");
        }
        return violations;
    }

private:
    pawl::workflow<family, parent> parents_in(simulated_process& of)
    {
        const household in{&on_.sim, &of, on_.skew};
        pawl::builder<family, parent> b{"parents"};
        b.step<parent::begun>([in](pawl::run<family>& run) { return have_children(in, run); });
        b.callback<parent::open>(
            "greet", [in](pawl::run<family>& run, int number) { return greet(in, run, number); });
        b.timeout<parent::open>(30s, close);
        b.step<parent::waiting>([in](pawl::run<family>& run) { return await_children(in, run); });
        b.end<parent::done>();
        b.defaults({.retry = patient()});
        return std::move(b).build();
    }

    pawl::workflow<youth, child> children_in(simulated_process& of)
    {
        const household in{&on_.sim, &of, on_.skew};
        pawl::builder<youth, child> b{"children"};
        b.step<child::young>([in](pawl::run<youth>& run) { return grow(in, run); });
        b.callback<child::young>("wave", wave);
        b.end<child::grown>();
        b.defaults({.retry = patient()});
        return std::move(b).build();
    }

    static asio::awaitable<void> send_greeting(family_scene* self, pawl::run_id to, int number,
                                               simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, 40s));
        const auto result = co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->parents_.async_call(to, "greet", number,
                                               {.idempotency_key = std::to_string(number)});
        });
        if (result && result != errc::already_finished && result != errc::callback_failed)
            sim.report_violation("a greeting was refused: " + result.message());
        if (result == errc::callback_failed && has_feature("callbacks"))
            sim.report_violation("a greeting failed for good");
    }

    static asio::awaitable<void> live(family_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->on_.sim;
        const auto calm = random.below(3) == 0 ? settled_after : pawl::duration::zero();
        co_await sim.sleep(random.between(0s, self->on_.fault_duration) +
                           (calm > pawl::duration::zero() ? self->on_.fault_duration + calm : calm));
        const auto name = fmt::format("family-{}", number);
        const auto run = co_await start_run(&sim, self->parents_, name,
                                            family{1 + static_cast<int>(random.below(3)), 0});
        const int greetings = static_cast<int>(random.below(4));
        for (int i = 0; i < greetings; ++i)
            sim.spawn(fmt::format("greeting {}.{}", number, i),
                      send_greeting(self, run, i, random.fork()));
        co_await see_end(&sim, self->parents_, run);
    }

    stage on_;
    parents parents_;
    children children_;
};

} // namespace

std::unique_ptr<scene> make_family_scene(stage on)
{
    return std::make_unique<family_scene>(std::move(on));
}

} // namespace simulation_test
