#pragma once

#include "pawl/testing/simulation.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pawl::testing::detail {

class simulator;

/// A call of a client that an engine has not answered yet.
class pending_call {
public:
    virtual ~pending_call() = default;

    /// Completes the call with errc::not_running: the engine will never answer.
    virtual void fail_not_running() = 0;
};

/// One process with an engine, from its start to its stop or crash.
class process {
public:
    process(simulator& owner, int engine, int life);
    ~process();

    const std::string& name() const noexcept { return name_; }
    int engine_number() const noexcept { return engine_number_; }
    int life() const noexcept { return life_; }
    bool alive() const noexcept { return alive_; }
    bool serves() const noexcept { return alive_ && started_ && !stopping_; }
    bool gone() const noexcept { return gone_; }
    simulator& owner() noexcept { return owner_; }
    simulated_process& handle() noexcept { return handle_; }
    pawl::engine& engine() noexcept { return *engine_; }

    /// Makes and starts the engine.
    void start();

    /// From now on its calls have no effect and its clients get no answers.
    void crash();

    void stop(duration drain);

    /// Crashes before or after a later call; with `commits_only`, at a later commit. `calls` is the
    /// number of calls in between.
    void crash_later(std::uint64_t calls, bool after, bool commits_only);

    /// The store rejects its calls until `until`, in elapsed simulated time.
    void partition_store_until(duration until) { partitioned_until_ = until; }

    /// Whether it has the workflow, or any workflow if the name is empty.
    bool has(const std::string& workflow) const
    {
        return workflow.empty() ? !apis_.empty() : apis_.contains(workflow);
    }
    /// The API of the workflow, or of any workflow if the name is empty.
    std::shared_ptr<pawl::detail::engine_api> api(const std::string& workflow) const;
    std::shared_ptr<const pawl::detail::workflow_impl> flow(const std::string& workflow) const;

    void add_pending_call(std::weak_ptr<pending_call> call);

    // Calls to the store: they throw errc::store_unavailable if the drawn fate says so.
    boost::asio::awaitable<fate> begin_store_call(const char* call, bool writes);
    boost::asio::awaitable<void> end_store_call(const char* call, fate drawn);
    fate begin_store_call_now(const char* call, bool may_arrive_later = false);
    void end_store_call_now(const char* call, fate drawn);

    /// Draws whether a change notification of the store is lost.
    bool loses_notification();

    // Calls to simulated services: they throw simulated_call_error if the drawn fate says so.
    boost::asio::awaitable<fate> begin_call(std::string call);
    boost::asio::awaitable<void> end_call(std::string call, fate drawn);
    boost::asio::awaitable<void> sleep(duration span);

    /// A copy of the workflow whose handlers and hooks report to the invariant checker, and throw
    /// after the process has crashed.
    std::shared_ptr<const pawl::detail::workflow_impl>
    instrument(std::shared_ptr<const pawl::detail::workflow_impl> flow);

private:
    enum class side { none, before, after };

    side crash_side_of_next_call(std::string_view call);
    bool is_store_unreachable() const;
    [[noreturn]] void throw_unavailable(const char* call, const char* reason);
    void trace_log(const log_entry& entry);
    void start_completed(error_code result);
    void stop_completed();
    duration draw_latency(std::uint32_t slow_rate);

    simulator& owner_;
    const int engine_number_;
    const int life_;
    const std::string name_;
    simulated_process handle_;
    simulated_random random_;
    std::optional<pawl::engine> engine_;
    std::map<std::string, std::shared_ptr<pawl::detail::engine_api>> apis_;
    std::map<std::string, std::shared_ptr<const pawl::detail::workflow_impl>> flows_;
    std::vector<std::weak_ptr<pending_call>> calls_;
    bool alive_ = true;
    bool started_ = false;
    bool stopping_ = false;
    bool gone_ = false; ///< the engine has stopped
    duration partitioned_until_{};
    std::optional<std::uint64_t> crash_in_;
    bool crash_after_ = false;
    bool crash_at_commit_ = false;
};

/// Waits for simulated time. Cancellation ends wait(), but not wait_uncancelled().
boost::asio::awaitable<void> wait(clock& source, duration span);
boost::asio::awaitable<void> wait_uncancelled(clock& source, duration span);

} // namespace pawl::testing::detail
