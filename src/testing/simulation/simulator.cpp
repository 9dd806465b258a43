#include "testing/simulation/simulator.hpp"

#include "pawl/error.hpp"
#include "pawl/memory.hpp"
#include "testing/simulation/client_proxy.hpp"

#include <boost/asio/co_spawn.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pawl::testing::detail {

namespace asio = boost::asio;

namespace {

/// Functions that may run at one instant; more, and time would never move on.
constexpr int max_at_one_instant = 1'000'000;

/// How long a run may be due, with nobody who takes it up, while everything works.
constexpr duration stuck_after = std::chrono::minutes{30};

/// How often a simulated operator looks, after the fault phase.
constexpr duration operator_pause = std::chrono::minutes{1};

/// A crash that was planned beside a call comes within so many of them.
constexpr std::uint64_t crash_within_calls = 60;
constexpr std::uint64_t crash_within_commits = 8;

std::uint64_t hashed(std::uint64_t hash, std::string_view line)
{
    // FNV-1a (Fowler, Noll, Vo).
    for (const char byte : line)
        hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ull;
    return (hash ^ '\n') * 1099511628211ull;
}

/// A wall clock that is ahead of another one.
class skewed_clock final : public pawl::clock {
public:
    skewed_clock(std::shared_ptr<manual_clock> of, duration ahead)
        : of_(std::move(of)), ahead_(ahead)
    {
    }

    time_point now() const override { return of_->now() + ahead_; }
    duration steady() const override { return of_->steady(); }
    std::unique_ptr<timer> make_timer(const asio::any_io_executor& executor) override
    {
        return of_->make_timer(executor);
    }

private:
    const std::shared_ptr<manual_clock> of_;
    const duration ahead_;
};

simulation_options checked(simulation_options options)
{
    if (options.engines < 1)
        throw definition_error("simulation_options::engines must be at least 1");
    return options;
}

} // namespace

simulator::simulator(simulation& of, simulation_options given)
    : face(of), options(checked(std::move(given))), clock(std::make_shared<manual_clock>()),
      truth(open_memory({.shards = options.shards, .shared = options.engines > 1, .clock = clock})),
      world(options.seed), chaos(simulated_random{options.seed ^ 0x5eed}.fork()),
      seen(options.shards), nobody(std::make_unique<process>(*this, -1, 0)),
      clients(make_client_door(*this)), faults_(options.faults)
{
    result_.trace_hash = 14695981039346656037ull;
    for (std::uint32_t shard = 0; shard < options.shards; ++shard)
        seen.claimed("", shard, 0);
    current_.resize(static_cast<std::size_t>(options.engines));
    lives_.resize(static_cast<std::size_t>(options.engines));
    skews_.resize(static_cast<std::size_t>(options.engines));
    if (options.clock_skew > duration::zero())
        for (auto& skew : skews_)
            skew = chaos.between(duration::zero(), options.clock_skew);
}

simulator::~simulator()
{
    // Never run, or ended by an exception: what waits goes with the context.
    io.stop();
}

void simulator::trace(std::string_view line)
{
    line_.clear();
    fmt::format_to(std::back_inserter(line_), "{:>12} {}", elapsed_.count(), line);
    result_.trace_hash = hashed(result_.trace_hash, line_);
    ++result_.trace_lines;
    if (options.trace)
        options.trace(line_);
}

std::optional<crash_point> simulator::next_call()
{
    ++result_.calls;
    if (options.crash && options.crash->call == result_.calls)
        return options.crash;
    return {};
}

void simulator::complete(asio::awaitable<void> call)
{
    std::exception_ptr thrown;
    asio::co_spawn(reads_, std::move(call),
                   [&thrown](const std::exception_ptr& escaped) { thrown = escaped; });
    reads_.restart();
    reads_.poll();
    if (thrown)
        std::rethrow_exception(thrown);
}

