#include "testing/simulation/process.hpp"

#include "pawl/error.hpp"
#include "testing/simulation/fault_injecting_store.hpp"
#include "testing/simulation/simulator.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <utility>

namespace pawl::testing::detail {

namespace asio = boost::asio;

namespace {

/// Percentage of processes whose store supports try_apply(), as the memory store does.
constexpr std::uint64_t in_place_percent = 30;

/// Percentage of calls that take time.
constexpr std::uint64_t delayed_percent = 50;

/// A process that has not stopped this long after its drain is killed, as a supervisor does.
constexpr duration longest_stop = std::chrono::seconds{90};

} // namespace

asio::awaitable<void> wait(clock& source, duration span)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto timer = source.make_timer(executor);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, pawl::timer* waiting, duration length) {
            asio::any_completion_handler<void()> erased{std::move(handler)};
            if (auto slot = erased.get_cancellation_slot(); slot.is_connected())
                slot.assign([waiting](asio::cancellation_type) { waiting->cancel(); });
            waiting->wait(length, std::move(erased));
        },
        asio::use_awaitable, timer.get(), span);
}

asio::awaitable<void> wait_uncancelled(clock& source, duration span)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto timer = source.make_timer(executor);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, pawl::timer* waiting, duration length) {
            waiting->wait(length, std::move(handler));
        },
        asio::use_awaitable, timer.get(), span);
}

process::process(simulator& owner, int engine, int life)
    : owner_(owner), engine_number_(engine), life_(life),
      name_(engine < 0 ? "nobody" : fmt::format("e{}.{}", engine + 1, life)), handle_(*this),
      random_(owner.fault_random.fork())
{
    if (engine < 0)
        alive_ = false;
}

process::~process() = default;

void process::start()
{
    auto options = owner_.options.engine;
    const bool in_place = random_.below(100) < in_place_percent;
    options.store = std::make_shared<fault_injecting_store>(owner_.store, *this, in_place);
    options.clock = owner_.clock_of(engine_number_);
    options.name = name_;
    options.seed = random_.next();
    options.log = [this](const log_entry& entry) {
        trace_log(entry);
    };
    engine_.emplace(owner_.io.get_executor(), std::move(options));
    for (const auto& added : owner_.workflows)
        if (!added.where || added.where(engine_number_, life_))
            apis_[added.flow->rules.name] = added.add(
                *engine_, handle_, [this](std::shared_ptr<const pawl::detail::workflow_impl> flow) {
                    owner_.checker.add_workflow(flow);
                    auto instrumented = instrument(std::move(flow));
                    flows_[instrumented->rules.name] = instrumented;
                    return instrumented;
                });
    engine_->async_start([this](error_code result) { start_completed(result); });
}

void process::trace_log(const log_entry& entry)
{
    if (!alive_ || entry.level < log_level::warn)
        return;
    owner_.trace(name_ + " log " + to_string(entry));
    if (entry.text.starts_with("internal error"))
        owner_.checker.report_violation(
            fmt::format("engine {} logged an internal error: {}", name_, to_string(entry)));
}

void process::start_completed(error_code result)
{
    if (!alive_)
        return;
    owner_.trace(fmt::format("{} started: {}", name_, result.message()));
    if (!result) {
        started_ = true;
        return;
    }
    // The program ends with the error, and is started again.
    stop(duration::zero());
}

void process::crash()
{
    if (!alive_)
        return;
    owner_.trace(name_ + " crashes");
    alive_ = false;
    for (const auto& pending : std::exchange(calls_, {}))
        if (const auto call = pending.lock())
            call->fail_not_running();
    owner_.process_ended(*this, true);
    // Posted, because the engine may be in the middle of a call.
    asio::post(owner_.io, [this] {
        engine_->async_stop(duration::zero(), [this](error_code) { gone_ = true; });
    });
}

void process::stop(duration drain)
{
    if (!alive_ || stopping_)
        return;
    owner_.trace(name_ + " stops");
    stopping_ = true;
    engine_->async_stop(drain, [this](error_code) { stop_completed(); });
    owner_.schedule(drain + longest_stop, [this] { crash(); });
}

void process::stop_completed()
{
    gone_ = true;
    if (!alive_)
        return;
    owner_.trace(name_ + " has stopped");
    alive_ = false;
    owner_.process_ended(*this, false);
}

void process::crash_later(std::uint64_t calls, bool after, bool commits_only)
{
    crash_at_commit_ = commits_only;
    crash_in_ = calls;
    crash_after_ = after;
}

std::shared_ptr<pawl::detail::engine_api> process::api(const std::string& workflow) const
{
    return workflow.empty() ? apis_.begin()->second : apis_.at(workflow);
}

std::shared_ptr<const pawl::detail::workflow_impl> process::flow(const std::string& workflow) const
{
    return flows_.at(workflow);
}

void process::add_pending_call(std::weak_ptr<pending_call> call)
{
    std::erase_if(calls_, [](const auto& pending) { return pending.expired(); });
    calls_.push_back(std::move(call));
}

process::side process::crash_side_of_next_call(std::string_view call)
{
    owner_.trace(fmt::format("{} {}", name_, call));
    if (const auto crash = owner_.next_call())
        return crash->after ? side::after : side::before;
    if (!crash_in_ || (crash_at_commit_ && call != "apply") || (*crash_in_)-- > 0)
        return side::none;
    crash_in_.reset();
    return crash_after_ ? side::after : side::before;
}

