// Objects, effects and payloads that are too large: each fails its own run or call, and is not
// stored.
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <fmt/format.h>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

enum class size : int { growing = 1, filling = 2, fits = 3, refused = 4 };

struct sack {
    std::size_t grows_to = 0;
    std::size_t effect = 0; ///< bytes of the effect's result
    std::string content;
};
BOOST_DESCRIBE_STRUCT(sack, (), (grows_to, effect, content))

using sacks = pawl::client<sack, size>;

bool is_too_large(std::size_t bytes)
{
    return bytes > largest_object;
}

pawl::step<size::filling> grow(simulated_process* of, pawl::run<sack>& run)
{
    co_await of->sleep(100ms);
    run.object().content.assign(run.object().grows_to, 'x');
    co_return pawl::to<size::filling>;
}

pawl::step<size::fits> fill(simulated_process* of, pawl::run<sack>& run)
{
    const auto bytes = run.object().effect;
    const auto made = co_await run.once("fill", [bytes] { return std::string(bytes, 'y'); });
    co_await of->sleep(100ms);
    run.object().content = made.substr(0, 10);
    co_return pawl::to<size::fits>;
}

pawl::step<> swallow(pawl::run<sack>& run, std::string payload)
{
    run.object().content += payload;
    co_return pawl::repeat_after(0s);
}

class sizes_scene final : public scene {
public:
    explicit sizes_scene(stage on)
        : on_(std::move(on)),
          sacks_(on_.sim.add<sack, size>([this](simulated_process& of) { return sacks_in(of); },
                                         on_.where))
    {
        const auto count = 2 + on_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            on_.sim.spawn(fmt::format("sack {}", i), live(this, i, on_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        constexpr std::size_t rest = 100; // of the object, besides its content
        std::vector<std::string> violations;
        for (const auto& run : runs_of(on_.sim, "sacks")) {
            const auto started = starts_.at(run.foreign_id);
            const bool large =
                is_too_large(started.grows_to + rest) || is_too_large(started.effect + rest);
            const bool refused = run.status == static_cast<int>(size::refused);
            const bool surely_fits = !is_too_large(started.grows_to + 2 * rest) &&
                                     !is_too_large(started.effect + 2 * rest);
            if (large && !refused && !surely_fits)
                violations.push_back(run.foreign_id + ": what is too large was stored");
            if (surely_fits && refused)
                violations.push_back(run.foreign_id + ": what fits was refused: " + run.last_error);
            if (is_too_large(run.object.size()))
                violations.push_back(run.foreign_id + ": its object is too large");
            for (const auto& effect : run.effects)
                if (is_too_large(effect.value.size()))
                    violations.push_back(run.foreign_id + ": its effect is too large");
        }
        return violations;
    }

private:
    pawl::workflow<sack, size> sacks_in(simulated_process& of)
    {
        pawl::builder<sack, size> b{"sacks"};
        const pawl::retry_policy twice{.initial = 1s, .max_attempts = 2};
        b.step<size::growing>([with = &of](pawl::run<sack>& run) { return grow(with, run); })
            .retry(twice)
            .template on_exhausted<size::refused>();
        b.step<size::filling>([with = &of](pawl::run<sack>& run) { return fill(with, run); })
            .retry(twice)
            .template on_exhausted<size::refused>();
        b.callback<size::growing, size::filling>("swallow", swallow);
        b.end<size::fits, size::refused>();
        return std::move(b).build();
    }

    static asio::awaitable<void> feed(sizes_scene* self, pawl::run_id to, std::size_t bytes)
    {
        auto& sim = self->on_.sim;
        const auto result = co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->sacks_.async_send(to, "swallow", std::string(bytes, 'z'),
                                             {.idempotency_key = "food"});
        });
        if (result != errc::too_large)
            sim.report_violation("a payload that is too large ended with: " + result.message());
    }

    static asio::awaitable<void> live(sizes_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, self->on_.fault_duration + settled_after));
        sack object;
        object.grows_to = random.below(3) == 0 ? largest_object + random.below(5'000)
                                               : random.below(largest_object - 300);
        object.effect = random.below(4) == 0 ? largest_object + random.below(5'000) : 100;
        const auto who = fmt::format("sack-{}", number);
        self->starts_[who] = object;
        const auto run = co_await start_run(&sim, self->sacks_, who, object);
        if (random.below(2) == 0)
            co_await feed(self, run, largest_object + 100);
        co_await see_end(&sim, self->sacks_, run);
    }

    stage on_;
    std::map<std::string, sack> starts_; ///< by foreign id
    sacks sacks_;
};

} // namespace

std::unique_ptr<scene> make_sizes_scene(stage on)
{
    return std::make_unique<sizes_scene>(std::move(on));
}

} // namespace simulation_test