void simulator::spawn(std::string name, asio::awaitable<void> what)
{
    ++waiting_;
    names_of_waiting_.push_back(name);
    asio::co_spawn(io, std::move(what), [this, name](const std::exception_ptr& escaped) {
        --waiting_;
        names_of_waiting_.erase(std::ranges::find(names_of_waiting_, name));
        try {
            if (escaped)
                std::rethrow_exception(escaped);
        } catch (const simulation_over&) { // it was told to end
        } catch (const std::exception& e) {
            seen.report_violation(name + " ended with: " + e.what());
        }
    });
}

asio::awaitable<void> simulator::sleep(duration span)
{
    if (over_)
        throw simulation_over{};
    co_await wait_through(*clock, span);
    if (over_)
        throw simulation_over{};
}

void simulator::plan(duration after, std::function<void()> what)
{
    planned_.push_back({elapsed_ + after, std::move(what)});
}

void simulator::start_engine(int number)
{
    const auto index = static_cast<std::size_t>(number);
    processes_.push_back(std::make_unique<process>(*this, number, ++lives_[index]));
    current_[index] = processes_.back().get();
    trace(current_[index]->name() + " starts");
    current_[index]->start();
}

void simulator::went(process& ended, bool crashed)
{
    result_.crashes += crashed ? 1 : 0;
    const int number = ended.engine_number();
    current_[static_cast<std::size_t>(number)] = nullptr;
    // A store that is opened by one process ends the leases of the process before.
    if (!truth->shared()) {
        if (crashed)
            left = held_by(ended);
        lose_leases(ended);
    }
    if (over_)
        return;
    const auto down = faults_active_ ? chaos.between(duration::zero(), faults_.longest_downtime)
                                     : duration{std::chrono::seconds{1}};
    plan(down, [this, number] { start_engine(number); });
}

std::vector<lease> simulator::held_by(process& of)
{
    auto held = read(truth->leases());
    std::erase_if(held, [&](const lease& each) {
        return each.owner != of.name() && !each.owner.starts_with(of.name() + "-");
    });
    return held;
}

void simulator::lose_leases(process& of)
{
    auto held = held_by(of);
    if (!held.empty())
        complete(truth->release(std::move(held)));
}

std::shared_ptr<pawl::clock> simulator::clock_of(int engine)
{
    const auto skew = skews_[static_cast<std::size_t>(engine)];
    if (skew == duration::zero())
        return clock;
    return std::make_shared<skewed_clock>(clock, skew);
}

process* simulator::pick(const std::string& workflow)
{
    std::vector<process*> serving;
    for (auto* each : current_)
        if (each && each->serves() && (workflow.empty() || each->has(workflow)))
            serving.push_back(each);
    return serving.empty() ? nullptr : serving[world.below(serving.size())];
}

process* simulator::pick_alive()
{
    auto* const chosen = current_[chaos.below(current_.size())];
    return chosen && chosen->alive() ? chosen : nullptr;
}

void simulator::disturb()
{
    plan(chaos.between(duration::zero(), faults_.max_fault_interval), [this] {
        if (faults_active_)
            disturb();
    });
    const auto all = faults_.crash_weight + faults_.crash_call_weight + faults_.stop_weight +
                     faults_.outage_weight + faults_.partition_weight + faults_.clock_step_weight +
                     faults_.lost_lease_weight;
    if (all == 0)
        return;
    auto drawn = chaos.below(all);
    const auto is = [&drawn](std::uint32_t share) {
        if (drawn < share)
            return true;
        drawn -= share;
        return false;
    };
    auto* const chosen = pick_alive();
    if (is(faults_.crash_weight)) {
        if (chosen)
            chosen->crash();
    } else if (is(faults_.crash_call_weight)) {
        const bool at_commit = chaos.below(2) == 0;
        const auto calls = chaos.below(at_commit ? crash_within_commits : crash_within_calls);
        const bool after = chaos.below(3) == 0;
        if (chosen)
            chosen->crash_later(calls, after, at_commit);
    } else if (is(faults_.stop_weight)) {
        const auto drain = chaos.below(2) == 0
                               ? duration::zero()
                               : chaos.between(duration::zero(), faults_.longest_drain);
        if (chosen)
            chosen->stop(drain);
    } else if (is(faults_.outage_weight)) {
        outage_until_ = elapsed_ + chaos.between(duration::zero(), faults_.longest_outage);
        trace("the store is down");
    } else if (is(faults_.partition_weight)) {
        const auto until = elapsed_ + chaos.between(duration::zero(), faults_.longest_outage);
        if (chosen) {
            trace(chosen->name() + " does not reach the store");
            chosen->cut_off(until);
        }
    } else if (is(faults_.clock_step_weight)) {
        const auto by = chaos.between(-faults_.largest_clock_step, faults_.largest_clock_step);
        trace(fmt::format("the wall clock is stepped by {} us", by.count()));
        clock->step(by);
    } else if (chosen && truth->shared()) {
        trace(chosen->name() + " loses its shards");
        lose_leases(*chosen);
    }
}

