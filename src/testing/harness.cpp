#include "pawl/testing/harness.hpp"

#include "core/forwarding_observer.hpp"
#include "pawl/log.hpp"
#include "pawl/memory.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <unordered_map>

namespace pawl::testing::detail {

namespace asio = boost::asio;

/// Counts the commits of each run since time last advanced.
class engine_bench::commit_counter final : public core::forwarding_observer {
public:
    commit_counter(std::shared_ptr<observer> next, std::size_t max_commits)
        : forwarding_observer(std::move(next)), max_commits_(max_commits)
    {
    }

    void committed(const transition& change) override
    {
        {
            const std::lock_guard lock{mutex_};
            if (++counts_[change.next.id] > max_commits_ && !looping_)
                looping_ = change.next;
        }
        forwarding_observer::committed(change);
    }

    void time_advanced()
    {
        const std::lock_guard lock{mutex_};
        counts_.clear();
        looping_.reset();
    }

    /// The first run that exceeded max_commits; empty if none did.
    std::optional<record> looping() const
    {
        const std::lock_guard lock{mutex_};
        return looping_;
    }

private:
    const std::size_t max_commits_;
    mutable std::mutex mutex_; ///< with a store that has threads of its own
    std::unordered_map<run_id, std::size_t> counts_;
    std::optional<record> looping_;
};

engine_bench::engine_bench(harness_options options) : options_(std::move(options))
{
    auto& engine = options_.engine;
    if (!engine.store)
        engine.store = open_memory();
    clock_ = std::dynamic_pointer_cast<manual_clock>(engine.clock);
    if (!clock_)
        clock_ = std::make_shared<manual_clock>();
    engine.clock = clock_;
    commits_ = std::make_shared<commit_counter>(std::move(engine.observer),
                                                std::max<std::size_t>(options_.max_commits, 1));
    engine.observer = commits_;
    const auto* sink = engine.log.target<void (*)(const log_entry&)>();
    if (!sink || *sink != &log_to_stderr)
        return; // the test has its own sink
    engine.log = [this](const log_entry& entry) {
        log_.push_back(std::string{to_string(entry.level)} + ": " + to_string(entry));
    };
}

engine_bench::~engine_bench() = default;

void engine_bench::start()
{
    engine_.emplace(io_->get_executor(), options_.engine);
    add_workflows(*engine_);
    if (options_.configure)
        options_.configure(*engine_);
    wait_for(engine_->async_start());
    run_until_idle();
}

void engine_bench::stop()
{
    if (!engine_)
        return;
    turns_ = 0;
    commits_->time_advanced();
    bool stopped = false;
    engine_->async_stop(duration::zero(), [&](error_code) { stopped = true; });
    while (!stopped) {
        run_until_idle();
        if (stopped)
            break;
        // A handler that ignores its cancellation may wait for time.
        const auto next = next_wait();
        if (!next && !run_one_for(options_.real_time_timeout))
            throw failure("the engine does not stop: a handler never ends");
        if (next)
            clock_->advance(std::max(*next - now(), duration::zero()));
    }
    engine_.reset();
}

void engine_bench::stop_at_last() noexcept
{
    try {
        stop();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "pawl::testing::harness: %s\n", e.what());
    } catch (...) {
        std::fputs("pawl::testing::harness: the engine could not be stopped\n", stderr);
    }
    if (engine_)
        static_cast<void>(io_.release()); // a handler that never ends may still be resumed
}

void engine_bench::restart()
{
    stop();
    start();
}

void engine_bench::run_until_idle()
{
    // Real events keep the harness busy while they arrive without a pause.
    constexpr std::chrono::milliseconds pause{20};
    do
        poll();
    while (options_.real_time_timeout.count() > 0 && run_one_for(pause));
}

/// Runs ready handlers. Throws if they do not end while time stands still.
void engine_bench::poll()
{
    io_->restart();
    if (now() != counted_at_) {
        counted_at_ = now();
        turns_ = 0;
        commits_->time_advanced();
    }
    while (io_->poll_one() > 0)
        if (++turns_ > options_.max_turns || commits_->looping())
            fail_for_loop();
}

void engine_bench::fail_for_loop()
{
    const auto run = commits_->looping();
    if (!run)
        throw failure(fmt::format("a loop never waits: more than {} handlers ran while time stood "
                                  "still (harness_options::max_turns)",
                                  options_.max_turns));
    throw failure(fmt::format(
        "run {} of {} \"{}\" never waits: it committed more than {} times while time stood still "
        "(harness_options::max_commits), last in status {}. Possible causes: a step that returns "
        "repeat_after(0s), or runs that wake each other",
        to_string(run->id), run->workflow, run->foreign_id, options_.max_commits, run->status));
}

bool engine_bench::run_one_for(std::chrono::milliseconds span)
{
    // Without the guard, run_one_for() returns at once if the context has no work yet.
    const auto work = asio::make_work_guard(*io_);
    io_->restart();
    return io_->run_one_for(span) > 0;
}

void engine_bench::run_until(const std::function<bool()>& done)
{
    run_until_idle();
    while (!done()) {
        if (!run_one_for(options_.real_time_timeout))
            throw failure("the operation waits for time or for an event that does not happen: call "
                          "advance(), or first await the event");
        run_until_idle();
    }
}

void engine_bench::wait_for(asio::awaitable<void> operation)
{
    struct outcome {
        bool done = false;
        std::exception_ptr thrown;
    };
    const auto end = std::make_shared<outcome>(); // shared: it may outlive a failed wait
    asio::co_spawn(*io_, std::move(operation), [end](std::exception_ptr e) {
        end->thrown = e;
        end->done = true;
    });
    run_until([&] { return end->done; });
    if (end->thrown)
        std::rethrow_exception(end->thrown);
}

void engine_bench::advance(duration span)
{
    const auto end = now() + span;
    run_until_idle();
    for (auto next = next_wait(); next && *next < end; next = next_wait()) {
        clock_->advance(std::max(*next - now(), duration::zero()));
        run_until_idle();
    }
    clock_->advance(end - now());
    run_until_idle();
}

bool engine_bench::advance_until(const std::function<bool()>& done)
{
    const auto end = now() + options_.max_simulated_time;
    run_until_idle();
    while (!done()) {
        const auto next = next_wait();
        if (next ? *next > end : !run_one_for(options_.real_time_timeout))
            return false;
        if (next)
            clock_->advance(std::max(*next - now(), duration::zero()));
        run_until_idle();
    }
    return true;
}

std::string describe(const record& run, const std::string& status,
                     const std::vector<event>& history)
{
    auto text = fmt::format("run {} of {} \"{}\" is {} in status {}", to_string(run.id),
                            run.workflow, run.foreign_id, to_string(run.state), status);
    if (run.attempt > 0)
        text += fmt::format(", after {} failed attempts", run.attempt);
    if (!run.last_error.empty())
        text += fmt::format(", last error: {}", run.last_error);
    if (!run.reason.empty())
        text += fmt::format(", reason: {}", run.reason);
    text += "; history:";
    for (const auto& entry : history)
        text += fmt::format("\n  {} {} {} -> {}{}", entry.version, to_string(entry.kind),
                            entry.from, entry.to, entry.error.empty() ? "" : ": " + entry.error);
    return text;
}

} // namespace pawl::testing::detail
