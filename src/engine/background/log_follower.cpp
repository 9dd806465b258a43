#include "engine/background/log_follower.hpp"

#include "core/planted.hpp"
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

/// Nothing waits this long in practice: news cancel the timer.
constexpr duration until_news = std::chrono::hours{24};

} // namespace

log_follower::log_follower(engine_parts& shared, std::string name, std::vector<std::string> cursors,
                           want_function wants, work_function work)
    : shared_(shared), name_(std::move(name)), cursors_(std::move(cursors)),
      wants_(std::move(wants)), work_(std::move(work)), strand_(asio::make_strand(shared.executor)),
      news_(shared.store.shards()), passed_over_(shared.store.shards()),
      places_(shared.store.shards()), timer_(shared.clock.make_timer(strand_)),
      seen_(shared.store.shards())
{
}

void log_follower::set_shards(std::uint32_t count)
{
    news_ = std::vector<std::atomic<bool>>(count);
    passed_over_ = std::vector<std::atomic<std::uint64_t>>(count);
    places_ = std::vector<place>(count);
    seen_ = std::vector<std::uint64_t>(count);
}

void log_follower::start()
{
    shared_.running.spawn(strand_, follow());
}

void log_follower::take(std::uint32_t shard)
{
    asio::post(strand_, [self = shared_from_this(), shard] {
        self->forget(shard);
        self->places_[shard].epoch = self->shared_.epochs[shard];
        self->look(shard);
    });
}

void log_follower::drop(std::uint32_t shard)
{
    asio::post(strand_, [self = shared_from_this(), shard] { self->forget(shard); });
}

/// What cancels a lane may resume it, and end it: so not while lanes_ is gone through.
std::vector<std::shared_ptr<lane>> log_follower::all_lanes() const
{
    std::vector<std::shared_ptr<lane>> all;
    all.reserve(lanes_.size());
    for (const auto& [run, own] : lanes_)
        all.push_back(own);
    return all;
}

/// Lanes of the shard end after the event that they are working off, without another attempt.
void log_follower::forget(std::uint32_t shard)
{
    open_ -= places_[shard].open.size();
    places_[shard] = {};
    // A lease that lapsed and was taken again at once has its old epoch.
    places_[shard].life = ++lives_;
    std::vector<std::shared_ptr<lane>> left;
    for (auto& own : all_lanes())
        if (own->shard == shard)
            left.push_back(std::move(own));
    {
        const std::lock_guard lock{seen_mutex_};
        seen_[shard] = 0;
        for (const auto& own : left)
            working_.erase(own->run);
    }
    for (const auto& own : left) {
        own->dropped = true;
        unpark(*own);
        lanes_.erase(own->run);
    }
    for (const auto& own : left) {
        own->pause->cancel();
        own->call.cancel();
    }
}

bool log_follower::has_seen(run_id run, std::uint32_t shard, std::uint64_t sequence) const
{
    const std::lock_guard lock{seen_mutex_};
    return seen_[shard] >= sequence && !working_.contains(run);
}

void log_follower::committed(const transition& change)
{
    const auto& next = change.next;
    const auto shard = shared_.shard_of(next);
    if (shard >= passed_over_.size())
        return; // of a workflow that the engine does not know
    if (wants_({next.workflow, change.kind, change.from, next.status}))
        look(shard);
    else if (++passed_over_[shard] >= max_passed_over)
        look(shard);
}

void log_follower::look(std::uint32_t shard)
{
    passed_over_[shard] = 0;
    if (!news_[shard].exchange(true))
        wake();
}