/// One engine after the other, so that those that go on meet those that have changed.
void simulator::redeploy()
{
    constexpr duration apart = std::chrono::seconds{20};
    for (int engine = 0; engine < options.engines; ++engine)
        plan(engine * apart, [this, engine] {
            auto* const old = current_[static_cast<std::size_t>(engine)];
            if (old)
                old->stop(chaos.between(duration::zero(), faults_.longest_drain));
        });
}

void simulator::drain()
{
    io.restart();
    for (int count = 0; io.poll_one() > 0; ++count)
        if (count == max_at_one_instant) {
            seen.report_violation("something goes on for ever without time moving on");
            over_ = true;
            return;
        }
}

void simulator::run_planned()
{
    for (std::size_t i = 0; i < planned_.size();) {
        if (planned_[i].at > elapsed_) {
            ++i;
            continue;
        }
        auto what = std::move(planned_[i].what);
        planned_.erase(planned_.begin() + static_cast<std::ptrdiff_t>(i));
        what();
        i = 0;
    }
}

/// Moves time to the next thing that happens.
void simulator::go_on()
{
    duration span = operator_pause;
    if (const auto next = clock->next_wait())
        span = std::min(span, std::max(*next - clock->now(), duration::zero()));
    for (const auto& each : planned_)
        span = std::min(span, std::max(each.at - elapsed_, duration::zero()));
    clock->advance(span);
    elapsed_ += span;
    drain();
    run_planned();
    drain();
}

simulation_result simulator::run()
{
    seen.knows(workflows.front().flow);
    for (const auto& each : workflows)
        seen.knows(each.flow);
    for (int engine = 0; engine < options.engines; ++engine)
        start_engine(engine);
    if (faults_.max_fault_interval > duration::zero())
        plan(chaos.between(duration::zero(), faults_.max_fault_interval), [this] { disturb(); });
    drain();
    while (!over_ && seen.sentences().empty() && elapsed_ < options.fault_duration)
        go_on();
    end_storm();
    auto looked = elapsed_;
    while (!over_ && seen.sentences().empty() && !at_rest()) {
        if (elapsed_ - looked >= operator_pause) {
            looked = elapsed_;
            resume_paused();
            look_at_lag();
            if (!check_progress())
                break;
        }
        if (elapsed_ > options.fault_duration + options.settle_time) {
            seen.report_violation("the simulation did not come to rest in its time");
            break;
        }
        go_on();
    }
    shut_down();
    final_checks();
    for (const auto& each : checks)
        for (auto& sentence : each())
            seen.report_violation(std::move(sentence));
    result_.violations = seen.sentences();
    result_.took = elapsed_;
    result_.commits = seen.commits();
    result_.runs = seen.runs();
    return std::move(result_);
}

void simulator::end_storm()
{
    trace("the fault phase is over");
    faults_active_ = false;
    rested_ = storm_end_ = elapsed_;
    const auto usual = faults_.latency_typical;
    faults_ = simulated_faults::none();
    faults_.latency_typical = usual;
    outage_until_ = elapsed_;
    for (auto* each : current_)
        if (each)
            each->cut_off(elapsed_);
    if (options.redeploys)
        redeploy();
    if (options.punctuality > duration::zero())
        seen.expect_punctuality(clock, options.punctuality + options.clock_skew);
}

