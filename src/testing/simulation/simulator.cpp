#include "testing/simulation/simulator.hpp"

#include "core/message_acceptance.hpp"
#include "core/option_check.hpp"
#include "pawl/detail/exception_text.hpp"
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

/// Handlers that may run at one instant of simulated time. A loop that never waits runs more.
constexpr int max_handlers_at_once = 1'000'000;

/// After the fault phase, a run that has been due for longer is stuck.
constexpr duration stuck_after = std::chrono::minutes{30};

/// After the fault phase, interval between two checks for paused and stuck runs.
constexpr duration operator_interval = std::chrono::minutes{1};

/// A scheduled crash happens at one of this many next calls, or next commits.
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
    skewed_clock(std::shared_ptr<manual_clock> reference, duration ahead)
        : reference_(std::move(reference)), ahead_(ahead)
    {
    }

    time_point now() const override { return reference_->now() + ahead_; }
    duration steady() const override { return reference_->steady(); }
    std::unique_ptr<timer> make_timer(const asio::any_io_executor& executor) override
    {
        return reference_->make_timer(executor);
    }

private:
    const std::shared_ptr<manual_clock> reference_;
    const duration ahead_;
};

bool has_wake_up(const record& run)
{
    const bool is_over =
        is_finished(run.state) && !core::has_unreported_end(run) && !run.cancels_children;
    return !is_over && run.wake_at.has_value();
}

struct named_chance {
    const char* name;
    std::uint32_t value;
};

struct named_duration {
    const char* name;
    duration value;
};

void check_faults(const simulated_faults& faults)
{
    constexpr std::uint32_t always = 1'000'000;
    const core::option_check check{"simulated_faults::"};
    for (const auto& [name, value] : {named_chance{"store_refused", faults.store_refused},
                                      {"store_answer_lost", faults.store_answer_lost},
                                      {"store_slow", faults.store_slow},
                                      {"call_lost", faults.call_lost},
                                      {"call_failed", faults.call_failed},
                                      {"answer_lost", faults.answer_lost},
                                      {"call_slow", faults.call_slow}})
        check.within(name, value, 0, always);
    for (const auto& [name, value] : {named_duration{"latency_typical", faults.latency_typical},
                                      {"latency_max", faults.latency_max},
                                      {"max_fault_interval", faults.max_fault_interval},
                                      {"longest_outage", faults.longest_outage},
                                      {"longest_drain", faults.longest_drain},
                                      {"longest_downtime", faults.longest_downtime},
                                      {"longest_late", faults.longest_late},
                                      {"largest_clock_step", faults.largest_clock_step}})
        check.at_least(name, value, duration::zero());
}

simulation_options checked(simulation_options options)
{
    const core::option_check check{"simulation_options::"};
    check.at_least("engines", options.engines, 1);
    check.at_least("max_resumes", options.max_resumes, 0);
    for (const auto& [name, value] : {named_duration{"fault_duration", options.fault_duration},
                                      {"settle_time", options.settle_time},
                                      {"clock_skew", options.clock_skew},
                                      {"punctuality", options.punctuality}})
        check.at_least(name, value, duration::zero());
    check_faults(options.faults);
    return options;
}

} // namespace

simulator::simulator(simulation& owner, simulation_options given)
    : handle(owner), options(checked(std::move(given))), clock(std::make_shared<manual_clock>()),
      store(open_memory({.shards = options.shards, .shared = options.engines > 1, .clock = clock})),
      user_random(options.seed), fault_random(simulated_random{options.seed ^ 0x5eed}.fork()),
      checker(options.shards), no_process(std::make_unique<process>(*this, -1, 0)),
      clients(make_client_proxy(*this)), faults_(options.faults)
{
    result_.trace_hash = 14695981039346656037ull;
    for (std::uint32_t shard = 0; shard < options.shards; ++shard)
        checker.shard_claimed("", shard, 0);
    current_.resize(static_cast<std::size_t>(options.engines));
    lives_.resize(static_cast<std::size_t>(options.engines));
    skews_.resize(static_cast<std::size_t>(options.engines));
    if (options.clock_skew > duration::zero())
        for (auto& skew : skews_)
            skew = fault_random.between(duration::zero(), options.clock_skew);
}

