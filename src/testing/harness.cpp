#include "pawl/testing/harness.hpp"

#include "pawl/memory.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace pawl::testing::detail {

namespace asio = boost::asio;

engine_bench::engine_bench(harness_options options) : options_(std::move(options))
{
    auto& engine = options_.engine;
    if (!engine.store)
        engine.store = open_memory();
    clock_ = std::dynamic_pointer_cast<manual_clock>(engine.clock);
    if (!clock_)
        clock_ = std::make_shared<manual_clock>();
    engine.clock = clock_;
    if (!engine.log.target<void (*)(const log_entry&)>())
        return; // one of the test's own
    engine.log = [this](const log_entry& entry) {
        log_.push_back(std::string{to_string(entry.level)} + ": " + to_string(entry));
    };
}

engine_bench::~engine_bench() = default;

void engine_bench::start()
{
    engine_.emplace(io_.get_executor(), options_.engine);
    add_workflows(*engine_);
    if (options_.prepare)
        options_.prepare(*engine_);
    wait_for(engine_->async_start());
    run_until_idle();
}

void engine_bench::stop()
{
    if (!engine_)
        return;
    bool stopped = false;
    engine_->async_stop(duration::zero(), [&](error_code) { stopped = true; });
    while (!stopped) {
        run_until_idle();
        if (stopped)
            break;
        // A handler that ignores its cancellation may wait for time.
        const auto next = next_wait();
        if (!next)
            throw failure("the engine cannot be stopped: a handler never ends");
        clock_->advance(std::max(*next - now(), duration::zero()));
    }
    engine_.reset();
}

void engine_bench::restart()
{
    stop();
    start();
}

void engine_bench::run_until_idle()
{
    // What comes from outside counts as long as it comes without a pause.
    constexpr std::chrono::milliseconds pause{20};
    do
        io_.restart();
    while (io_.poll() > 0 || (options_.real_wait.count() > 0 && run_one_for(pause)));
}

bool engine_bench::run_one_for(std::chrono::milliseconds span)
{
    // Without it, the context would not wait for those who have yet to post to it.
    const auto work = asio::make_work_guard(io_);
    io_.restart();
    return io_.run_one_for(span) > 0;
}

void engine_bench::run_until(const std::function<bool()>& done)
{
    run_until_idle();
    while (!done()) {
        if (!run_one_for(options_.real_wait))
            throw failure("the operation waits for time, or for something that never comes: move "
                          "time on with advance(), or await what shall come before it");
        run_until_idle();
    }
}

void engine_bench::wait_for(asio::awaitable<void> operation)
{
    struct ending {
        bool here = false;
        std::exception_ptr thrown;
    };
    const auto end = std::make_shared<ending>();
    asio::co_spawn(io_, std::move(operation), [end](std::exception_ptr e) {
        end->thrown = e;
        end->here = true;
    });
    run_until([&] { return end->here; });
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
    const auto end = now() + options_.patience;
    run_until_idle();
    while (!done()) {
        const auto next = next_wait();
        if (!next || *next > end)
            return false;
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
    for (const auto& what : history)
        text += fmt::format("\n  {} {} {} -> {}{}", what.version, to_string(what.kind), what.from,
                            what.to, what.error.empty() ? "" : ": " + what.error);
    return text;
}

} // namespace pawl::testing::detail