std::vector<record> simulator::all_runs()
{
    std::vector<record> all;
    record_query query;
    query.limit = 1000;
    do {
        auto page = read(truth->list(query));
        std::ranges::move(page.runs, std::back_inserter(all));
        query.after = page.next;
    } while (query.after);
    return all;
}

/// Nobody waits, and no run has anything to do by itself; for a while, so that hooks are done too.
bool simulator::at_rest()
{
    constexpr duration calm = std::chrono::minutes{2};
    const auto busy = [&] {
        if (waiting_ > 0 || std::ranges::find(current_, nullptr) != current_.end())
            return true;
        for (const auto* each : current_)
            if (!each->serves())
                return true;
        const auto counts = read(truth->count("", true));
        if (counts.empty())
            return false;
        return std::ranges::any_of(all_runs(), [](const record& run) {
            return !is_finished(run.state) && run.wake_at.has_value();
        });
    };
    if (waiting_ > 0 || busy()) {
        rested_ = elapsed_;
        return false;
    }
    return elapsed_ - rested_ >= calm;
}

void simulator::resume_paused()
{
    for (const auto& run : all_runs()) {
        if (run.state != run_state::paused || resumes_ >= options.max_resumes)
            continue;
        const auto known = std::ranges::find_if(workflows, [&](const added_workflow& each) {
            return each.flow->rules.name == run.workflow;
        });
        if (known == workflows.end())
            continue;
        ++resumes_;
        pawl::detail::send_call call;
        call.to = run.id;
        call.kind = message_kind::resume;
        call.wait_until_settled = false;
        clients->send(known->flow, std::move(call),
                      [](const pawl::detail::failure&, const settlement&) {});
    }
}

void simulator::look_at_lag()
{
    for (auto* each : current_)
        if (each && each->serves())
            each->engine().async_statistics([this](error_code result, engine_statistics now) {
                if (!result)
                    result_.longest_lag = std::max(result_.longest_lag, now.due_lag);
            });
}

/// False when a run is stuck.
bool simulator::check_progress()
{
    bool all = true;
    for (const auto& run : all_runs()) {
        if (is_finished(run.state) || !run.wake_at || *run.wake_at + stuck_after > clock->now())
            continue;
        if (elapsed_ < options.fault_duration + stuck_after)
            continue;
        seen.report_violation(fmt::format(
            "run {} ({} \"{}\") is stuck in status {}, {}: it has been due for "
            "{} s, at version {}",
            to_string(run.id), run.workflow, run.foreign_id, run.status, to_string(run.state),
            (clock->now() - *run.wake_at).count() / 1'000'000, run.version));
        all = false;
    }
    return all;
}

void simulator::shut_down()
{
    trace("the simulation ends");
    if (waiting_ > 0 && seen.sentences().empty())
        for (const auto& name : names_of_waiting_)
            seen.report_violation(name + " waits in vain");
    over_ = true;
    planned_.clear();
    for (auto* each : current_)
        if (each)
            each->stop(duration::zero());
    constexpr duration enough = std::chrono::hours{1};
    const auto end = elapsed_ + enough;
    const auto gone = [](const auto& each) {
        return each->gone();
    };
    drain();
    while ((waiting_ > 0 || !std::ranges::all_of(processes_, gone)) && elapsed_ < end)
        go_on();
    for (const auto& each : processes_)
        if (!each->gone())
            seen.report_violation(each->name() + " cannot be stopped");
}

void simulator::final_checks()
{
    constexpr std::size_t page = 1000;
    std::vector<std::vector<event>> log(read(truth->leases()).size()); // of all workflows
    for (std::uint32_t shard = 0; shard < log.size(); ++shard)
        for (;;) {
            auto& all = log[shard];
            auto events = read(truth->events(shard, all.empty() ? 0 : all.back().sequence, page));
            const bool last = events.size() < page;
            std::ranges::move(events, std::back_inserter(all));
            if (last)
                break;
        }
    seen.compare(log, all_runs());
    for (const auto& [run, sequence] : seen.deliveries())
        seen.message_ended(run, read(truth->outcome(run, sequence)), sequence);
}

} // namespace pawl::testing::detail
