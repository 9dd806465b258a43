// Runs that wait: in line for a step's limit, and for a place in a full engine. Their deadlines and
// messages do not wait with them, and nobody is overtaken.
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

enum class turn : int { working = 1, aside = 2, over = 3, late = 4 };

struct turn_wanted {
    int seconds = 0; ///< that the work takes
    int limit = 0;   ///< until it is late, in seconds; 0: never
};
BOOST_DESCRIBE_STRUCT(turn_wanted, (), (seconds, limit))

using turns = pawl::client<turn_wanted, turn>;

/// Who waits for a first attempt, and since when.
class waiting_list {
public:
    explicit waiting_list(simulation& sim) : sim_(sim) {}

    void add(const std::string& who) { since_.emplace(who, wait{sim_.now(), true}); }
    void remove(const std::string& who) { since_.erase(who); }

    /// From now on, unless he has begun: before, there may have been no engine to ask.
    void accepted(const std::string& who)
    {
        if (const auto found = since_.find(who); found != since_.end())
            found->second = {sim_.now(), sim_.faults_active()};
    }

    /// He begins; nobody of the same engine has waited for much longer.
    void begins(const std::string& who, const simulated_process& with)
    {
        const auto found = since_.find(who);
        if (found == since_.end())
            return;
        const auto own = found->second;
        since_.erase(found);
        if (sim_.calm() < settled_after)
            return;
        for (const auto& [other, waits] : since_) {
            // The clock is stepped in the fault phase.
            const pawl::duration tolerance = own.in_storm || waits.in_storm ? 10min : 1min;
            if (waits.since + tolerance < own.since && with.owns("turns", other))
                sim_.report_violation(fmt::format("{} overtook {}, which had waited {} s longer", who, other,
                                        (own.since - waits.since).count() / 1'000'000));
        }
    }

private:
    struct wait {
        pawl::time_point since;
        bool in_storm;
    };

    simulation& sim_;
    std::map<std::string, wait> since_;
};

pawl::step<turn::over, turn::aside> work(simulated_process* of, waiting_list* all,
                                         pawl::run<turn_wanted>& run)
{
    if (of->alive() && of->owns(run.workflow(), run.foreign_id()))
        all->begins(run.foreign_id(), *of);
    co_await of->sleep(std::chrono::seconds{run.object().seconds});
    if (run.object().seconds % 7 == 3)
        co_return pawl::to<turn::aside>;
    co_return pawl::to<turn::over>;
}

pawl::step<turn::late> give_up(waiting_list* all, pawl::run<turn_wanted>& run)
{
    all->remove(run.foreign_id());
    co_return pawl::to<turn::late>;
}

pawl::step<turn::over> end_aside(pawl::run<turn_wanted>&)
{
    co_return pawl::to<turn::over>;
}

class line_scene final : public scene {
public:
    explicit line_scene(stage on)
        : on_(std::move(on)), waiting_(on_.sim),
          parallel_(has_feature("limits") ? on_.random.below(3) : 0),
          turns_(on_.sim.add<turn_wanted, turn>(
              [this](simulated_process& of) { return turns_in(of); }, on_.where))
    {
        const auto early = 2 + on_.random.below(4);
        for (std::uint64_t i = 0; i < early; ++i)
            on_.sim.spawn(fmt::format("early {}", i), live_in_storm(this, i, on_.random.fork()));
        const auto late = 4 + on_.random.below(8);
        const auto rounds = 1 + on_.random.below(5);
        for (std::uint64_t i = 0; i < late; ++i)
            on_.sim.spawn(fmt::format("late {}", i),
                          live_in_calm(this, i, rounds, on_.random.fork()));
    }

