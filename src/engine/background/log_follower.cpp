#include "engine/background/log_follower.hpp"

#include "engine/run/exception_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// No wait takes this long in practice: a notification cancels the timer.
constexpr duration until_notification = std::chrono::hours{24};

} // namespace

log_follower::log_follower(engine_parts& shared, std::string name, std::vector<std::string> cursors,
                           want_function wants, process_function process)
    : shared_(shared), name_(std::move(name)), cursors_(std::move(cursors)),
      wants_(std::move(wants)), process_(std::move(process)),
      strand_(asio::make_strand(shared.executor)), unread_(shared.store.shards()),
      passed_over_(shared.store.shards()), progress_(shared.store.shards()),
      timer_(shared.clock.make_timer(strand_)), seen_(shared.store.shards())
{
}

void log_follower::set_shards(std::uint32_t count)
{
    unread_ = std::vector<std::atomic<bool>>(count);
    passed_over_ = std::vector<std::atomic<std::uint64_t>>(count);
    progress_ = std::vector<shard_progress>(count);
    seen_ = std::vector<std::uint64_t>(count);
}

void log_follower::start()
{
    shared_.running.spawn(strand_, follow());
}

void log_follower::follow_shard(std::uint32_t shard)
{
    asio::post(strand_, [self = shared_from_this(), shard] {
        self->reset_shard(shard);
        self->progress_[shard].epoch = self->shared_.epochs[shard];
        self->notify_shard(shard);
    });
}

void log_follower::drop_shard(std::uint32_t shard)
{
    asio::post(strand_, [self = shared_from_this(), shard] { self->reset_shard(shard); });
}

/// A copy, because cancelling a lane may end it and erase it from lanes_.
std::vector<std::shared_ptr<run_lane>> log_follower::all_lanes() const
{
    std::vector<std::shared_ptr<run_lane>> all;
    all.reserve(lanes_.size());
    for (const auto& [run, lane] : lanes_)
        all.push_back(lane);
    return all;
}

/// The shard's lanes end after their current event, without another attempt.
void log_follower::reset_shard(std::uint32_t shard)
{
    open_ -= progress_[shard].open.size();
    progress_[shard] = {};
    // The epoch is not enough: a lease that lapsed and was acquired again at once keeps it.
    progress_[shard].generation = ++generations_;
    std::vector<std::shared_ptr<run_lane>> left;
    for (auto& lane : all_lanes())
        if (lane->shard == shard)
            left.push_back(std::move(lane));
    {
        const std::lock_guard lock{seen_mutex_};
        seen_[shard] = 0;
        for (const auto& lane : left)
            open_runs_.erase(lane->run);
    }
    for (const auto& lane : left) {
        lane->dropped = true;
        unpark_lane(*lane);
        lanes_.erase(lane->run);
    }
    for (const auto& lane : left) {
        lane->pause->cancel();
        lane->call.cancel();
    }
}

bool log_follower::has_seen(run_id run, std::uint32_t shard, std::uint64_t sequence) const
{
    const std::lock_guard lock{seen_mutex_};
    return seen_[shard] >= sequence && !open_runs_.contains(run);
}

void log_follower::note_commit(const transition& change)
{
    const auto& next = change.next;
    const auto shard = shared_.shard_of(next);
    if (shard >= passed_over_.size())
        return; // the engine does not have the workflow
    if (wants_({next.workflow, change.kind, change.from, next.status}))
        notify_shard(shard);
    else if (++passed_over_[shard] >= max_passed_over)
        notify_shard(shard);
}

void log_follower::notify_shard(std::uint32_t shard)
{
    passed_over_[shard] = 0;
    if (!unread_[shard].exchange(true))
        wake();
}

