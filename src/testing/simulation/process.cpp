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

/// Of a hundred lives, those whose store applies in place, as one in memory does.
constexpr std::uint64_t in_place_percent = 30;

/// Of a hundred calls, those that take time at all.
constexpr std::uint64_t slow_percent = 50;

/// Beyond its drain: then whoever supervises the process kills it.
constexpr duration longest_stop = std::chrono::seconds{90};

} // namespace

asio::awaitable<void> wait(clock& on, duration span)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto timer = on.make_timer(executor);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, pawl::timer* waiting, duration length) {
            asio::any_completion_handler<void()> erased{std::move(handler)};
            if (auto slot = erased.get_cancellation_slot(); slot.is_connected())
                slot.assign([waiting](asio::cancellation_type) { waiting->cancel(); });
            waiting->wait(length, std::move(erased));
        },
        asio::use_awaitable, timer.get(), span);
}

asio::awaitable<void> wait_through(clock& on, duration span)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto timer = on.make_timer(executor);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, pawl::timer* waiting, duration length) {
            waiting->wait(length, std::move(handler));
        },
        asio::use_awaitable, timer.get(), span);
}

process::process(simulator& owner, int engine, int life)
    : owner_(owner), engine_number_(engine), life_(life),
      name_(engine < 0 ? "nobody" : fmt::format("e{}.{}", engine + 1, life)), handle_(*this),
      random_(owner.chaos.fork())
{
    if (engine < 0)
        alive_ = false;
}

process::~process() = default;

void process::start()
{
    auto options = owner_.options.engine;
    const bool in_place = random_.below(100) < in_place_percent;
    options.store = std::make_shared<fault_injecting_store>(owner_.truth, *this, in_place);
    options.clock = owner_.clock_of(engine_number_);
    options.name = name_;
    options.seed = random_.next();
    options.log = [this](const log_entry& entry) {
        note(entry);
    };
    engine_.emplace(owner_.io.get_executor(), std::move(options));
    for (const auto& each : owner_.workflows)
        if (!each.where || each.where(engine_number_, life_))
            apis_[each.flow->rules.name] = each.add(
                *engine_, handle_, [this](std::shared_ptr<const pawl::detail::workflow_impl> flow) {
                    owner_.seen.knows(flow);
                    auto own = watched(std::move(flow));
                    flows_[own->rules.name] = own;
                    return own;
                });
    engine_->async_start([this](error_code result) { start_ended(result); });
}

void process::note(const log_entry& entry)
{
    if (!alive_ || entry.level < log_level::warn)
        return;
    owner_.trace(name_ + " log " + to_string(entry));
    if (entry.text.starts_with("internal error"))
        owner_.seen.report_violation(name_ + " logged: " + to_string(entry));
}

void process::start_ended(error_code result)
{
    if (!alive_)
        return;
    owner_.trace(fmt::format("{} started: {}", name_, result.message()));
    if (!result) {
        started_ = true;
        return;
    }
    // Its program ends with the error, and is started again.
    stop(duration::zero());
}

void process::crash()
{
    if (!alive_)
        return;
    owner_.trace(name_ + " crashes");
    alive_ = false;
    for (const auto& each : std::exchange(calls_, {}))
        if (const auto call = each.lock())
            call->lose();
    owner_.went(*this, true);
    // What is left of it in this program is ended; it may be in the midst of a call now.
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
    engine_->async_stop(drain, [this](error_code) { leave(); });
    owner_.plan(drain + longest_stop, [this] { crash(); });
}

