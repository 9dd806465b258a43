#include "engine/watchers.hpp"

#include "engine/complete.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

status_watcher::status_watcher(asio::any_io_executor executor, run_id run,
                               std::vector<int> statuses, detail::completion<record> done)
    : watcher(run), executor_(std::move(executor)), statuses_(std::move(statuses)),
      done_(std::move(done))
{
}

bool status_watcher::look_at(const record& current)
{
    const bool reached = statuses_.empty()
                             ? is_finished(current.state)
                             : std::ranges::find(statuses_, current.status) != statuses_.end();
    if (!reached && !is_finished(current.state))
        return false;
    const auto result = reached ? error_code{} : make_error_code(errc::finished_elsewhere);
    complete(executor_, std::move(*done_), result, current);
    return true;
}

void status_watcher::fail(error_code why)
{
    complete(executor_, std::move(*done_), why, record{});
}

message_watcher::message_watcher(asio::any_io_executor executor, run_id run, std::uint64_t message,
                                 detail::completion<settlement> done)
    : watcher(run), executor_(std::move(executor)), message_(message), done_(std::move(done))
{
}

bool message_watcher::offer(const transition& committed)
{
    const auto ended = std::ranges::find(committed.settled, message_, &settlement::sequence);
    if (ended != committed.settled.end())
        return look_at(*ended);
    // The end of a run settles every message that is left.
    return is_finished(committed.next.state) &&
           look_at({message_, message_outcome::refused, "the run has finished"});
}

bool message_watcher::look_at(const settlement& known)
{
    if (known.outcome == message_outcome::pending)
        return false;
    complete(executor_, std::move(*done_), error_code{}, known);
    return true;
}

void message_watcher::fail(error_code why)
{
    complete(executor_, std::move(*done_), why, settlement{});
}

void watchers::add(const std::shared_ptr<watcher>& waiting)
{
    const std::lock_guard lock{mutex_};
    if (stopped_) {
        waiting->fail(make_error_code(errc::not_running));
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
    const auto at = std::find_if(first, last,
                                 [&](const auto& entry) { return entry.second.get() == &waiting; });
    by_run_.erase(at);
    count_ = by_run_.size();
}

void watchers::fail(const std::shared_ptr<watcher>& waiting, error_code why)
{
    const std::lock_guard lock{mutex_};
    if (!contains(*waiting))
        return;
    waiting->fail(why);
    erase(*waiting);
}

void watchers::committed(const transition& change)
{
    if (count_ == 0)
        return;
    const std::lock_guard lock{mutex_};
    auto [at, last] = by_run_.equal_range(change.next.id);
    while (at != last)
        at = at->second->offer(change) ? by_run_.erase(at) : std::next(at);
    count_ = by_run_.size();
}

void watchers::stop()
{
    const std::lock_guard lock{mutex_};
    stopped_ = true;
    for (const auto& [run, waiting] : by_run_)
        waiting->fail(make_error_code(errc::not_running));
    by_run_.clear();
    count_ = 0;
}

} // namespace pawl::engine_detail