void log_follower::wake()
{
    if (!woken_.exchange(true))
        asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

asio::awaitable<void> log_follower::sleep(run_lane& lane, duration span)
{
    if (must_end(lane))
        co_return;
    lane.parked = true;
    parked_ += lane.open;
    wake(); // there is room for other events
    co_await wait(*lane.pause, span);
    unpark_lane(lane);
}

void log_follower::unpark_lane(run_lane& lane)
{
    if (std::exchange(lane.parked, false))
        parked_ -= lane.open;
}

asio::awaitable<void> log_follower::wait_for_notification()
{
    auto span = until_notification;
    const auto now = shared_.clock.steady();
    for (const auto& progress : progress_)
        if (progress.not_before > now)
            span = std::min(span, progress.not_before - now);
    if (!woken_)
        co_await wait(*timer_, span);
    woken_ = false;
}

asio::awaitable<void> log_follower::follow()
{
    while (!shared_.stopping) {
        bool read = false;
        for (std::uint32_t shard = 0; shard < progress_.size() && !shared_.stopping; ++shard) {
            const bool is_paused = progress_[shard].not_before > shared_.clock.steady();
            if (!has_room() || is_paused || !unread_[shard].exchange(false))
                continue;
            co_await read_page(shard);
            read = true;
        }
        co_await save_cursors(max_passed_over);
        if (!read && !shared_.stopping)
            co_await wait_for_notification();
    }
    while (!lanes_.empty())
        co_await wait_for_notification();
    co_await save_cursors(1);
}

asio::awaitable<void> log_follower::read_page(std::uint32_t shard)
{
    auto& progress = progress_[shard];
    const auto generation = progress.generation;
    if (progress.epoch == 0)
        co_return;
    std::vector<event> events;
    std::exception_ptr failure;
    try {
        if (!progress.known)
            co_await read_cursors(progress, shard, generation);
        if (progress.generation == generation)
            events = co_await shared_.store.events(shard, progress.read, page_size);
    } catch (...) {
        failure = std::current_exception();
    }
    if (progress.generation != generation)
        co_return; // dropped meanwhile
    if (!failure) {
        add_events(shard, std::move(events));
        co_return;
    }
    shared_.log({log_level::warn,
                 "cannot read events for " + name_ + ": " + detail::exception_text(failure)});
    unread_[shard] = true;
    progress.not_before = shared_.clock.steady() + failure_pause;
}

asio::awaitable<void> log_follower::read_cursors(shard_progress& progress, std::uint32_t shard,
                                                 std::uint64_t generation)
{
    std::vector<std::uint64_t> start_positions;
    for (const auto& name : cursors_) {
        const auto next = co_await shared_.store.cursor(name, shard);
        start_positions.push_back(std::max<std::uint64_t>(next, 1) - 1);
    }
    if (progress.generation != generation)
        co_return;
    progress.read = progress.saved = std::ranges::min(start_positions);
    progress.start_positions = std::move(start_positions);
    progress.known = true;
}

void log_follower::add_events(std::uint32_t shard, std::vector<event> events)
{
    auto& progress = progress_[shard];
    if (events.size() == page_size)
        unread_[shard] = true;
    std::vector<std::shared_ptr<run_lane>> added;
    for (auto& event : events) {
        progress.read = event.sequence;
        if (!wants_({event.workflow, event.kind, event.from, event.to}))
            continue;
        progress.open.insert(event.sequence);
        ++open_;
        auto& lane = lanes_[event.run];
        if (!lane) {
            lane = std::make_shared<run_lane>(shared_, strand_, event.run, shard);
            lane->start_positions = progress.start_positions;
            added.push_back(lane);
        }
        ++lane->open;
        if (lane->parked)
            ++parked_;
        lane->events.push_back(std::move(event));
    }
    {
        const std::lock_guard lock{seen_mutex_};
        for (const auto& lane : added)
            open_runs_.insert(lane->run);
        seen_[shard] = progress.read;
    }
    for (const auto& lane : added)
        shared_.running.spawn(strand_, process_lane(lane));
}

asio::awaitable<void> log_follower::process_lane(std::shared_ptr<run_lane> lane)
{
    // Without this post, the coroutine could run inside add_events() and change lanes_ there.
    co_await asio::post(strand_, asio::use_awaitable);
    auto& progress = progress_[lane->shard];
    while (!lane->events.empty() && !must_end(*lane)) {
        const event current = std::move(lane->events.front());
        lane->events.pop_front();
        const bool done = co_await process_(*lane, current);
        if (!done || lane->dropped)
            break;
        const bool had_room = has_room();
        progress.open.erase(current.sequence);
        --lane->open;
        --open_;
        progress.processed = true;
        if (!had_room)
            wake(); // other runs need not wait until this one has no more events
    }
    if (!lane->dropped) {
        lanes_.erase(lane->run);
        const std::lock_guard lock{seen_mutex_};
        // Events that remain after a stop have not been seen.
        if (lane->events.empty() && lane->open == 0)
            open_runs_.erase(lane->run);
    }
    wake();
}

/// Saves the cursors of shards in which an event was processed, or `passed_over` events were passed
/// over: fewer of these are not worth a commit.
asio::awaitable<void> log_follower::save_cursors(std::uint64_t passed_over)
{
    for (std::uint32_t shard = 0; shard < progress_.size(); ++shard) {
        const auto& progress = progress_[shard];
        const auto position = processed_up_to(progress);
        if (progress.known && position > progress.saved &&
            (progress.processed || position - progress.saved >= passed_over))
            co_await save_cursors_of(shard);
    }
}

asio::awaitable<void> log_follower::save_cursors_of(std::uint32_t shard)
{
    auto& progress = progress_[shard];
    const auto generation = progress.generation;
    const auto position = processed_up_to(progress);
    progress.processed = false;
    std::vector<pending_commit> moved;
    for (const auto& name : cursors_)
        moved.push_back({cursor_move{name, shard, position + 1, progress.epoch}, {}, {}});
    // One batch, if the store takes batches. Results come in the order of submission, so that the
    // last result is enough to wait for.
    auto& last = moved.back();
    for (auto& move : moved) {
        if (shared_.commits.try_apply(move))
            continue;
        if (&move == &last)
            co_await shared_.commits.async_submit(move, asio::use_awaitable);
        else
            shared_.commits.async_submit(move, [] {});
    }
    if (progress.generation != generation)
        co_return;
    const bool stored = std::ranges::all_of(moved, [](const pending_commit& move) {
        return !move.failure && move.result.status == apply_status::accepted;
    });
    if (stored)
        progress.saved = position;
}

void log_follower::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->woken_ = true;
        self->timer_->cancel();
        for (const auto& lane : self->all_lanes())
            lane->pause->cancel();
    });
}

void log_follower::interrupt()
{
    asio::post(strand_, [self = shared_from_this()] {
        for (const auto& lane : self->all_lanes())
            lane->call.cancel();
    });
}

} // namespace pawl::engine_detail
