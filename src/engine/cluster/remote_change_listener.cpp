#include "engine/cluster/remote_change_listener.hpp"

#include "engine/background/limit_overrides.hpp"

#include "core/record_at.hpp"
#include "core/saturating_add.hpp"
#include "engine/cluster/definition_log.hpp"
#include "engine/run/due_scanner.hpp"
#include "engine/run/exception_info.hpp"
#include "pawl/detail/failure.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// One poll in this many reads all due runs, also those that are active.
constexpr std::uint64_t polls_per_sweep = 60;

/// How far the clock of another process may be behind this engine's clock.
constexpr duration max_clock_difference = std::chrono::seconds{2};

} // namespace

remote_change_listener::remote_change_listener(engine_parts& shared, std::shared_ptr<watchers> all,
                                               std::shared_ptr<streams::commit_feed> feed,
                                               commit_handler on_commit, duration poll_interval)
    : shared_(shared), watchers_(std::move(all)), commit_feed_(std::move(feed)),
      on_commit_(std::move(on_commit)), poll_interval_(poll_interval),
      strand_(asio::make_strand(shared.executor)), timer_(shared.clock.make_timer(strand_)),
      unread_(shared.store.shards())
{
}

void remote_change_listener::set_shards(std::uint32_t count)
{
    unread_ = std::vector<std::atomic<bool>>(count);
}

void remote_change_listener::start()
{
    if (!shared_.store.shared())
        return;
    try {
        subscription_ = shared_.store.subscribe([weak = weak_from_this()](auto changes) {
            if (const auto self = weak.lock())
                self->handle_changes(changes);
        });
    } catch (...) {
        shared_.log({log_level::error, "cannot subscribe to the changes of other engines, and "
                                       "only polls for them: " +
                                           detail::exception_text(std::current_exception())});
    }
    next_poll_ = shared_.clock.now();
    shared_.background.spawn(strand_, work());
}

void remote_change_listener::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->subscription_.reset();
        self->timer_->cancel();
    });
}

void remote_change_listener::handle_changes(std::span<const shard_change> changes)
{
    if (shared_.cancelling)
        return;
    bool known = false;
    for (const auto& change : changes) {
        commit_feed_->notify_shard(change.shard); // of any workflow
        if (change.shard >= unread_.size())
            continue;
        if (change.due == time_point::min())
            gap_ = true;
        if (change.due)
            shared_.due->scan_from(change.shard, *change.due);
        if (shared_.owns(change.shard))
            on_commit_(change.shard);
        unread_[change.shard] = true;
        known = true;
    }
    if (known)
        wake();
}