simulator::~simulator()
{
    // If run() was not called or threw, the context destroys the coroutines that still wait.
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

void simulator::spawn(std::string name, asio::awaitable<void> coroutine)
{
    running_coroutines_.push_back(name);
    asio::co_spawn(io, std::move(coroutine), [this, name](const std::exception_ptr& escaped) {
        running_coroutines_.erase(std::ranges::find(running_coroutines_, name));
        try {
            if (escaped)
                std::rethrow_exception(escaped);
        } catch (const simulation_over&) { // sleep() ended the coroutine
        } catch (...) {
            checker.report_violation(fmt::format("the coroutine \"{}\" ended with an exception: {}",
                                                 name, pawl::detail::exception_text(escaped)));
        }
    });
}

asio::awaitable<void> simulator::sleep(duration span)
{
    if (over_)
        throw simulation_over{};
    co_await wait_uncancelled(*clock, span);
    if (over_)
        throw simulation_over{};
}

void simulator::schedule(duration delay, std::function<void()> action)
{
    scheduled_.push_back({elapsed_ + delay, std::move(action)});
}

void simulator::start_engine(int number)
{
    const auto index = static_cast<std::size_t>(number);
    processes_.push_back(std::make_unique<process>(*this, number, ++lives_[index]));
    current_[index] = processes_.back().get();
    trace(current_[index]->name() + " starts");
    current_[index]->start();
}

void simulator::process_ended(process& ended, bool crashed)
{
    result_.crashes += crashed ? 1 : 0;
    const int number = ended.engine_number();
    current_[static_cast<std::size_t>(number)] = nullptr;
    // A store that is not shared ends the leases of the previous process.
    if (!store->shared()) {
        if (crashed)
            orphaned_leases = leases_of(ended);
        release_leases(ended);
    }
    if (over_)
        return;
    const auto down = faults_active_
                          ? fault_random.between(duration::zero(), faults_.longest_downtime)
                          : duration{std::chrono::seconds{1}};
    schedule(down, [this, number] { start_engine(number); });
}

std::vector<lease> simulator::leases_of(process& owner)
{
    auto held = read(store->leases());
    std::erase_if(held, [&](const lease& entry) {
        return entry.owner != owner.name() && !entry.owner.starts_with(owner.name() + "-");
    });
    return held;
}

void simulator::release_leases(process& owner)
{
    auto held = leases_of(owner);
    if (!held.empty())
        complete(store->release(std::move(held)));
}

std::shared_ptr<pawl::clock> simulator::clock_of(int engine)
{
    const auto skew = skews_[static_cast<std::size_t>(engine)];
    if (skew == duration::zero())
        return clock;
    return std::make_shared<skewed_clock>(clock, skew);
}

process* simulator::pick_serving(const std::string& workflow)
{
    std::vector<process*> serving;
    for (auto* candidate : current_)
        if (candidate && candidate->serves() && (workflow.empty() || candidate->has(workflow)))
            serving.push_back(candidate);
    return serving.empty() ? nullptr : serving[user_random.below(serving.size())];
}

process* simulator::pick_for_fault()
{
    auto* const chosen = current_[fault_random.below(current_.size())];
    return chosen && chosen->alive() ? chosen : nullptr;
}

void simulator::inject_fault()
{
    schedule(fault_random.between(duration::zero(), faults_.max_fault_interval), [this] {
        if (faults_active_)
            inject_fault();
    });
    const auto total = faults_.crash_weight + faults_.crash_call_weight + faults_.stop_weight +
                       faults_.outage_weight + faults_.partition_weight +
                       faults_.clock_step_weight + faults_.lost_lease_weight;
    if (total == 0)
        return;
    auto drawn = fault_random.below(total);
    const auto is = [&drawn](std::uint32_t weight) {
        if (drawn < weight)
            return true;
        drawn -= weight;
        return false;
    };
    auto* const chosen = pick_for_fault();
    if (is(faults_.crash_weight)) {
        if (chosen)
            chosen->crash();
    } else if (is(faults_.crash_call_weight)) {
        const bool at_commit = fault_random.below(2) == 0;
        const auto calls =
            fault_random.below(at_commit ? crash_within_commits : crash_within_calls);
        const bool after = fault_random.below(3) == 0;
        if (chosen)
            chosen->crash_later(calls, after, at_commit);
    } else if (is(faults_.stop_weight)) {
        const auto drain = fault_random.below(2) == 0
                               ? duration::zero()
                               : fault_random.between(duration::zero(), faults_.longest_drain);
        if (chosen)
            chosen->stop(drain);
    } else if (is(faults_.outage_weight)) {
        outage_until_ = elapsed_ + fault_random.between(duration::zero(), faults_.longest_outage);
        trace("the store is down");
    } else if (is(faults_.partition_weight)) {
        const auto until =
            elapsed_ + fault_random.between(duration::zero(), faults_.longest_outage);
        if (chosen) {
            trace(chosen->name() + " does not reach the store");
            chosen->partition_store_until(until);
        }
    } else if (is(faults_.clock_step_weight)) {
        const auto step =
            fault_random.between(-faults_.largest_clock_step, faults_.largest_clock_step);
        trace(fmt::format("the wall clock is stepped by {} us", step.count()));
        clock->step(step);
    } else if (chosen && store->shared()) {
        trace(chosen->name() + " loses its shards");
        release_leases(*chosen);
    }
}

/// Restarts one engine after the other, so that old and new versions of a program run side by side.
void simulator::redeploy()
{
    constexpr duration interval = std::chrono::seconds{20};
    for (int engine = 0; engine < options.engines; ++engine)
        schedule(engine * interval, [this, engine] {
            auto* const old = current_[static_cast<std::size_t>(engine)];
            if (old)
                old->stop(fault_random.between(duration::zero(), faults_.longest_drain));
        });
}

void simulator::drain()
{
    io.restart();
    for (int count = 0; io.poll_one() > 0; ++count)
        if (count == max_handlers_at_once) {
            checker.report_violation(
                fmt::format("more than {} handlers ran at one instant of simulated time; expected "
                            "every loop to wait for time or for an event",
                            max_handlers_at_once));
            over_ = true;
            return;
        }
}

void simulator::run_scheduled()
{
    for (std::size_t i = 0; i < scheduled_.size();) {
        if (scheduled_[i].time > elapsed_) {
            ++i;
            continue;
        }
        auto action = std::move(scheduled_[i].action);
        scheduled_.erase(scheduled_.begin() + static_cast<std::ptrdiff_t>(i));
        action();
        i = 0;
    }
}

/// Advances time to the next timer or scheduled action.
void simulator::advance_to_next_event()
{
    duration span = operator_interval;
    if (const auto next = clock->next_wait())
        span = std::min(span, std::max(*next - clock->now(), duration::zero()));
    for (const auto& action : scheduled_)
        span = std::min(span, std::max(action.time - elapsed_, duration::zero()));
    clock->advance(span);
    elapsed_ += span;
    drain();
    run_scheduled();
    drain();
}

simulation_result simulator::run()
{
    if (workflows.empty())
        throw definition_error("simulation::run: add a workflow before");
    if (std::exchange(has_run_, true))
        throw definition_error("simulation::run was called before: each simulation runs once");
    checker.add_workflow(workflows.front().flow);
    for (const auto& added : workflows)
        checker.add_workflow(added.flow);
    for (int engine = 0; engine < options.engines; ++engine)
        start_engine(engine);
    if (faults_.max_fault_interval > duration::zero())
        schedule(fault_random.between(duration::zero(), faults_.max_fault_interval),
                 [this] { inject_fault(); });
    drain();
    while (!over_ && checker.violations().empty() && elapsed_ < options.fault_duration)
        advance_to_next_event();
    end_fault_phase();
    auto checked_at = elapsed_;
    while (!over_ && checker.violations().empty() && !has_settled()) {
        if (elapsed_ - checked_at >= operator_interval) {
            checked_at = elapsed_;
            resume_paused();
            sample_lag();
            drain(); // or the calls would begin after the next event
            if (!check_progress())
                break;
        }
        if (elapsed_ > options.fault_duration + options.settle_time) {
            report_not_settled();
            break;
        }
        advance_to_next_event();
    }
    shut_down();
    final_checks();
    for (const auto& check : checks)
        for (auto& sentence : check())
            checker.report_violation(std::move(sentence));
    result_.violations = checker.violations();
    result_.took = elapsed_;
    result_.commits = checker.commits();
    result_.runs = checker.runs();
    return std::move(result_);
}

void simulator::end_fault_phase()
{
    trace("the fault phase is over");
    faults_active_ = false;
    busy_until_ = faults_end_ = elapsed_;
    const auto latency = faults_.latency_typical;
    faults_ = simulated_faults::none();
    faults_.latency_typical = latency;
    outage_until_ = elapsed_;
    for (auto* running : current_)
        if (running)
            running->partition_store_until(elapsed_);
    if (options.redeploys)
        redeploy();
    if (options.punctuality > duration::zero())
        checker.expect_punctuality(clock, options.punctuality + options.clock_skew);
}

std::vector<record> simulator::all_runs()
{
    std::vector<record> runs;
    record_query query;
    query.limit = 1000;
    do {
        auto page = read(store->list(query));
        std::ranges::move(page.runs, std::back_inserter(runs));
        query.after = page.next;
    } while (query.after);
    return runs;
}

/// True after two minutes in which no spawned coroutine was left, every engine was up and no run
/// was due, waited for time or was to be resumed. Two minutes suffice for hooks to be called.
bool simulator::has_settled()
{
    constexpr duration calm = std::chrono::minutes{2};
    const auto busy = [&] {
        for (const auto* running : current_)
            if (!running || !running->serves())
                return true;
        const auto counts = read(store->count("", true));
        if (counts.empty())
            return false;
        return std::ranges::any_of(all_runs(), [&](const record& run) {
            return has_wake_up(run) || is_to_be_resumed(run);
        });
    };
    if (!running_coroutines_.empty() || busy()) {
        busy_until_ = elapsed_;
        return false;
    }
    return elapsed_ - busy_until_ >= calm;
}

void simulator::resume_paused()
{
    for (const auto& run : all_runs()) {
        if (!is_to_be_resumed(run))
            continue;
        ++resumes_[run.id];
        pawl::detail::send_call call;
        call.run = run.id;
        call.kind = message_kind::resume;
        call.wait_until_settled = false;
        clients->send(find_workflow(run.workflow)->flow, std::move(call),
                      [](const pawl::detail::failure&, const settlement&) {});
    }
}

bool simulator::is_to_be_resumed(const record& run) const
{
    const auto resumed = resumes_.find(run.id);
    return run.state == run_state::paused && find_workflow(run.workflow) &&
           (resumed == resumes_.end() ? 0 : resumed->second) < options.max_resumes;
}

void simulator::sample_lag()
{
    for (auto* running : current_)
        if (running && running->serves())
            running->engine().async_statistics([this](error_code result, engine_statistics now) {
                if (!result)
                    result_.longest_lag = std::max(result_.longest_lag, now.due_lag);
            });
}

/// Reports the runs that have not settled in time, and what they wait for.
void simulator::report_not_settled()
{
    const auto text = fmt::format("the simulation did not settle within {} s after the fault phase "
                                  "(simulation_options::settle_time)",
                                  options.settle_time.count() / 1'000'000);
    bool is_explained = false;
    for (const auto& name : running_coroutines_) {
        checker.report_violation(
            fmt::format("{}: the coroutine \"{}\" has not ended; expected it to end", text, name));
        is_explained = true;
    }
    for (const auto& run : all_runs())
        if (has_wake_up(run)) {
            checker.report_violation(fmt::format(
                "{}: {} and wakes in {} s; expected it to finish or to wait for an "
                "outside event",
                text, checker.describe(run), (*run.wake_at - clock->now()).count() / 1'000'000));
            is_explained = true;
        } else if (is_to_be_resumed(run)) {
            checker.report_violation(
                fmt::format("{}: {}, and not all of its {} resumes have been tried "
                            "(simulation_options::max_resumes)",
                            text, checker.describe(run), options.max_resumes));
            is_explained = true;
        }
    if (!is_explained)
        checker.report_violation(text + ": an engine is not running");
}

/// False when a run is stuck.
bool simulator::check_progress()
{
    bool has_progress = true;
    for (const auto& run : all_runs()) {
        if (is_finished(run.state) || !run.wake_at || *run.wake_at + stuck_after > clock->now())
            continue;
        if (elapsed_ < options.fault_duration + stuck_after)
            continue;
        checker.report_violation(
            fmt::format("{} and is stuck: it has been due for {} s; expected an engine to process "
                        "it within {} s",
                        checker.describe(run), (clock->now() - *run.wake_at).count() / 1'000'000,
                        stuck_after.count() / 1'000'000));
        has_progress = false;
    }
    return has_progress;
}

void simulator::shut_down()
{
    trace("the simulation ends");
    if (!running_coroutines_.empty() && checker.violations().empty())
        for (const auto& name : running_coroutines_)
            checker.report_violation(fmt::format(
                "the coroutine \"{}\" has not ended; expected it to end, because its calls are "
                "answered after the fault phase",
                name));
    over_ = true;
    scheduled_.clear();
    for (auto* running : current_)
        if (running)
            running->stop(duration::zero());
    constexpr duration stop_limit = std::chrono::hours{1};
    const auto end = elapsed_ + stop_limit;
    const auto gone = [](const auto& ended) {
        return ended->gone();
    };
    drain();
    while ((!running_coroutines_.empty() || !std::ranges::all_of(processes_, gone)) &&
           elapsed_ < end)
        advance_to_next_event();
    for (const auto& ended : processes_)
        if (!ended->gone())
            checker.report_violation(
                fmt::format("engine {} did not stop within {} s of simulated time", ended->name(),
                            stop_limit.count() / 1'000'000));
}

void simulator::final_checks()
{
    constexpr std::size_t page = 1000;
    std::vector<std::vector<event>> log(read(store->leases()).size()); // of all workflows
    for (std::uint32_t shard = 0; shard < log.size(); ++shard)
        for (;;) {
            auto& entries = log[shard];
            auto events =
                read(store->events(shard, entries.empty() ? 0 : entries.back().sequence, page));
            const bool last = events.size() < page;
            std::ranges::move(events, std::back_inserter(entries));
            if (last)
                break;
        }
    const auto runs = all_runs();
    checker.compare_with_store(log, runs);
    for (const auto& [run, sequence] : checker.delivered_messages())
        checker.check_stored_settlement(run, read(store->outcome(run, sequence)), sequence);
    check_unfinished(runs);
}

/// Counts the runs that are left. They are reported if nothing else has ended the simulation.
void simulator::check_unfinished(const std::vector<record>& runs)
{
    const bool is_clean = checker.violations().empty();
    for (const auto& run : runs) {
        if (is_finished(run.state) || !find_workflow(run.workflow))
            continue;
        const bool is_paused = run.state == run_state::paused;
        ++(is_paused ? result_.paused : result_.waiting);
        if (!is_clean || (options.may_be_left && options.may_be_left(run)))
            continue;
        const auto cause = is_paused ? "the reason of the pause: " + run.reason
                                     : "it waits for an event from outside";
        checker.report_violation(
            fmt::format("{} at the end of the simulation; {}; expected it to finish (see "
                        "simulation_options::may_be_left)",
                        checker.describe(run), cause));
    }
}

const simulator::added_workflow* simulator::find_workflow(const std::string& name) const
{
    const auto found = std::ranges::find_if(
        workflows, [&](const added_workflow& added) { return added.flow->rules.name == name; });
    return found == workflows.end() ? nullptr : &*found;
}

} // namespace pawl::testing::detail
