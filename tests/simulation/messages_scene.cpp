// Callbacks that fail and are retried, streams of callbacks beside a deadline, keys that are used
// again after a lost answer, and expiries.
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

enum class basket_status : int { open = 1, closed = 2, sold = 3 };

struct basket {
    std::vector<std::string> items;
    std::vector<std::uint64_t> reservations; ///< of the items
};
BOOST_DESCRIBE_STRUCT(basket, (), (items, reservations))

using baskets = pawl::client<basket, basket_status>;

struct messages_context {
    simulation* sim;
    simulated_process* process;
    std::uint64_t* last_reservation;
};

asio::awaitable<std::uint64_t> reserve(messages_context in)
{
    auto number = co_await in.process->call("reserve", [in] { return ++*in.last_reservation; });
    co_return number;
}

/// An effect of a message: each item has its own reservation.
pawl::step<> add_item(messages_context in, pawl::run<basket>& run, std::string item)
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

pawl::step<basket_status::closed> close_shop(pawl::run<basket>&)
{
    co_return pawl::to<basket_status::closed>;
}

pawl::step<basket_status::sold> sell(pawl::run<basket>&)
{
    co_return pawl::to<basket_status::sold>;
}

class messages_scene final : public scene {
public:
    explicit messages_scene(scene_setup setup)
        : setup_(std::move(setup)),
          baskets_(setup_.sim.add<basket, basket_status>(
              [this](simulated_process& process) { return baskets_in(process); }, setup_.where))
    {
        const auto count = 1 + setup_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            setup_.sim.spawn(fmt::format("buyer {}", i), live(this, i, setup_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        std::vector<std::string> violations;
        for (const auto& run : runs_of(setup_.sim, "baskets")) {
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
                    violations.push_back(run.foreign_id + ": item " + item +
                                         " was reported as added, but the object lacks it");
        }
        return violations;
    }

private:
    pawl::workflow<basket, basket_status> baskets_in(simulated_process& process)
    {
        const messages_context in{&setup_.sim, &process, &last_reservation_};
        pawl::builder<basket, basket_status> b{"baskets"};
        b.callback<basket_status::open>("add", [in](pawl::run<basket>& run, std::string item) {
            return add_item(in, run, std::move(item));
        });
        b.timeout<basket_status::open>(2min, close_shop);
        b.callback<basket_status::closed>("sell", sell);
        b.timeout<basket_status::closed>(10min, sell);
        b.end<basket_status::sold>();
        b.defaults({.retry = {.initial = 100ms, .max_interval = 2s, .max_attempts = 0}});
        return std::move(b).build();
    }

    static asio::awaitable<void> add(messages_scene* self, pawl::run_id run, std::string foreign_id,
                                     std::string item, simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, 3min));
        const auto result = co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->baskets_.async_call(run, "add", item, {.idempotency_key = item});
        });
        if (!result)
            self->added_[foreign_id].insert(item);
        else if (result == errc::callback_failed && has_feature("callbacks"))
            sim.report_violation(foreign_id +
                                 ": callback \"add\" failed; expected it to be retried");
        else if (result != errc::callback_failed && result != errc::already_finished)
            sim.report_violation(foreign_id + ": callback \"add\" failed: " + result.message());
    }

    /// Sends more callbacks than can be handled before the deadline.
    static asio::awaitable<void> stream(messages_scene* self, pawl::run_id run,
                                        simulated_random random)
    {
        auto& sim = self->setup_.sim;
        const auto end = sim.now() + 3min;
        for (int number = 0; sim.now() < end && number < 150; ++number) {
            pawl::error_code result;
            try {
                co_await self->baskets_.async_send(run, "add", fmt::format("s{}", number),
                                                   {.idempotency_key = fmt::format("s{}", number)});
            } catch (const pawl::system_error& e) {
                result = e.code();
            }
            if (result == errc::already_finished)
                co_return;
            co_await sim.sleep(random.between(50ms, 800ms));
        }
    }

    /// A message that arrives too early must stay in the inbox until it expires.
    static asio::awaitable<void> send_early(messages_scene* self, pawl::run_id run,
                                            std::string foreign_id, simulated_random random)
    {
        auto& sim = self->setup_.sim;
        const auto limit = random.between(20s, 80s);
        const auto sent_at = sim.now();
        const bool is_calm = sim.calm() > recovery_time;
        const auto result = co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->baskets_.async_call(run, "sell", pawl::bytes{},
                                               {.expires_after = limit});
        });
        const auto waited = sim.now() - sent_at;
        if (is_calm && result == errc::expired && waited < limit)
            sim.report_violation(fmt::format("{}: a message expired after {} s; expected {} s",
                                             foreign_id, waited.count() / 1'000'000,
                                             limit.count() / 1'000'000));
    }

    static asio::awaitable<void> live(messages_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->setup_.sim;
        const bool calm = random.below(2) == 0;
        co_await sim.sleep(calm ? self->setup_.fault_duration + recovery_time +
                                      random.between(0s, 1min)
                                : random.between(0s, self->setup_.fault_duration));
        const auto foreign_id = fmt::format("basket-{}", number);
        const auto run = co_await start_run(&sim, self->baskets_, foreign_id, basket{});
        const auto items = random.below(8);
        for (std::uint64_t i = 0; i < items; ++i)
            sim.spawn(fmt::format("item {}.{}", number, i),
                      add(self, run, foreign_id, fmt::format("i{}", i), random.fork()));
        if (random.below(3) == 0)
            sim.spawn(fmt::format("stream {}", number), stream(self, run, random.fork()));
        if (random.below(2) == 0)
            sim.spawn(fmt::format("early caller {}", number),
                      send_early(self, run, foreign_id, random.fork()));
        co_await await_end(&sim, self->baskets_, run);
    }

    scene_setup setup_;
    std::uint64_t last_reservation_ = 0;
    std::map<std::string, std::set<std::string>> added_; ///< by foreign id
    baskets baskets_;
};

} // namespace

std::unique_ptr<scene> make_messages_scene(scene_setup setup)
{
    return std::make_unique<messages_scene>(std::move(setup));
}

} // namespace simulation_test
