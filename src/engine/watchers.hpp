#pragma once

#include "pawl/detail/engine_api.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace pawl::engine_detail {

/// Waits for something to happen to a run: private to one caller, gone when it completes.
///
/// The caller subscribes first and looks at the stored state then, so that nothing falls between.
class watcher {
public:
    explicit watcher(run_id run) : run_(run) {}
    virtual ~watcher() = default;

    const run_id& run() const noexcept { return run_; }

    /// True when the transition is what it waits for, or makes that impossible; it then completes.
    virtual bool offer(const transition& committed) = 0;

    virtual void fail(error_code why) = 0;

private:
    const run_id run_;
};

/// Waits for a run to reach one of some statuses, or its end.
class status_watcher final : public watcher {
public:
    status_watcher(boost::asio::any_io_executor executor, run_id run, std::vector<int> statuses,
                   detail::completion<record> done);

    bool offer(const transition& committed) override { return look_at(committed.next); }

    /// The same for a record that has been read.
    bool look_at(const record& current);

    void fail(error_code why) override;

    boost::asio::cancellation_slot slot() const { return done_->get_cancellation_slot(); }

private:
    const boost::asio::any_io_executor executor_;
    const std::vector<int> statuses_;
    std::optional<detail::completion<record>> done_;
};

/// Waits for a message to be settled.
class message_watcher final : public watcher {
public:
    message_watcher(boost::asio::any_io_executor executor, run_id run, std::uint64_t message,
                    detail::completion<settlement> done);

    std::uint64_t message() const noexcept { return message_; }

    bool offer(const transition& committed) override;
    bool look_at(const settlement& known);
    void fail(error_code why) override;

    boost::asio::cancellation_slot slot() const { return done_->get_cancellation_slot(); }

private:
    const boost::asio::any_io_executor executor_;
    const std::uint64_t message_;
    std::optional<detail::completion<settlement>> done_;
};

/// All watchers of an engine, by run.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class watchers : public std::enable_shared_from_this<watchers> {
public:
    /// From now on the watcher is offered each transition of its run. Fails it if the engine has
    /// stopped.
    void add(const std::shared_ptr<watcher>& waiting);

    /// As offer(), for a state that was read: `look` is called unless the watcher has completed.
    template <class Watcher, class State>
    void look(const std::shared_ptr<Watcher>& waiting, const State& state)
    {
        const std::lock_guard lock{mutex_};
        if (contains(*waiting) && waiting->look_at(state))
            erase(*waiting);
    }

    /// Completes a watcher with an error, unless it has completed.
    void fail(const std::shared_ptr<watcher>& waiting, error_code why);

    void committed(const transition& change);

    void stop();

private:
    bool contains(const watcher& waiting) const;
    void erase(const watcher& waiting);

    std::atomic<std::size_t> count_{0}; ///< so that a commit that nobody waits for takes no lock
    std::mutex mutex_;
    bool stopped_ = false;
    std::unordered_multimap<run_id, std::shared_ptr<watcher>> by_run_;
};

} // namespace pawl::engine_detail
