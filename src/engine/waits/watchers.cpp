#include "engine/waits/watchers.hpp"

#include "async/complete.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

status_watcher::status_watcher(asio::any_io_executor executor, std::string workflow, run_id run,
                               std::optional<std::vector<int>> statuses,
                               detail::completion<record> done)
    : watcher(run), executor_(std::move(executor)), workflow_(std::move(workflow)),
      statuses_(std::move(statuses)), done_(std::move(done))
{
}

detail::failure status_watcher::no_run() const
{
    return {errc::not_found, "\"" + workflow_ + "\" has no run " + to_string(run())};
}

std::optional<detail::failure> status_watcher::result_at(const record& current) const
{
    if (current.workflow != workflow_)
        return no_run();
    const bool reached = statuses_
                             ? std::ranges::find(*statuses_, current.status) != statuses_->end()
                             : is_finished(current.state);
    if (reached)
        return detail::failure{};
    if (is_finished(current.state))
        return detail::failure{errc::finished_in_other_status,
                               "run " + to_string(run()) + " is " +
                                   std::string{to_string(current.state)} + " in status " +
                                   std::to_string(current.status)};
    return std::nullopt;
}

bool status_watcher::offer_record(const record& current)
{
    const auto result = result_at(current);
    if (result)
        async::complete(executor_, std::move(*done_), *result, current);
    return result.has_value();
}

bool status_watcher::offer_read(record&& current)
{
    const auto result = result_at(current);
    if (result)
        async::complete(executor_, std::move(*done_), *result, std::move(current));
    return result.has_value();
}

void status_watcher::fail(detail::failure reason)
{
    async::complete(executor_, std::move(*done_), reason, record{});
}

asio::awaitable<void> status_watcher::ask_store(record_store& store, watchers& all_watchers)
{
    const auto alive = shared_from_this();
    auto current = co_await store.find(run());
    if (current)
        all_watchers.offer_read(*this, std::move(*current));
    else
        all_watchers.fail(alive, no_run());
}

message_watcher::message_watcher(asio::any_io_executor executor,
                                 detail::completion<settlement> done)
    : executor_(std::move(executor)), done_(std::move(done))
{
}

void message_watcher::wait_for(run_id run, std::uint64_t message)
{
    run_ = run;
    message_ = message;
}

void message_watcher::complete(detail::failure result, settlement known)
{
    async::complete(executor_, std::move(*done_), result, std::move(known));
}

bool message_watcher::offer(const transition& committed)
{
    const auto settled = std::ranges::find(committed.settled, message_, &settlement::sequence);
    return settled != committed.settled.end() && offer_read(*settled);
}

bool message_watcher::offer_read(const settlement& known)
{
    if (known.outcome == message_outcome::pending)
        return false;
    complete({}, known);
    return true;
}

void message_watcher::fail(detail::failure reason)
{
    complete(reason, {});
}

asio::awaitable<void> message_watcher::ask_store(record_store& store, watchers& all_watchers)
{
    const auto alive = shared_from_this();
    const auto known = co_await store.outcome(run(), message());
    if (known)
        all_watchers.offer_read(*this, *known);
    else
        all_watchers.fail(alive, make_error_code(errc::not_found));
}

void watchers::add(const std::shared_ptr<watcher>& waiting)
{
    const std::lock_guard lock{mutex_};
    add_locked(waiting);
}

void watchers::add(const std::shared_ptr<message_watcher>& waiting, run_id run,
                   std::uint64_t message)
{
    const std::lock_guard lock{mutex_};
    waiting->wait_for(run, message);
    add_locked(waiting);
}

void watchers::add_locked(const std::shared_ptr<watcher>& waiting)
{
    if (stopped_) {
        waiting->fail(make_error_code(errc::not_running));
        return;
    }
    if (waiting->failed_early_) {
        waiting->fail(*waiting->failed_early_);
        return;
    }
    by_run_.emplace(waiting->run(), waiting);
    count_ = by_run_.size();
}

bool watchers::contains(const watcher& waiting) const
{
    const auto [first, last] = by_run_.equal_range(waiting.run());
    return std::any_of(first, last,
                       [&](const auto& entry) { return entry.second.get() == &waiting; });
}

