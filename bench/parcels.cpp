#include "parcels.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <chrono>
#include <stdexcept>

#include <unistd.h>

namespace pawl_bench {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr pawl::limit ample{"ample", {.rate = 1'000'000, .concurrency = 1'000'000}};

void take_step(pawl::run<parcel>& run, observer& watching)
{
    watching.transitions.fetch_add(1, std::memory_order_relaxed);
    if (run.object().steps < 0)
        throw std::runtime_error("poison");
    ++run.object().steps;
}

pawl::step<stage::two> begin(pawl::run<parcel>& run, observer& watching)
{
    watching.first_steps.fetch_add(1, std::memory_order_relaxed);
    if (watching.hold) {
        asio::steady_timer never{co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max()};
        co_await never.async_wait(asio::use_awaitable);
    }
    take_step(run, watching);
    co_return pawl::to<stage::two>;
}

template <stage To>
pawl::step<To> pass(pawl::run<parcel>& run, observer& watching)
{
    take_step(run, watching);
    co_return pawl::to<To>;
}

template <stage To>
auto passing(observer& watching)
{
    return [&watching](pawl::run<parcel>& run) {
        return pass<To>(run, watching);
    };
}

std::optional<pawl::time_point> deadline_of(const pawl::run<parcel>& run)
{
    return run.object().due ? *run.object().due : run.now() + 24h;
}

pawl::step<stage::done> deadline_passed(pawl::run<parcel>& run, observer& watching)
{
    if (watching.late && run.object().due)
        watching.late(run.now() - *run.object().due);
    co_return pawl::to<stage::done>;
}

} // namespace

pawl::workflow<parcel, stage>
five_steps(observer& watching, std::optional<pawl::retention_options> retention, bool limited)
{
    pawl::builder<parcel, stage> b{"parcels"};
    auto first =
        b.step<stage::one>([&watching](pawl::run<parcel>& run) { return begin(run, watching); });
    auto second = b.step<stage::two>(passing<stage::three>(watching));
    auto third = b.step<stage::three>(passing<stage::four>(watching));
    auto fourth = b.step<stage::four>(passing<stage::five>(watching));
    auto fifth = b.step<stage::five>(passing<stage::done>(watching));
    if (limited)
        for (auto* step : {&first, &second, &third, &fourth, &fifth})
            step->within(ample);
    b.timeout<stage::waiting>(deadline_of, [&watching](pawl::run<parcel>& run) {
        return deadline_passed(run, watching);
    });
    b.defaults({.retry = pawl::retry_policy{.initial = 1ms, .multiplier = 1, .max_attempts = 0}});
    if (retention)
        b.retention(std::move(*retention));
    b.start<stage::one, stage::waiting>();
    b.end<stage::done>();
    return std::move(b).build();
}

std::string next_foreign_id()
{
    static std::atomic<std::uint64_t> last{0};
    static const auto process = ::getpid();
    return fmt::format("order-{}-{}", process, last.fetch_add(1, std::memory_order_relaxed));
}

} // namespace pawl_bench