void process::leave()
{
    gone_ = true;
    if (!alive_)
        return;
    owner_.trace(name_ + " has stopped");
    alive_ = false;
    owner_.went(*this, false);
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

void process::expect(std::weak_ptr<pending_call> call)
{
    std::erase_if(calls_, [](const auto& each) { return each.expired(); });
    calls_.push_back(std::move(call));
}

process::side process::count_call(std::string_view what)
{
    owner_.trace(fmt::format("{} {}", name_, what));
    if (const auto crash = owner_.next_call())
        return crash->after ? side::after : side::before;
    if (!crash_in_ || (crash_at_commit_ && what != "apply") || (*crash_in_)-- > 0)
        return side::none;
    crash_in_.reset();
    return crash_after_ ? side::after : side::before;
}

bool process::refuses() const
{
    return owner_.store_down() || owner_.elapsed() < cut_off_until_;
}

void process::refuse(const char* what, const char* why)
{
    owner_.trace(fmt::format("{} {} {}", name_, what, why));
    throw error(errc::store_unavailable, std::string{what} + ": " + why);
}

duration process::travel(std::uint32_t slow)
{
    if (random_.chance(slow))
        return random_.between(duration::zero(), owner_.faults().latency_max);
    if (random_.below(100) >= slow_percent)
        return duration::zero();
    return random_.between(duration::zero(), owner_.faults().latency_typical);
}

fate process::begin_store_call_now(const char* what, bool may_be_under_way)
{
    if (!alive_)
        throw error(errc::store_unavailable, "the process is gone");
    switch (count_call(what)) {
    case side::before:
        crash();
        if (may_be_under_way)
            return fate::ghost;
        throw error(errc::store_unavailable, "the process is gone");
    case side::after:
        return fate::crash;
    case side::none:
        break;
    }
    if (refuses() || random_.chance(owner_.faults().store_refused))
        refuse(what, "is refused");
    return random_.chance(owner_.faults().store_answer_lost) ? fate::answer_lost : fate::done;
}

void process::end_store_call_now(const char* what, fate how)
{
    if (how == fate::crash)
        crash();
    if (!alive_)
        throw error(errc::store_unavailable, "the process is gone");
    if (how == fate::answer_lost)
        refuse(what, "loses its answer");
}

asio::awaitable<fate> process::begin_store_call(const char* what, bool writes)
{
    auto how = begin_store_call_now(what, writes && random_.below(2) == 0);
    // What a process does to a store of its own has been done before the next one opens that.
    const bool is_local = !owner_.truth->shared();
    if (is_local && how == fate::ghost)
        co_return how;
    const auto way = travel(owner_.faults().store_slow);
    if (way > duration::zero())
        co_await wait_through(*owner_.clock, way);
    if (!alive_) {
        if (!writes || is_local || (how != fate::ghost && random_.below(2) == 0))
            throw error(errc::store_unavailable, "the process is gone");
        // The network may keep it until another process has taken over.
        co_await wait_through(*owner_.clock,
                              random_.between(duration::zero(), owner_.faults().longest_late));
        owner_.trace(fmt::format("{} {} arrives after the crash", name_, what));
        co_return fate::ghost;
    }
    if (way > duration::zero() && refuses())
        refuse(what, "is refused");
    co_return how;
}

asio::awaitable<void> process::end_store_call(const char* what, fate how)
{
    end_store_call_now(what, how);
    const auto way = travel(0);
    if (way > duration::zero())
        co_await wait_through(*owner_.clock, way);
    if (!alive_)
        throw error(errc::store_unavailable, "the process is gone");
}

bool process::loses_news()
{
    return !alive_ || refuses() || random_.chance(owner_.faults().store_answer_lost);
}

asio::awaitable<fate> process::begin_call(std::string what)
{
    const auto gone = [&] {
        return simulated_call_error{what + ": the process is gone", true};
    };
    if (!alive_)
        throw gone();
    auto how = fate::done;
    switch (count_call("calls " + what)) {
    case side::before:
        crash();
        throw gone();
    case side::after:
        how = fate::crash;
        break;
    case side::none:
        break;
    }
    const auto& faults = owner_.faults();
    const bool fails = random_.chance(faults.call_failed);
    const bool lost = random_.chance(faults.call_lost);
    if (how == fate::done && random_.chance(faults.answer_lost))
        how = fate::answer_lost;
    const auto way = travel(faults.call_slow);
    if (way > duration::zero())
        co_await wait(*owner_.clock, way);
    const auto state = co_await asio::this_coro::cancellation_state;
    const bool cancelled = state.cancelled() != asio::cancellation_type::none;
    if (!alive_ || cancelled) {
        // It is on its way, and may arrive all the same.
        if (lost || random_.below(2) == 0)
            throw gone();
        owner_.trace(fmt::format("{} {} arrives all the same", name_, what));
        co_return alive_ ? fate::abandoned : fate::ghost;
    }
    if (fails)
        throw simulated_call_error{what + ": the simulated service is out of order", false};
    if (lost)
        throw simulated_call_error{what + ": the simulated request was lost", true};
    co_return how;
}

asio::awaitable<void> process::end_call(std::string what, fate how)
{
    if (how == fate::crash)
        crash();
    if (!alive_)
        throw simulated_call_error{what + ": the process is gone", true};
    if (how != fate::done) {
        owner_.trace(fmt::format("{} {} loses its answer", name_, what));
        throw simulated_call_error{what + ": the simulated answer was lost", true};
    }
    const auto way = travel(0);
    if (way > duration::zero())
        co_await wait(*owner_.clock, way);
}

asio::awaitable<void> process::sleep(duration span)
{
    co_await wait(*owner_.clock, span);
}

} // namespace pawl::testing::detail
