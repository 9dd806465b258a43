// Callbacks that fail and are repeated, streams of them beside a deadline, keys that are used again
// after a lost answer, and time limits.
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

enum class shop : int { open = 1, closed = 2, sold = 3 };

struct basket {
    std::vector<std::string> items;
    std::vector<std::uint64_t> reservations; ///< of the items
};
BOOST_DESCRIBE_STRUCT(basket, (), (items, reservations))

using baskets = pawl::client<basket, shop>;

struct counter {
    simulation* sim;
    simulated_process* process;
    std::uint64_t* last_reservation;
};

asio::awaitable<std::uint64_t> reserve(counter in)
{
    auto number = co_await in.process->call("reserve", [in] { return ++*in.last_reservation; });
    co_return number;
}

/// An effect of a message: each item has a reservation of its own.
pawl::step<> add_item(counter in, pawl::run<basket>& run, std::string item)
{
    co_await in.process->sleep(in.sim->random().between(0s, 500ms));
    std::uint64_t number = 0;
    if (has_feature("message-effects")) {
        auto effect = [in] {
            return reserve(in);
        };
        number = co_await run.once("reserve", effect);
    } else {
        number = co_await reserve(in);
    }
    if (in.sim->faults_active() && in.sim->random().below(6) == 0)
        throw std::runtime_error("drawn");
    run.object().items.push_back(std::move(item));
    run.object().reservations.push_back(number);
    co_return pawl::repeat_after(0s);
}

pawl::step<shop::closed> close_shop(pawl::run<basket>&)
{
    co_return pawl::to<shop::closed>;
}

pawl::step<shop::sold> sell(pawl::run<basket>&)
{
    co_return pawl::to<shop::sold>;
}

class callbacks_scene final : public scene {
public:
    explicit callbacks_scene(stage on)
        : on_(std::move(on)),
          baskets_(on_.sim.add<basket, shop>(
              [this](simulated_process& of) { return baskets_in(of); }, on_.where))
    {
        const auto count = 1 + on_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            on_.sim.spawn(fmt::format("buyer {}", i), live(this, i, on_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        std::vector<std::string> violations;
        for (const auto& run : runs_of(on_.sim, "baskets")) {
            const auto object = pawl::codec<basket>::decode(run.object);
            const std::set<std::string> items{object.items.begin(), object.items.end()};
            const std::set<std::uint64_t> reservations{object.reservations.begin(),
                                                       object.reservations.end()};
            if (items.size() != object.items.size())
                violations.push_back(run.foreign_id + ": an item was added twice");
            if (reservations.size() != object.reservations.size())
                violations.push_back(run.foreign_id + ": two items have the same reservation");
            for (const auto& item : added_[run.foreign_id])
                if (!items.contains(item))
                    violations.push_back(run.foreign_id + ": the item " + item +
                                     " was reported as added, and is not there");
        }
        return violations;
    }

private:
    pawl::workflow<basket, shop> baskets_in(simulated_process& of)
    {
        const counter in{&on_.sim, &of, &last_reservation_};
        pawl::builder<basket, shop> b{"baskets"};
        b.callback<shop::open>("add", [in](pawl::run<basket>& run, std::string item) {
            return add_item(in, run, std::move(item));
        });
        b.timeout<shop::open>(2min, close_shop);
        b.callback<shop::closed>("sell", sell);
        b.timeout<shop::closed>(10min, sell);
        b.end<shop::sold>();
        b.defaults({.retry = {.initial = 100ms, .max_interval = 2s, .max_attempts = 0}});
        return std::move(b).build();
    }

    static asio::awaitable<void> add(callbacks_scene* self, pawl::run_id to, std::string who,
                                     std::string item, simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, 3min));
        const auto result = co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->baskets_.async_call(to, "add", item, {.idempotency_key = item});
        });
        if (!result)
            self->added_[who].insert(item);
        else if (result == errc::callback_failed && has_feature("callbacks"))
            sim.report_violation(who + ": a callback failed for good, though it may be repeated");
        else if (result != errc::callback_failed && result != errc::already_finished)
            sim.report_violation(who + ": a callback ended with: " + result.message());
    }

    /// More than can be handled while the deadline passes.
    static asio::awaitable<void> stream(callbacks_scene* self, pawl::run_id to,
                                        simulated_random random)
    {
        auto& sim = self->on_.sim;
        const auto end = sim.now() + 3min;
        for (int number = 0; sim.now() < end && number < 150; ++number) {
            pawl::error_code result;
            try {
                co_await self->baskets_.async_send(to, "add", fmt::format("s{}", number),
                                                   {.idempotency_key = fmt::format("s{}", number)});
            } catch (const pawl::system_error& e) {
                result = e.code();
            }
            if (result == errc::already_finished)
                co_return;
            co_await sim.sleep(random.between(50ms, 800ms));
        }
    }

    /// A message that comes too early waits as long as it may, by the time of the world.
    static asio::awaitable<void> wait_in_vain(callbacks_scene* self, pawl::run_id to,
                                              std::string who, simulated_random random)
    {
        auto& sim = self->on_.sim;
        const auto limit = random.between(20s, 80s);
        const auto begun = sim.now();
        const bool is_calm = sim.calm() > settled_after;
        const auto result = co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->baskets_.async_call(to, "sell", pawl::bytes{}, {.expires_after = limit});
        });
        const auto waited = sim.now() - begun;
        if (is_calm && result == errc::expired && waited < limit)
            sim.report_violation(fmt::format("{}: a message expired after {} s instead of {} s", who,
                                   waited.count() / 1'000'000, limit.count() / 1'000'000));
    }

    static asio::awaitable<void> live(callbacks_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->on_.sim;
        const bool calm = random.below(2) == 0;
        co_await sim.sleep(calm ? self->on_.fault_duration + settled_after + random.between(0s, 1min)
                                : random.between(0s, self->on_.fault_duration));
        const auto who = fmt::format("basket-{}", number);
        const auto run = co_await start_run(&sim, self->baskets_, who, basket{});
        const auto items = random.below(8);
        for (std::uint64_t i = 0; i < items; ++i)
            sim.spawn(fmt::format("item {}.{}", number, i),
                      add(self, run, who, fmt::format("i{}", i), random.fork()));
        if (random.below(3) == 0)
            sim.spawn(fmt::format("stream {}", number), stream(self, run, random.fork()));
        if (random.below(2) == 0)
            sim.spawn(fmt::format("vain {}", number), wait_in_vain(self, run, who, random.fork()));
        co_await see_end(&sim, self->baskets_, run);
    }

    stage on_;
    std::uint64_t last_reservation_ = 0;
    std::map<std::string, std::set<std::string>> added_; ///< by foreign id
    baskets baskets_;
};

} // namespace

std::unique_ptr<scene> make_callbacks_scene(stage on)
{
    return std::make_unique<callbacks_scene>(std::move(on));
}

} // namespace simulation_test
