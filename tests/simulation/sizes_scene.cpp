// Objects, effects and payloads that are too large: each fails its own run or call only.
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

struct container {
    std::size_t grows_to = 0;
    std::size_t effect = 0; ///< bytes of the effect's result
    std::string content;
};
BOOST_DESCRIBE_STRUCT(container, (), (grows_to, effect, content))

using containers = pawl::client<container, size>;

bool is_too_large(std::size_t bytes)
{
    return bytes > largest_object;
}

pawl::step<size::filling> grow(simulated_process* process, pawl::run<container>& run)
{
    co_await process->sleep(100ms);
    run.object().content.assign(run.object().grows_to, 'x');
    co_return pawl::to<size::filling>;
}

pawl::step<size::fits> fill(simulated_process* process, pawl::run<container>& run)
{
    const auto bytes = run.object().effect;
    const auto result = co_await run.once("fill", [bytes] { return std::string(bytes, 'y'); });
    co_await process->sleep(100ms);
    run.object().content = result.substr(0, 10);
    co_return pawl::to<size::fits>;
}

pawl::step<> append(pawl::run<container>& run, std::string payload)
{
    run.object().content += payload;
    co_return pawl::repeat_after(0s);
}

class sizes_scene final : public scene {
public:
    explicit sizes_scene(scene_setup setup)
        : setup_(std::move(setup)),
          containers_(setup_.sim.add<container, size>(
              [this](simulated_process& process) { return containers_in(process); }, setup_.where))
    {
        const auto count = 2 + setup_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            setup_.sim.spawn(fmt::format("container {}", i), live(this, i, setup_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        constexpr std::size_t rest = 100; // bytes of the object besides its content
        std::vector<std::string> violations;
        for (const auto& run : runs_of(setup_.sim, "containers")) {
            const auto started = starts_.at(run.foreign_id);
            const bool large =
                is_too_large(started.grows_to + rest) || is_too_large(started.effect + rest);
            const bool refused = run.status == static_cast<int>(size::refused);
            const bool surely_fits = !is_too_large(started.grows_to + 2 * rest) &&
                                     !is_too_large(started.effect + 2 * rest);
            if (large && !refused && !surely_fits)
                violations.push_back(
                    run.foreign_id +
                    ": an object or effect above the limit was stored; expected status refused");
            if (surely_fits && refused)
                violations.push_back(
                    run.foreign_id +
                    ": an object and effect below the limit were refused: " + run.last_error);
            if (is_too_large(run.object.size()))
                violations.push_back(run.foreign_id +
                                     fmt::format(": the object has {} bytes; expected at most {}",
                                                 run.object.size(), largest_object));
            for (const auto& effect : run.effects)
                if (is_too_large(effect.value.size()))
                    violations.push_back(
                        run.foreign_id +
                        fmt::format(": effect {} has {} bytes; expected at most {}", effect.name,
                                    effect.value.size(), largest_object));
        }
        return violations;
    }

private:
    pawl::workflow<container, size> containers_in(simulated_process& process)
    {
        pawl::builder<container, size> b{"containers"};
        const pawl::retry_policy twice{.initial = 1s, .max_attempts = 2};
        b.step<size::growing>([p = &process](pawl::run<container>& run) { return grow(p, run); })
            .retry(twice)
            .template on_exhausted<size::refused>();
        b.step<size::filling>([p = &process](pawl::run<container>& run) { return fill(p, run); })
            .retry(twice)
            .template on_exhausted<size::refused>();
        b.callback<size::growing, size::filling>("append", append);
        b.end<size::fits, size::refused>();
        return std::move(b).build();
    }

    static asio::awaitable<void> send_large_payload(sizes_scene* self, pawl::run_id run,
                                                    std::size_t bytes)
    {
        auto& sim = self->setup_.sim;
        const auto result = co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->containers_.async_send(run, "append", std::string(bytes, 'z'),
                                                  {.idempotency_key = "payload"});
        });
        if (result != errc::too_large)
            sim.report_violation("a payload above the limit ended with \"" + result.message() +
                                 "\"; expected errc::too_large");
    }

    static asio::awaitable<void> live(sizes_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, self->setup_.fault_duration + recovery_time));
        container object;
        object.grows_to = random.below(3) == 0 ? largest_object + random.below(5'000)
                                               : random.below(largest_object - 300);
        object.effect = random.below(4) == 0 ? largest_object + random.below(5'000) : 100;
        const auto foreign_id = fmt::format("container-{}", number);
        self->starts_[foreign_id] = object;
        const auto run = co_await start_run(&sim, self->containers_, foreign_id, object);
        if (random.below(2) == 0)
            co_await send_large_payload(self, run, largest_object + 100);
        co_await await_end(&sim, self->containers_, run);
    }

    scene_setup setup_;
    std::map<std::string, container> starts_; ///< by foreign id
    containers containers_;
};

} // namespace

std::unique_ptr<scene> make_sizes_scene(scene_setup setup)
{
    return std::make_unique<sizes_scene>(std::move(setup));
}

} // namespace simulation_test