void remote_change_listener::wake()
{
    if (!woken_.exchange(true))
        asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

void remote_change_listener::note_dropped_shards()
{
    recheck_watchers_ = true;
    wake();
}

asio::awaitable<void> remote_change_listener::work()
{
    while (!shared_.cancelling) {
        const bool poll = co_await wait_for_changes();
        if (shared_.cancelling)
            co_return;
        if (poll)
            poll_shards();
        std::exception_ptr failure;
        if (gap_.exchange(false))
            forget_positions();
        try {
            if (recheck_watchers_.exchange(false))
                co_await attend_watchers_again();
            if (poll)
                co_await shared_.clock.follow_store(shared_.store);
            co_await read_logs(poll);
            if (poll)
                co_await check_for_newer_definitions(shared_);
            if (poll)
                co_await read_limit_numbers(shared_);
        } catch (...) {
            failure = std::current_exception();
        }
        reachable_ = !failure;
        if (!failure)
            continue;
        forget_positions();
        shared_.log({log_level::warn, "cannot read what other engines have committed: " +
                                          detail::exception_text(failure)});
        co_await pause();
    }
}

/// Waits after a failure. Notifications do not end the wait.
asio::awaitable<void> remote_change_listener::pause()
{
    const auto end = shared_.clock.steady() + failure_pause;
    for (auto now = shared_.clock.steady(); now < end && !shared_.cancelling;
         now = shared_.clock.steady())
        co_await wait(*timer_, end - now);
}

/// A lost notification can only concern runs that became due since the last poll: runs that are due
/// for longer are active, or wait in this engine. Every polls_per_sweep polls all due runs are
/// read.
void remote_change_listener::poll_shards()
{
    const bool all = polls_++ % polls_per_sweep == 0;
    const auto since = shared_.clock.now() - 2 * poll_interval_ - max_clock_difference;
    for (std::uint32_t shard = 0; shard < shared_.layout.count(); ++shard) {
        if (all)
            shared_.due->rescan_shard(shard);
        else
            shared_.due->scan_from(shard, since);
        if (shared_.owns(shard))
            on_commit_(shard);
        commit_feed_->notify_shard(shard);
    }
}

/// True when it is time to poll.
asio::awaitable<bool> remote_change_listener::wait_for_changes()
{
    const auto now = shared_.clock.now();
    // A clock that was set back must not delay the poll.
    const auto left = std::min(next_poll_ - now, poll_interval_);
    if (!woken_ && left > duration::zero())
        co_await wait(*timer_, left);
    woken_ = false;
    const auto woken_at = shared_.clock.now();
    if (woken_at < next_poll_ && next_poll_ - woken_at <= poll_interval_)
        co_return false;
    next_poll_ = core::saturating_add(woken_at, poll_interval_);
    co_return true;
}

asio::awaitable<void> remote_change_listener::read_logs(bool all)
{
    const auto logs = watchers_->followed_logs();
    for (const auto& [shard, read] : logs) {
        if (all)
            co_await check_log(shard, read);
        if (unread_[shard].exchange(false) || all)
            co_await read_log(shard, read);
    }
    // Without a watcher, this call only finds out whether the store can be reached.
    if (all && logs.empty())
        co_await shared_.store.roles("pawl.engine/");
}

/// A store that could not be reached may have lost commits: positions in its logs are no longer
/// valid, and watchers may have missed a change.
void remote_change_listener::forget_positions()
{
    watchers_->forget_logs();
    recheck_watchers_ = true;
}

asio::awaitable<void> remote_change_listener::check_log(std::uint32_t shard, std::uint64_t read)
{
    const auto end = co_await shared_.store.log_end(shard);
    if (end >= read)
        co_return;
    forget_positions();
    wake();
}

asio::awaitable<void> remote_change_listener::read_log(std::uint32_t shard, std::uint64_t after)
{
    for (bool more = true; more && !shared_.cancelling;) {
        auto events = co_await shared_.store.events(shard, after, page_size);
        more = events.size() == page_size;
        if (!events.empty())
            after = events.back().sequence;
        std::map<run_id, std::vector<event>> by_run;
        for (auto& event : events)
            if (!watchers_->find(event.run).empty())
                by_run[event.run].push_back(std::move(event));
        for (auto& [run, run_events] : by_run)
            co_await notify_watchers(run, std::move(run_events));
        watchers_->note_log_read(shard, after);
    }
}

/// Offers the run's events to its watchers. If the run is damaged, its watchers fail, and watchers
/// of other runs are not affected.
asio::awaitable<void> remote_change_listener::notify_watchers(run_id run, std::vector<event> events)
{
    std::exception_ptr failure;
    try {
        co_await offer_events(run, std::move(events));
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure)
        fail_if_damaged(watchers_->find(run), failure);
}

/// Watchers see each event's record, also of statuses that the run has left since.
asio::awaitable<void> remote_change_listener::offer_events(run_id run, std::vector<event> events)
{
    const auto current = co_await shared_.store.find(run);
    for (const auto& event : events)
        for (const auto& waiting : watchers_->find(run))
            if (current)
                watchers_->offer_past_record(*waiting, core::record_at(event, *current));
    for (const auto& waiting : watchers_->find(run))
        if (!waiting->accepts_records())
            co_await waiting->ask_store(shared_.store, *watchers_);
}

/// Offers all of the run's events after `version` to its watchers.
asio::awaitable<void> remote_change_listener::offer_history(run_id run, std::uint64_t version)
{
    for (bool more = true; more && !shared_.cancelling;) {
        auto events = co_await shared_.store.history(run, version, page_size);
        more = events.size() == page_size;
        if (events.empty())
            co_return;
        version = events.back().version;
        co_await offer_events(run, std::move(events));
    }
}

/// Fails the watchers of one run if the store finds the run damaged. Rethrows other failures.
void remote_change_listener::fail_if_damaged(std::vector<std::shared_ptr<watcher>> waiting,
                                             const std::exception_ptr& failure)
{
    if (!is_data_error(error_code_of(failure)))
        std::rethrow_exception(failure);
    for (const auto& failed : waiting)
        watchers_->fail(failed, detail::failure_of(failure));
}

asio::awaitable<void> remote_change_listener::attend_watchers_again()
{
    for (auto& waiting : watchers_->find_not_following()) {
        std::exception_ptr failure;
        try {
            if (const auto seen = watchers_->seen_version(*waiting))
                co_await offer_history(waiting->run(), *seen);
            co_await attend_watcher(waiting);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure)
            fail_if_damaged({waiting}, failure);
    }
}

asio::awaitable<void> remote_change_listener::attend_watcher(std::shared_ptr<watcher> waiting)
{
    const auto acquisitions = shared_.acquisitions.load();
    const auto current = co_await shared_.store.find(waiting->run());
    if (!current) {
        watchers_->fail(waiting, make_error_code(errc::not_found));
        co_return;
    }
    watchers_->offer_present_record(*waiting, *current);
    const auto shard = shared_.shard_of(*current);
    if (shard >= unread_.size()) { // of a workflow that the engine does not have
        watchers_->fail(waiting, make_error_code(errc::not_found));
        co_return;
    }
    const bool is_owner = shared_.owns(shard);
    // Other engines may have committed since `current` was read. What this engine read of that in
    // the log was ignored before offer_present_record().
    if (!is_owner || shared_.acquisitions != acquisitions) {
        const auto events = co_await shared_.store.history(current->id, current->version - 1, 2);
        if (!events.empty() && !is_owner) {
            watchers_->follow_log(*waiting, shard, events.front().sequence);
            unread_[shard] = true; // for events after this read
            wake();
        }
        if (events.size() > 1)
            co_await offer_history(current->id, current->version);
    }
    if (!waiting->accepts_records())
        co_await waiting->ask_store(shared_.store, *watchers_);
}

} // namespace pawl::engine_detail