void watchers::erase(const watcher& waiting)
{
    const auto [first, last] = by_run_.equal_range(waiting.run());
    const auto found = std::find_if(
        first, last, [&](const auto& entry) { return entry.second.get() == &waiting; });
    leave_log(waiting);
    by_run_.erase(found);
    count_ = by_run_.size();
}

void watchers::fail(const std::shared_ptr<watcher>& waiting, detail::failure reason)
{
    const std::lock_guard lock{mutex_};
    if (!contains(*waiting)) {
        waiting->failed_early_ = reason;
        return;
    }
    waiting->fail(reason);
    erase(*waiting);
}

void watchers::offer_transition(const transition& change, bool is_present)
{
    if (count_ == 0)
        return;
    const std::lock_guard lock{mutex_};
    auto [entry, last] = by_run_.equal_range(change.next.id);
    while (entry != last) {
        const bool is_offered = is_present || !entry->second->accepts_records();
        if (!is_offered || !entry->second->offer(change)) {
            ++entry;
            continue;
        }
        leave_log(*entry->second);
        entry = by_run_.erase(entry);
    }
    count_ = by_run_.size();
}

std::vector<std::shared_ptr<watcher>> watchers::find(run_id run)
{
    std::vector<std::shared_ptr<watcher>> found;
    if (count_ == 0)
        return found;
    const std::lock_guard lock{mutex_};
    const auto [first, last] = by_run_.equal_range(run);
    for (auto entry = first; entry != last; ++entry)
        found.push_back(entry->second);
    return found;
}

void watchers::offer_present_record(watcher& waiting, const record& current)
{
    const std::lock_guard lock{mutex_};
    if (!contains(waiting))
        return;
    waiting.seen_ = current.version;
    if (waiting.offer_record(current))
        erase(waiting);
}

void watchers::offer_past_record(watcher& waiting, const record& left)
{
    const std::lock_guard lock{mutex_};
    if (!contains(waiting) || !waiting.seen_ || left.version <= *waiting.seen_)
        return;
    waiting.seen_ = left.version;
    if (waiting.offer_record(left))
        erase(waiting);
}

std::optional<std::uint64_t> watchers::seen_version(const watcher& waiting)
{
    const std::lock_guard lock{mutex_};
    return waiting.seen_;
}

void watchers::follow_log(watcher& waiting, std::uint32_t shard, std::uint64_t sequence)
{
    const std::lock_guard lock{mutex_};
    if (waiting.follows_ || !contains(waiting))
        return;
    waiting.follows_ = shard;
    const auto [log, is_new] = followed_logs_.try_emplace(shard, followed_log{sequence});
    // A log that is followed already may have been read further. What was read then was offered to
    // this watcher, or is in the history that the caller has read since offer_present_record().
    ++log->second.watchers;
}

void watchers::leave_log(const watcher& waiting)
{
    if (!waiting.follows_)
        return;
    const auto log = followed_logs_.find(*waiting.follows_);
    if (--log->second.watchers == 0)
        followed_logs_.erase(log);
}

std::map<std::uint32_t, std::uint64_t> watchers::followed_logs()
{
    const std::lock_guard lock{mutex_};
    std::map<std::uint32_t, std::uint64_t> logs;
    for (const auto& [shard, log] : followed_logs_)
        logs.emplace(shard, log.read);
    return logs;
}

void watchers::note_log_read(std::uint32_t shard, std::uint64_t sequence)
{
    const std::lock_guard lock{mutex_};
    const auto log = followed_logs_.find(shard);
    if (log != followed_logs_.end())
        log->second.read = std::max(log->second.read, sequence);
}

void watchers::forget_logs()
{
    const std::lock_guard lock{mutex_};
    followed_logs_.clear();
    for (const auto& [run, waiting] : by_run_)
        waiting->follows_.reset();
}

std::vector<std::shared_ptr<watcher>> watchers::find_not_following()
{
    const std::lock_guard lock{mutex_};
    std::vector<std::shared_ptr<watcher>> found;
    for (const auto& [run, waiting] : by_run_)
        if (!waiting->follows_)
            found.push_back(waiting);
    return found;
}

void watchers::stop()
{
    const std::lock_guard lock{mutex_};
    stopped_ = true;
    followed_logs_.clear();
    for (const auto& [run, waiting] : by_run_)
        waiting->fail(make_error_code(errc::not_running));
    by_run_.clear();
    count_ = 0;
}

} // namespace pawl::engine_detail