void log_follower::wake()
{
    if (!woken_.exchange(true))
        asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

asio::awaitable<void> log_follower::sleep(lane& waiting, duration span)
{
    if (ends(waiting))
        co_return;
    waiting.parked = true;
    parked_ += waiting.open;
    wake(); // there is room for others
    co_await wait(*waiting.pause, span);
    unpark(waiting);
}

void log_follower::unpark(lane& waiting)
{
    if (std::exchange(waiting.parked, false))
        parked_ -= waiting.open;
}

asio::awaitable<void> log_follower::wait_for_news()
{
    if (!woken_)
        co_await wait(*timer_, until_news);
    woken_ = false;
}

asio::awaitable<void> log_follower::follow()
{
    while (!shared_.stopping) {
        bool read = false;
        for (std::uint32_t shard = 0; shard < places_.size() && !shared_.stopping; ++shard) {
            if (!has_room() || !news_[shard].exchange(false))
                continue;
            co_await read_page(shard);
            read = true;
        }
        co_await save_cursors(max_passed_over);
        if (!read && !shared_.stopping)
            co_await wait_for_news();
    }
    while (!lanes_.empty())
        co_await wait_for_news();
    co_await save_cursors(1);
}

asio::awaitable<void> log_follower::read_page(std::uint32_t shard)
{
    auto& at = places_[shard];
    const auto life = at.life;
    if (at.epoch == 0)
        co_return;
    std::vector<event> events;
    std::exception_ptr failure;
    try {
        if (!at.known)
            co_await read_cursors(at, shard, life);
        if (at.life == life)
            events = co_await shared_.store.events(shard, at.read, page_size);
    } catch (...) {
        failure = std::current_exception();
    }
    if (at.life != life)
        co_return; // lost meanwhile
    if (!failure) {
        add(shard, std::move(events));
        co_return;
    }
    shared_.log({log_level::warn,
                 "cannot read events for " + name_ + ": " + detail::exception_text(failure)});
    news_[shard] = true;
    co_await wait(*timer_, failure_pause);
}

asio::awaitable<void> log_follower::read_cursors(place& at, std::uint32_t shard, std::uint64_t life)
{
    std::vector<std::uint64_t> begins;
    for (const auto& name : cursors_) {
        const auto next = co_await shared_.store.cursor(name, shard);
        begins.push_back(std::max<std::uint64_t>(next, 1) - 1);
    }
    if (at.life != life)
        co_return;
    at.read = at.saved = std::ranges::min(begins);
    at.begins = std::move(begins);
    at.known = true;
}

void log_follower::add(std::uint32_t shard, std::vector<event> events)
{
    auto& at = places_[shard];
    if (events.size() == page_size)
        news_[shard] = true;
    std::vector<std::shared_ptr<lane>> added;
    for (auto& what : events) {
        at.read = what.sequence;
        if (!wants_({what.workflow, what.kind, what.from, what.to}))
            continue;
        at.open.insert(what.sequence);
        ++open_;
        auto& own = lanes_[what.run];
        if (!own) {
            own = std::make_shared<lane>(shared_, strand_, what.run, shard);
            own->begins = at.begins;
            added.push_back(own);
        }
        ++own->open;
        if (own->parked)
            ++parked_;
        own->events.push_back(std::move(what));
    }
    {
        const std::lock_guard lock{seen_mutex_};
        for (const auto& own : added)
            working_.insert(own->run);
        seen_[shard] = at.read;
    }
    for (const auto& own : added)
        shared_.running.spawn(strand_, run_lane(own));
    if (PAWL_PLANTED(hook_cursor_before_work))
        at.worked = true;
}

asio::awaitable<void> log_follower::run_lane(std::shared_ptr<lane> own)
{
    // A coroutine that never suspends would run on in add(), which goes through the lanes.
    co_await asio::post(strand_, asio::use_awaitable);
    auto& at = places_[own->shard];
    while (!own->events.empty() && !ends(*own)) {
        const event what = std::move(own->events.front());
        own->events.pop_front();
        bool done = co_await work_(*own, what);
        if (done && what.version % 4 == 0 && PAWL_PLANTED(hook_twice))
            done = co_await work_(*own, what);
        if (!done || own->dropped)
            break;
        at.open.erase(what.sequence);
        --own->open;
        --open_;
        at.worked = true;
    }
    if (!own->dropped) {
        lanes_.erase(own->run);
        const std::lock_guard lock{seen_mutex_};
        // What was left behind by a stop has not been seen.
        if (own->events.empty() && own->open == 0)
            working_.erase(own->run);
    }
    wake();
}

/// Of the shards where an event was worked off, and of those where as many were passed over: a
/// commit for a few of these alone can wait.
asio::awaitable<void> log_follower::save_cursors(std::uint64_t passed_over)
{
    for (std::uint32_t shard = 0; shard < places_.size(); ++shard) {
        const auto& at = places_[shard];
        const auto position = done_up_to(at);
        if (at.known && position > at.saved && (at.worked || position - at.saved >= passed_over))
            co_await save_cursors_of(shard);
    }
}

asio::awaitable<void> log_follower::save_cursors_of(std::uint32_t shard)
{
    auto& at = places_[shard];
    const auto life = at.life;
    const auto position = PAWL_PLANTED(hook_cursor_before_work) ? at.read : done_up_to(at);
    at.worked = false;
    std::vector<pending_commit> moved;
    for (const auto& name : cursors_)
        moved.push_back({cursor_move{name, shard, position + 1, at.epoch}, {}, {}});
    // In one batch, if the store takes batches. What was submitted first has its result first.
    auto& last = moved.back();
    for (auto& each : moved) {
        if (shared_.commits.try_apply(each))
            continue;
        if (&each == &last)
            co_await shared_.commits.async_submit(each, asio::use_awaitable);
        else
            shared_.commits.async_submit(each, [] {});
    }
    if (at.life != life)
        co_return;
    const bool stored = std::ranges::all_of(moved, [](const pending_commit& each) {
        return !each.failure && each.result.status == apply_status::accepted;
    });
    if (stored)
        at.saved = position;
}

void log_follower::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->woken_ = true;
        self->timer_->cancel();
        for (const auto& own : self->all_lanes())
            own->pause->cancel();
    });
}

void log_follower::interrupt()
{
    asio::post(strand_, [self = shared_from_this()] {
        for (const auto& own : self->all_lanes())
            own->call.cancel();
    });
}

} // namespace pawl::engine_detail
