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

/// Waits for an event of a run, on behalf of one caller.
///
/// The caller adds the watcher first and reads the stored state afterwards, so that no change is
/// missed in between.
class watcher : public std::enable_shared_from_this<watcher> {
public:
    explicit watcher(run_id run = {}) : run_(run) {}
    virtual ~watcher() = default;

    const run_id& run() const noexcept { return run_; }

    /// Completes and returns true if the transition is the awaited event or makes it impossible.
    virtual bool offer(const transition& committed) = 0;

    /// As offer(), for a record that was read or that a transition of another engine left.
    virtual bool offer_record(const record&) { return false; }

    /// Whether records suffice, so that ask_store() is not needed.
    virtual bool accepts_records() const noexcept { return false; }

    virtual void fail(detail::failure reason) = 0;

    /// Keeps an object alive while the watcher waits: see active_runs::begin_wait().
    void hold(std::shared_ptr<void> held) { held_ = std::move(held); }

    /// Reads the stored state. Throws what the store throws.
    virtual boost::asio::awaitable<void> ask_store(record_store& store, watchers& all_watchers) = 0;

protected:
    run_id run_;

private:
    friend class watchers;
    std::shared_ptr<void> held_;
    std::optional<detail::failure> failed_early_; ///< the failure, if it came before add()
    std::optional<std::uint32_t> follows_;        ///< the shard whose log is read for it
    std::optional<std::uint64_t> seen_; ///< the version where the wait began, or a later one
};

/// Waits for a run to reach one of several statuses, or its end.
class status_watcher final : public watcher {
public:
    /// Without `statuses` it waits for the end. A run of another workflow counts as not found.
    status_watcher(boost::asio::any_io_executor executor, std::string workflow, run_id run,
                   std::optional<std::vector<int>> statuses, detail::completion<record> done);

    bool offer(const transition& committed) override { return offer_record(committed.next); }
    bool offer_record(const record& current) override;
    bool accepts_records() const noexcept override { return true; }

    /// As offer_record(), without a copy of the record.
    bool offer_read(record&& current);

    void fail(detail::failure reason) override;
    boost::asio::awaitable<void> ask_store(record_store& store, watchers& all_watchers) override;

    boost::asio::cancellation_slot slot() const { return done_->get_cancellation_slot(); }

    /// The associated executor of the caller's completion handler.
    boost::asio::any_completion_executor executor() const
    {
        return boost::asio::get_associated_executor(
            *done_, boost::asio::any_completion_executor{executor_});
    }

private:
    detail::failure no_run() const;

    /// The result of the wait for a run in this state; empty if the wait continues.
    std::optional<detail::failure> result_at(const record& current) const;

    const boost::asio::any_io_executor executor_;
    const std::string workflow_;
    const std::optional<std::vector<int>> statuses_;
    std::optional<detail::completion<record>> done_;
};

/// Waits for a message to be settled. The end of a run settles all of its messages without naming
/// them, so watcher_recheck queries the store then.
class message_watcher final : public watcher {
public:
    message_watcher(boost::asio::any_io_executor executor, detail::completion<settlement> done);

    /// Sets the message to wait for. Called by watchers::add().
    void wait_for(run_id run, std::uint64_t message);

    std::uint64_t message() const noexcept { return message_; }

    /// Completes the wait.
    void complete(detail::failure result, settlement known);

    bool offer(const transition& committed) override;

    /// As offer(), for a settlement that was read from the store.
    bool offer_read(const settlement& known);
    void fail(detail::failure reason) override;
    boost::asio::awaitable<void> ask_store(record_store& store, watchers& all_watchers) override;

    boost::asio::cancellation_slot slot() const { return done_->get_cancellation_slot(); }

    /// The associated executor of the caller's completion handler.
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
    /// Offers the watcher each transition of its run from now on. Fails the watcher if the engine
    /// has stopped.
    void add(const std::shared_ptr<watcher>& waiting);

    /// Does the same for a watcher that waits for this message from now on. fail() may be called at
    /// the same time.
    void add(const std::shared_ptr<message_watcher>& waiting, run_id run, std::uint64_t message);

    /// Calls the watcher's offer_read() unless the watcher has completed.
    template <class Watcher, class State>
    void offer_read(Watcher& waiting, State&& state)
    {
        const std::lock_guard lock{mutex_};
        if (contains(waiting) && waiting.offer_read(std::forward<State>(state)))
            erase(waiting);
    }

    /// Completes a watcher with an error, unless it has completed. A watcher that has not been
    /// added completes in add().
    void fail(const std::shared_ptr<watcher>& waiting, detail::failure reason);

    /// Offers the watchers of the run a transition that has been committed. If it is not the run's
    /// present one, a wait may have begun after the run left that status: then only those are
    /// offered it that wait for a message.
    void offer_transition(const transition& change, bool is_present);

    /// The watchers of the run.
    std::vector<std::shared_ptr<watcher>> find(run_id run);

    /// Offers the watcher the present record of its run, which was read after add(): the wait
    /// begins there. A later version may have been offered before: the store may have gone back.
    void offer_present_record(watcher& waiting, const record& current);

    /// Offers the watcher the record that a commit left. Ignored before offer_present_record(), and
    /// for a commit that the watcher has seen: a status that the run left before the wait does not
    /// count.
    void offer_past_record(watcher& waiting, const record& left);

    /// The newest version that was offered to the watcher; empty before offer_present_record().
    std::optional<std::uint64_t> seen_version(const watcher& waiting);

    /// Marks the watcher's run as driven by another engine: the shard's log is read for the
    /// watcher, after `sequence`.
    void follow_log(watcher& waiting, std::uint32_t shard, std::uint64_t sequence);

    /// The shards whose logs are read for watchers, with the position in each log.
    std::map<std::uint32_t, std::uint64_t> followed_logs();

    /// The shard's log has been read up to `sequence`.
    void note_log_read(std::uint32_t shard, std::uint64_t sequence);

    /// Discards the positions in the logs: no watcher follows a log until follow_log() is called
    /// again.
    void forget_logs();

    /// The watchers that follow no log: this engine drives their runs, or the owner is unknown.
    std::vector<std::shared_ptr<watcher>> find_not_following();

    void stop();

private:
    struct followed_log {
        std::uint64_t read = 0;
        std::size_t watchers = 0;
    };

    void add_locked(const std::shared_ptr<watcher>& waiting);
    void leave_log(const watcher& waiting);
    bool contains(const watcher& waiting) const;
    void erase(const watcher& waiting);

    std::atomic<std::size_t> count_{0}; ///< saves commits without watchers the lock
    std::mutex mutex_;
    bool stopped_ = false;
    std::unordered_multimap<run_id, std::shared_ptr<watcher>> by_run_;
    std::map<std::uint32_t, followed_log> followed_logs_; ///< by shard
};

} // namespace pawl::engine_detail
