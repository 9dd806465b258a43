// The shape of upstream's own benchmark: runs of N steps, one after the other.
#include "host.hpp"
#include "parcels.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/engine.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <utility>

namespace pawl_bench {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

/// A status is the number of the step that begins there.
enum class place {};

template <place To>
pawl::step<To> hop(pawl::run<parcel>& run)
{
    ++run.object().steps;
    co_return pawl::to<To>;
}

template <int Steps>
pawl::workflow<parcel, place> line()
{
    pawl::builder<parcel, place> b{"line"};
    [&]<int... I>(std::integer_sequence<int, I...>) {
        (b.template step<place{I}>(hop<place{I + 1}>), ...);
    }(std::make_integer_sequence<int, Steps>{});
    b.template end<place{Steps}>();
    return std::move(b).build();
}

using line_client = pawl::client<parcel, place>;

asio::awaitable<void> one_after_another(pawl::engine& engine, line_client client,
                                        pawl::duration span, double& per_run)
{
    co_await engine.async_start();
    const auto begin = steady::now();
    int runs = 0;
    for (; steady::now() - begin < span; ++runs) {
        const auto run = co_await client.async_trigger(next_foreign_id(), parcel{});
        co_await client.async_await_finished(run);
    }
    per_run = std::chrono::duration<double, std::micro>(steady::now() - begin).count() / runs;
    co_await engine.async_stop();
}

template <int Steps>
double microseconds_a_run(host& threads, std::shared_ptr<pawl::record_store> store,
                          pawl::duration span)
{
    pawl::engine engine{threads.executor(), {.store = std::move(store), .log = {}}};
    auto client = engine.add(line<Steps>());
    double per_run = 0;
    threads.run(one_after_another(engine, client, span, per_run));
    return per_run;
}

template <int Steps>
void measure(const options& given, const backend& store, report& out)
{
    figure each{"steps", fmt::format("{}, {} steps, one run", store.name, Steps), "us"};
    for (int i = 0; i < given.repeats; ++i) {
        const scratch_folder folder{given};
        host threads{1};
        each.samples.push_back(microseconds_a_run<Steps>(
            threads, store.open(folder, threads.executor()), given.duration / 2));
        threads.finish();
    }
    out.add(std::move(each));
}

} // namespace

void sequential_steps(const options& given, report& out)
{
    for (const auto& store : backends(given)) {
        measure<5>(given, store, out);
        measure<10>(given, store, out);
        measure<100>(given, store, out);
    }
}

} // namespace pawl_bench
