// From a run's last commit to the coroutine that awaits its end.
#include "host.hpp"
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/forwarding_store.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

namespace pawl_bench {

namespace asio = boost::asio;
using steady = std::chrono::steady_clock;

namespace {

/// Notes when the last commit came back from the store.
class noting_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        auto results = co_await inner().apply(batch);
        committed_at = steady::now();
        co_return results;
    }

    std::optional<pawl::apply_result> try_apply(const pawl::change& only) override
    {
        auto result = inner().try_apply(only);
        committed_at = steady::now();
        return result;
    }

    steady::time_point committed_at;
};

asio::awaitable<void> await_runs(parcels client, const noting_store& store, pawl::duration span,
                                 histogram& waited)
{
    const auto end = steady::now() + span;
    while (steady::now() < end) {
        const auto run = co_await client.async_trigger(next_foreign_id(), parcel{});
        co_await client.async_await_finished(run);
        waited.record(steady::now() - store.committed_at);
    }
}

asio::awaitable<void> post_to_itself(pawl::duration span, histogram& waited)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto end = steady::now() + span;
    while (steady::now() < end) {
        const auto posted = steady::now();
        co_await asio::post(executor, asio::use_awaitable);
        waited.record(steady::now() - posted);
    }
}

} // namespace

void wake_up(const options& given, report& out)
{
    for (const auto& kind : backends(given)) {
        figure p50{"wake-up", fmt::format("{}, p50", kind.name), "us"};
        figure p99{"wake-up", fmt::format("{}, p99", kind.name), "us"};
        p50.targets = {at_most(50)};
        p50.limit = p99.limit = "a bare post";
        for (int i = 0; i < given.repeats; ++i) {
            const scratch_folder folder{given};
            const noting_store* store = nullptr;
            rig engine{[&](const asio::any_io_executor& executor) {
                auto noting = std::make_shared<noting_store>(kind.open(folder, executor));
                store = noting.get();
                return noting;
            }};
            histogram waited;
            engine.run(await_runs(engine.client(), *store, given.warm_up, waited));
            waited = {};
            engine.run(await_runs(engine.client(), *store, given.duration / 2, waited));
            histogram limit;
            host bare{1};
            bare.run(post_to_itself(given.duration / 4, limit));
            p50.samples.push_back(microseconds(waited.percentile(50)));
            p99.samples.push_back(microseconds(waited.percentile(99)));
            p50.limit_samples.push_back(microseconds(limit.percentile(50)));
            p99.limit_samples.push_back(microseconds(limit.percentile(99)));
        }
        out.add(std::move(p50));
        out.add(std::move(p99));
    }
}

} // namespace pawl_bench
