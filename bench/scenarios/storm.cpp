// Many triggers at once on one foreign id: one run begins, and everybody is answered.
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace pawl_bench {

namespace asio = boost::asio;
using steady = std::chrono::steady_clock;

namespace {

struct answers {
    std::size_t accepted = 0;
    std::size_t already_running = 0;
    std::size_t others = 0;

    std::size_t all() const { return accepted + already_running + others; }
};

asio::awaitable<void> storm(parcels client, std::size_t triggers, bool one_key,
                            double& milliseconds)
{
    answers got;
    asio::steady_timer answered{co_await asio::this_coro::executor,
                                asio::steady_timer::time_point::max()};
    const auto key = next_foreign_id();
    const auto begin = steady::now();
    for (std::size_t i = 0; i < triggers; ++i)
        client.async_trigger(one_key ? key : next_foreign_id(), parcel{}, {.start = stage::waiting},
                             [&](pawl::error_code result, pawl::run_id) {
                                 ++(!result                                 ? got.accepted
                                    : result == pawl::errc::already_running ? got.already_running
                                                                            : got.others);
                                 if (got.all() == triggers)
                                     answered.cancel();
                             });
    boost::system::error_code cancelled;
    co_await answered.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    milliseconds = std::chrono::duration<double, std::milli>(steady::now() - begin).count();
    if (got.accepted != (one_key ? 1 : triggers) || got.others > 0)
        throw std::runtime_error(fmt::format("of {} triggers, {} were accepted and {} failed",
                                             triggers, got.accepted, got.others));
}

double storm_ms(const options& given, const backend& kind, bool one_key)
{
    const scratch_folder folder{given};
    rig engine{kind.opener(folder)};
    const auto triggers = given.sized(10'000, 10'000, 100);
    double milliseconds = 0;
    engine.run(storm(engine.client(), triggers, !one_key, milliseconds)); // warms up
    engine.run(storm(engine.client(), triggers, one_key, milliseconds));
    return milliseconds;
}

} // namespace

void trigger_storm(const options& given, report& out)
{
    for (const auto& kind : backends(given)) {
        figure each{"storm", fmt::format("{}, until all are answered", kind.name), "ms"};
        each.limit = "on distinct keys";
        each.targets = {ratio_at_most(1)};
        for (int i = 0; i < given.repeats; ++i) {
            each.limit_samples.push_back(storm_ms(given, kind, false));
            each.samples.push_back(storm_ms(given, kind, true));
        }
        out.add(std::move(each));
    }
}

} // namespace pawl_bench
