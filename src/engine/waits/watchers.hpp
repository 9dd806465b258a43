#pragma once

#include "pawl/detail/engine_api.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

class watchers;

/// Waits for something to happen to a run: private to one caller, gone when it completes.
///
/// The caller subscribes first and looks at the stored state then, so that nothing falls between.
class watcher : public std::enable_shared_from_this<watcher> {
public:
    explicit watcher(run_id run = {}) : run_(run) {}
    virtual ~watcher() = default;

    const run_id& run() const noexcept { return run_; }

    /// True when the transition is what it waits for, or makes that impossible; it then completes.
    virtual bool offer(const transition& committed) = 0;

    /// As offer(), for a transition that another engine committed, or the state as it was read.
    virtual bool offer_record(const record&) { return false; }

    /// Whether that is all that it needs, and asking is not.
    virtual bool accepts_records() const noexcept { return false; }

    virtual void fail(detail::failure why) = 0;

    /// Keeps something for as long as it waits: see active_runs::begin_wait().
    void hold(std::shared_ptr<void> held) { held_ = std::move(held); }

    /// Looks at the stored state. Throws what the store throws.
    virtual boost::asio::awaitable<void> ask_store(record_store& store, watchers& all) = 0;

protected:
    run_id run_;

private:
    friend class watchers;
    std::shared_ptr<void> held_;
    std::optional<detail::failure> failed_early_; ///< before it was added
    std::optional<std::uint32_t> follows_;        ///< the shard of another engine's log
    std::uint64_t seen_ = 0;                      ///< the version of its run that it was told last
};

/// Waits for a run to reach one of some statuses, or its end.
class status_watcher final : public watcher {
public:
    /// Without `statuses` it waits for the end. Another workflow's run is one that is not there.
    status_watcher(boost::asio::any_io_executor executor, std::string workflow, run_id run,
                   std::optional<std::vector<int>> statuses, detail::completion<record> done);

    bool offer(const transition& committed) override { return offer_record(committed.next); }
    bool offer_record(const record& current) override;
    bool accepts_records() const noexcept override { return true; }

    /// The same for a record that has been read.
    bool offer_read(record&& current);

    void fail(detail::failure why) override;
    boost::asio::awaitable<void> ask_store(record_store& store, watchers& all) override;

    boost::asio::cancellation_slot slot() const { return done_->get_cancellation_slot(); }

    /// The associated executor of whoever waits.
    boost::asio::any_completion_executor executor() const
    {
        return boost::asio::get_associated_executor(
            *done_, boost::asio::any_completion_executor{executor_});
    }

private:
    detail::failure no_run() const;

    /// What the wait ends with when the run stands so; empty: it goes on.
    std::optional<detail::failure> result_at(const record& current) const;

    const boost::asio::any_io_executor executor_;
    const std::string workflow_;
    const std::optional<std::vector<int>> statuses_;
    std::optional<detail::completion<record>> done_;
};

/// Waits for a message to be settled. The end of a run settles every message that is left, without
/// naming it: then the store is asked (see watcher_recheck).
class message_watcher final : public watcher {
public:
    message_watcher(boost::asio::any_io_executor executor, detail::completion<settlement> done);

    /// Says which message it waits for. Before it is added.
    void wait_for(run_id run, std::uint64_t message);

    std::uint64_t message() const noexcept { return message_; }

    /// Completes instead of being added.
    void complete_now(detail::failure result, settlement known);

    bool offer(const transition& committed) override;

    /// The same for an outcome that has been read since it was added.
    bool offer_read(const settlement& known);
    void fail(detail::failure why) override;
    boost::asio::awaitable<void> ask_store(record_store& store, watchers& all) override;

    boost::asio::cancellation_slot slot() const { return done_->get_cancellation_slot(); }

    /// The associated executor of whoever waits.
    boost::asio::any_completion_executor executor() const
    {
        return boost::asio::get_associated_executor(
            *done_, boost::asio::any_completion_executor{executor_});
    }

private:
    const boost::asio::any_io_executor executor_;
    std::uint64_t message_ = 0;
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

    /// As offer(), for a state that was read: `look_at` is called unless the watcher has completed.
    template <class Watcher, class State>
    void offer_read(Watcher& waiting, State&& state)
    {
        const std::lock_guard lock{mutex_};
        if (contains(waiting) && waiting.offer_read(std::forward<State>(state)))
            erase(waiting);
    }

    /// Completes a watcher with an error, unless it has completed; if it has not been added yet,
    /// then at that moment.
    void fail(const std::shared_ptr<watcher>& waiting, detail::failure why);

    void offer_transition(const transition& change);

    /// Those that wait for something of this run.
    std::vector<std::shared_ptr<watcher>> find(run_id run);

    /// Tells the watcher a state of its run, unless it was told a later one.
    void offer_record(watcher& waiting, const record& state);

    /// Tells the watcher the state of its run as it was read for it, whatever it was told before:
    /// the store may have gone back.
    void offer_present_record(watcher& waiting, const record& state);

    /// The version of its run that the watcher was told last; 0 before the first.
    std::uint64_t seen_version(const watcher& waiting);

    /// The watcher's run is another engine's: the shard's log is read for it after `sequence`.
    void follow_log(watcher& waiting, std::uint32_t shard, std::uint64_t sequence);

    /// The shards whose logs are read for a watcher, and how far each has been read.
    std::map<std::uint32_t, std::uint64_t> followed_logs();

    /// The shard's log has been read so far.
    void note_log_read(std::uint32_t shard, std::uint64_t sequence);

    /// Discards the positions in the logs: nobody follows a log until follow() is called again.
    void forget_logs();

    /// Those whose runs have been this engine's so far, or are not known yet.
    std::vector<std::shared_ptr<watcher>> find_not_following();

    void stop();

private:
    struct followed_log {
        std::uint64_t read = 0;
        std::size_t watchers = 0;
    };

    void leave_log(const watcher& waiting);
    bool contains(const watcher& waiting) const;
    void erase(const watcher& waiting);

    std::atomic<std::size_t> count_{0}; ///< so that a commit that nobody waits for takes no lock
    std::mutex mutex_;
    bool stopped_ = false;
    std::unordered_multimap<run_id, std::shared_ptr<watcher>> by_run_;
    std::map<std::uint32_t, followed_log> followed_; ///< by shard
};

} // namespace pawl::engine_detail
