// A run that fails every time must not delay others.
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

namespace pawl_bench {

namespace asio = boost::asio;

namespace {

asio::awaitable<void> trigger_poison(parcels client)
{
    parcel failing;
    failing.steps = -1;
    co_await client.async_trigger("poison", failing);
}

asio::awaitable<void> cancel_poison(parcels client)
{
    co_await client.async_cancel("poison", "enough");
}

double p99_ms(const options& given, const backend& kind, bool poisoned)
{
    const scratch_folder folder{given};
    rig engine{kind.opener(folder)};
    if (poisoned)
        engine.run(trigger_poison(engine.client()));
    const auto result = drive(engine, {given.flying(1'000), given.warm_up, given.duration});
    if (poisoned)
        engine.run(cancel_poison(engine.client()));
    return std::chrono::duration<double, std::milli>(result.latency.percentile(99)).count();
}

} // namespace

void poison(const options& given, report& out)
{
    for (const auto& kind : backends(given)) {
        figure each{"poison", fmt::format("{}, p99 of the others", kind.name), "ms"};
        each.limit = "without it";
        each.targets = {ratio_at_most(1.1)};
        for (int i = 0; i < given.repeats; ++i) {
            each.limit_samples.push_back(p99_ms(given, kind, false));
            each.samples.push_back(p99_ms(given, kind, true));
        }
        out.add(std::move(each));
    }
}

} // namespace pawl_bench
