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

    /// The engine will never answer.
    virtual void lose() = 0;
};

/// One life of an engine.
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

    /// From now on nothing of it reaches anybody.
    void crash();

    void stop(duration drain);

    /// Crashes beside its `calls`-th next call, or its next commits only.
    void crash_later(std::uint64_t calls, bool after, bool commits_only);

    /// Its store refuses it until then, in the simulation's own time.
    void cut_off(duration until) { cut_off_until_ = until; }

    /// Of an empty name: whether it has any.
    bool has(const std::string& workflow) const
    {
        return workflow.empty() ? !apis_.empty() : apis_.contains(workflow);
    }
    /// Of an empty name: of any that it has.
    std::shared_ptr<pawl::detail::engine_api> api(const std::string& workflow) const;
    std::shared_ptr<const pawl::detail::workflow_impl> flow(const std::string& workflow) const;

    void expect(std::weak_ptr<pending_call> call);

    // Calls to the store; both throw store_unavailable.
    boost::asio::awaitable<fate> begin_store_call(const char* what, bool writes);
    boost::asio::awaitable<void> end_store_call(const char* what, fate how);
    fate begin_store_call_now(const char* what, bool may_be_under_way = false);
    void end_store_call_now(const char* what, fate how);

    /// What the store tells does not come through.
    bool loses_news();

    // Calls to the world outside.
    boost::asio::awaitable<fate> begin_call(std::string what);
    boost::asio::awaitable<void> end_call(std::string what, fate how);
    boost::asio::awaitable<void> sleep(duration span);

    /// A workflow whose handlers and hooks are watched, and end with the process.
    std::shared_ptr<const pawl::detail::workflow_impl>
    watched(std::shared_ptr<const pawl::detail::workflow_impl> flow);

private:
    enum class side { none, before, after };

    side count_call(std::string_view what);
    bool refuses() const;
    [[noreturn]] void refuse(const char* what, const char* why);
    void note(const log_entry& entry);
    void start_ended(error_code result);
    void leave();
    duration travel(std::uint32_t slow);

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
    bool gone_ = false;
    duration cut_off_until_{};
    std::optional<std::uint64_t> crash_in_;
    bool crash_after_ = false;
    bool crash_at_commit_ = false;
};

/// A wait on the simulation's time that a cancellation ends, or does not.
boost::asio::awaitable<void> wait(clock& on, duration span);
boost::asio::awaitable<void> wait_through(clock& on, duration span);

} // namespace pawl::testing::detail