bool process::is_store_unreachable() const
{
    return owner_.store_down() || owner_.elapsed() < partitioned_until_;
}

void process::throw_unavailable(const char* call, const char* reason)
{
    owner_.trace(fmt::format("{} {} {}", name_, call, reason));
    throw error(errc::store_unavailable, std::string{call} + ": " + reason);
}

duration process::draw_latency(std::uint32_t slow_rate)
{
    if (random_.chance(slow_rate))
        return random_.between(duration::zero(), owner_.faults().latency_max);
    if (random_.below(100) >= delayed_percent)
        return duration::zero();
    return random_.between(duration::zero(), owner_.faults().latency_typical);
}

fate process::begin_store_call_now(const char* call, bool may_arrive_later)
{
    if (!alive_)
        throw error(errc::store_unavailable, "the process is gone");
    switch (crash_side_of_next_call(call)) {
    case side::before:
        crash();
        if (may_arrive_later)
            return fate::ghost;
        throw error(errc::store_unavailable, "the process is gone");
    case side::after:
        return fate::crash;
    case side::none:
        break;
    }
    if (is_store_unreachable() || random_.chance(owner_.faults().store_refused))
        throw_unavailable(call, "is refused");
    return random_.chance(owner_.faults().store_answer_lost) ? fate::answer_lost : fate::done;
}

void process::end_store_call_now(const char* call, fate drawn)
{
    if (drawn == fate::crash)
        crash();
    if (!alive_)
        throw error(errc::store_unavailable, "the process is gone");
    if (drawn == fate::answer_lost)
        throw_unavailable(call, "loses its answer");
}

asio::awaitable<fate> process::begin_store_call(const char* call, bool writes)
{
    auto drawn = begin_store_call_now(call, writes && random_.below(2) == 0);
    // A store that is not shared has completed the calls of a process before another opens it.
    const bool is_local = !owner_.store->shared();
    if (is_local && drawn == fate::ghost)
        co_return drawn;
    const auto latency = draw_latency(owner_.faults().store_slow);
    if (latency > duration::zero())
        co_await wait_uncancelled(*owner_.clock, latency);
    if (!alive_) {
        if (!writes || is_local || (drawn != fate::ghost && random_.below(2) == 0))
            throw error(errc::store_unavailable, "the process is gone");
        // The network may delay the call until another process has claimed the shard.
        co_await wait_uncancelled(*owner_.clock,
                                  random_.between(duration::zero(), owner_.faults().longest_late));
        owner_.trace(fmt::format("{} {} arrives after the crash", name_, call));
        co_return fate::ghost;
    }
    if (latency > duration::zero() && is_store_unreachable())
        throw_unavailable(call, "is refused");
    co_return drawn;
}

asio::awaitable<void> process::end_store_call(const char* call, fate drawn)
{
    end_store_call_now(call, drawn);
    const auto latency = draw_latency(0);
    if (latency > duration::zero())
        co_await wait_uncancelled(*owner_.clock, latency);
    if (!alive_)
        throw error(errc::store_unavailable, "the process is gone");
}

bool process::loses_notification()
{
    return !alive_ || is_store_unreachable() || random_.chance(owner_.faults().store_answer_lost);
}

asio::awaitable<fate> process::begin_call(std::string call)
{
    const auto gone = [&] {
        return simulated_call_error{call + ": the process is gone", true};
    };
    if (!alive_)
        throw gone();
    auto drawn = fate::done;
    switch (crash_side_of_next_call("calls " + call)) {
    case side::before:
        crash();
        throw gone();
    case side::after:
        drawn = fate::crash;
        break;
    case side::none:
        break;
    }
    const auto& faults = owner_.faults();
    const bool fails = random_.chance(faults.call_failed);
    const bool lost = random_.chance(faults.call_lost);
    if (drawn == fate::done && random_.chance(faults.answer_lost))
        drawn = fate::answer_lost;
    const auto latency = draw_latency(faults.call_slow);
    if (latency > duration::zero())
        co_await wait(*owner_.clock, latency);
    const auto state = co_await asio::this_coro::cancellation_state;
    const bool cancelled = state.cancelled() != asio::cancellation_type::none;
    if (!alive_ || cancelled) {
        // The request was sent, and may still arrive.
        if (lost || random_.below(2) == 0)
            throw gone();
        owner_.trace(fmt::format("{} {} arrives all the same", name_, call));
        co_return alive_ ? fate::abandoned : fate::ghost;
    }
    if (fails)
        throw simulated_call_error{call + ": the simulated service is out of order", false};
    if (lost)
        throw simulated_call_error{call + ": the simulated request was lost", true};
    co_return drawn;
}

asio::awaitable<void> process::end_call(std::string call, fate drawn)
{
    if (drawn == fate::crash)
        crash();
    if (!alive_)
        throw simulated_call_error{call + ": the process is gone", true};
    if (drawn != fate::done) {
        owner_.trace(fmt::format("{} {} loses its answer", name_, call));
        throw simulated_call_error{call + ": the simulated answer was lost", true};
    }
    const auto latency = draw_latency(0);
    if (latency > duration::zero())
        co_await wait(*owner_.clock, latency);
}

asio::awaitable<void> process::sleep(duration span)
{
    co_await wait(*owner_.clock, span);
}

} // namespace pawl::testing::detail
