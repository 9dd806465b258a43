// Effects beside each other in one handler: each is recorded once, and made again only when
// something went wrong.
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

enum class effort : int { first = 1, second = 2, over = 3 };

struct work {
    int branches = 0;
    std::vector<std::uint64_t> results; ///< of the effects of the run, as the first status saw them
};
BOOST_DESCRIBE_STRUCT(work, (), (branches, results))

using works = pawl::client<work, effort>;

/// What the world outside saw.
class effect_book {
public:
    explicit effect_book(simulation& sim) : sim_(sim), ledger_(sim) {}

    std::uint64_t make(const std::string& where, bool owned)
    {
        if (sim_.calm() > settled_after && !made_in_calm_.insert(where).second)
            sim_.report_violation("the effect " + where + " was made twice, though nothing went wrong");
        return ledger_.enter(where, where, owned);
    }

    void recorded(const std::string& where, std::uint64_t value) { ledger_.recorded(where, value); }

    /// A handler begins from its start.
    void begins(const std::string& where)
    {
        if (sim_.calm() > settled_after && !begun_in_calm_.insert(where).second)
            sim_.report_violation("the handler " + where + " ran twice, though nothing went wrong");
    }

private:
    simulation& sim_;
    effect_ledger ledger_;
    std::set<std::string> made_in_calm_;
    std::set<std::string> begun_in_calm_;
};

struct crew {
    simulation* sim;
    simulated_process* process;
    effect_book* book;
};

asio::awaitable<std::uint64_t> make_effect(crew in, std::string where, std::string foreign_id)
{
    auto made = co_await in.process->call("effect", [in, where, foreign_id] {
        return in.book->make(where, in.process->owns("works", foreign_id));
    });
    co_return made;
}

/// One of the things that a handler does beside each other.
asio::awaitable<void> branch(crew in, pawl::run<work>* run, int number, std::uint64_t* result)
{
    if (number % 2 == 1)
        co_await in.process->sleep(in.sim->random().between(0s, 100ms));
    const auto id = to_string(run->id());
    const auto foreign_id = run->foreign_id();
    if (number % 4 == 2) {
        const auto where = fmt::format("{}/run/{}", id, number);
        auto effect = [in, where, foreign_id] {
            return make_effect(in, where, foreign_id);
        };
        *result = co_await run->once_per_run(fmt::format("run-{}", number), effect);
        if (in.process->alive())
            in.book->recorded(where, *result);
    } else if (number % 4 == 3) {
        co_await run->checkpoint();
    } else {
        const auto where = fmt::format("{}/{}/{}", id, run->visit(), number);
        auto effect = [in, where, foreign_id] {
            return make_effect(in, where, foreign_id);
        };
        const auto value = co_await run->once(fmt::format("once-{}", number), effect);
        if (in.process->alive())
            in.book->recorded(where, value);
    }
}

asio::awaitable<void> branches(crew in, pawl::run<work>* run, int left,
                               std::map<int, std::uint64_t>* results)
{
    using namespace asio::experimental::awaitable_operators;
    auto* const result = &(*results)[left];
    if (left == 0)
        co_await branch(in, run, left, result);
    else
        co_await (branch(in, run, left, result) && branches(in, run, left - 1, results));
}

pawl::step<effort::second> do_first(crew in, pawl::run<work>& run)
{
    in.book->begins(fmt::format("{}/{}", to_string(run.id()), run.visit()));
    std::map<int, std::uint64_t> results;
    co_await branches(in, &run, run.object().branches, &results);
    for (const auto& [number, result] : results)
        run.object().results.push_back(result);
    co_return pawl::to<effort::second>;
}

pawl::step<effort::over> do_second(crew in, pawl::run<work>& run)
{
    in.book->begins(fmt::format("{}/{}", to_string(run.id()), run.visit()));
    std::map<int, std::uint64_t> results;
    co_await branches(in, &run, run.object().branches, &results);
    for (const auto& [number, result] : results)
        if (number % 4 == 2 && in.process->alive() &&
            run.object().results[static_cast<std::size_t>(number)] != result)
            in.sim->report_violation(run.foreign_id() + ": an effect of the run has two results");
    co_return pawl::to<effort::over>;
}

class effects_scene final : public scene {
public:
    explicit effects_scene(stage on)
        : on_(std::move(on)), book_(on_.sim),
          works_(on_.sim.add<work, effort>([this](simulated_process& of) { return works_in(of); },
                                           on_.where))
    {
        const auto count = 2 + on_.random.below(5);
        for (std::uint64_t i = 0; i < count; ++i)
            on_.sim.spawn(fmt::format("worker {}", i), live(this, i, on_.random.fork()));
    }

    std::vector<std::string> check() override { return {}; }

private:
    pawl::workflow<work, effort> works_in(simulated_process& of)
    {
        const crew in{&on_.sim, &of, &book_};
        pawl::builder<work, effort> b{"works"};
        b.step<effort::first>([in](pawl::run<work>& run) { return do_first(in, run); });
        b.step<effort::second>([in](pawl::run<work>& run) { return do_second(in, run); });
        b.end<effort::over>();
        b.defaults({.retry = {.initial = 200ms, .max_interval = 5s, .max_attempts = 0}});
        return std::move(b).build();
    }

    static asio::awaitable<void> live(effects_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->on_.sim;
        const bool calm = random.below(2) == 0;
        co_await sim.sleep(calm ? self->on_.fault_duration + settled_after + 10s
                                : random.between(0s, self->on_.fault_duration));
        work object;
        object.branches = 1 + static_cast<int>(random.below(4));
        const auto run =
            co_await start_run(&sim, self->works_, fmt::format("work-{}", number), object);
        co_await see_end(&sim, self->works_, run);
    }

    stage on_;
    effect_book book_;
    works works_;
};

} // namespace

std::unique_ptr<scene> make_effects_scene(stage on)
{
    return std::make_unique<effects_scene>(std::move(on));
}

} // namespace simulation_test