    std::vector<std::string> check() override { return {}; }

private:
    pawl::workflow<turn_wanted, turn> turns_in(simulated_process& of)
    {
        auto* const all = &waiting_;
        pawl::builder<turn_wanted, turn> b{"turns"};
        b.step<turn::working>([with = &of, all](pawl::run<turn_wanted>& run) {
             return work(with, all, run);
         }).max_concurrency(parallel_);
        b.timeout<turn::working>(
            [](const pawl::run<turn_wanted>& run) -> std::optional<pawl::time_point> {
                if (run.object().limit == 0)
                    return std::nullopt;
                return run.now() + std::chrono::seconds{run.object().limit};
            },
            [all](pawl::run<turn_wanted>& run) { return give_up(all, run); });
        b.callback<turn::aside>("early", end_aside);
        b.timeout<turn::aside>(1min, end_aside);
        b.end<turn::over, turn::late>();
        b.defaults({.retry = {.initial = 1s, .max_interval = 5s, .max_attempts = 0}});
        return std::move(b).build();
    }

    /// Work of some seconds, and now and then of many minutes, which nobody behind it has to bear.
    static turn_wanted draw_turn(simulated_random& random)
    {
        turn_wanted drawn;
        drawn.seconds = static_cast<int>(random.below(8) == 0 ? 1'200 : 1 + random.below(20));
        if (drawn.seconds > 100 || random.below(2) == 0)
            drawn.limit = static_cast<int>(60 + random.below(drawn.seconds > 100 ? 1'200 : 120));
        return drawn;
    }

    static asio::awaitable<void> send_early(line_scene* self, pawl::run_id to,
                                            simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, 20s));
        pawl::callback_options options;
        options.idempotency_key = "early";
        options.expires_after = random.between(20s, 5min);
        co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->turns_.async_call(to, "early", pawl::bytes{}, options);
        });
    }

    static asio::awaitable<void> command(line_scene* self, pawl::run_id to, std::string who,
                                         simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, 1min));
        self->waiting_.remove(who);
        if (random.below(3) == 0) {
            co_await persist(&sim, [&]() -> asio::awaitable<void> {
                co_await self->turns_.async_cancel(to, {"drawn"});
            });
            co_return;
        }
        co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->turns_.async_pause(to, {"drawn"});
        });
        co_await sim.sleep(random.between(0s, 1min));
        co_await persist(
            &sim, [&]() -> asio::awaitable<void> { co_await self->turns_.async_resume(to); });
    }

    static asio::awaitable<void> take_turn(line_scene* self, std::string who,
                                           simulated_random random)
    {
        auto& sim = self->on_.sim;
        self->waiting_.add(who);
        const auto run = co_await start_run(&sim, self->turns_, who, draw_turn(random));
        self->waiting_.accepted(who);
        if (random.below(4) == 0)
            sim.spawn("message to " + who, send_early(self, run, random.fork()));
        if (random.below(6) == 0)
            sim.spawn("command to " + who, command(self, run, who, random.fork()));
        co_await see_end(&sim, self->turns_, run);
        self->waiting_.remove(who);
    }

    static asio::awaitable<void> live_in_storm(line_scene* self, std::uint64_t number,
                                               simulated_random random)
    {
        co_await self->on_.sim.sleep(random.between(0s, self->on_.fault_duration));
        co_await take_turn(self, fmt::format("early-{}", number), random.fork());
    }

    /// One run after the other: fresh ones all the time.
    static asio::awaitable<void> live_in_calm(line_scene* self, std::uint64_t number,
                                              std::uint64_t rounds, simulated_random random)
    {
        co_await self->on_.sim.sleep(self->on_.fault_duration + settled_after + random.between(0s, 5s));
        for (std::uint64_t round = 0; round < rounds; ++round)
            co_await take_turn(self, fmt::format("late-{}.{}", number, round), random.fork());
    }

    stage on_;
    waiting_list waiting_;
    std::size_t parallel_;
    turns turns_;
};

} // namespace

std::unique_ptr<scene> make_line_scene(stage on)
{
    return std::make_unique<line_scene>(std::move(on));
}

} // namespace simulation_test
