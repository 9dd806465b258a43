#include "engine/log_follower.hpp"

#include "core/planted.hpp"
#include "engine/error_text.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Nothing waits this long in practice: news cancel the timer.
constexpr duration until_news = std::chrono::hours{24};

} // namespace

log_follower::log_follower(context& shared, std::string cursor, want_function wants,
                           work_function work)
    : shared_(shared), cursor_(std::move(cursor)), wants_(std::move(wants)), work_(std::move(work)),
      strand_(asio::make_strand(shared.executor)), news_(shared.store.shards()),
      done_(shared.store.shards()), places_(shared.store.shards()),
      timer_(shared.clock.make_timer(strand_))
{
}

void log_follower::set_shards(std::uint32_t count)
{
    news_ = std::vector<std::atomic<bool>>(count);
    done_ = std::vector<std::atomic<std::uint64_t>>(count);
    places_ = std::vector<place>(count);
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

/// Lanes of the shard end after the event that they are working off, without another attempt.
void log_follower::forget(std::uint32_t shard)
{
    open_ -= places_[shard].open.size();
    places_[shard] = {};
    // A lease that lapsed and was taken again at once has its old epoch.
    places_[shard].life = ++lives_;
    done_[shard] = 0;
    for (auto at = lanes_.begin(); at != lanes_.end();) {
        auto& own = *at->second;
        if (own.shard != shard) {
            ++at;
            continue;
        }
        own.dropped = true;
        own.pause->cancel();
        if (own.in_user_code)
            own.cancel.emit(asio::cancellation_type::terminal);
        at = lanes_.erase(at);
    }
}

void log_follower::committed(const transition& change)
{
    const auto& next = change.next;
    if (!wants_({next.workflow, change.kind, change.from, next.status}))
        return;
    look(shared_.shard_of(next));
}

void log_follower::look(std::uint32_t shard)
{
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
    if (!ends(waiting))
        co_await wait(*waiting.pause, span);
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
        co_await save_cursors();
        if (!read && !shared_.stopping)
            co_await wait_for_news();
    }
    while (!lanes_.empty())
        co_await wait_for_news();
    co_await save_cursors();
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
        if (!at.known) {
            const auto stored = co_await shared_.store.cursor(cursor_, shard);
            if (at.life != life)
                co_return; // lost meanwhile
            at.read = at.saved = stored;
            at.known = true;
        }
        events = co_await shared_.store.events(shard, at.read, page_size);
    } catch (...) {
        failure = std::current_exception();
    }
    if (at.life != life)
        co_return;
    if (!failure) {
        add(shard, std::move(events));
        co_return;
    }
    shared_.log(
        {log_level::warn, "cannot read events for " + cursor_ + ": " + error_text(failure)});
    news_[shard] = true;
    co_await wait(*timer_, failure_pause);
}

void log_follower::add(std::uint32_t shard, std::vector<event> events)
{
    auto& at = places_[shard];
    if (events.size() == page_size)
        news_[shard] = true;
    for (auto& what : events) {
        at.read = what.sequence;
        if (!wants_({what.workflow, what.kind, what.from, what.to}))
            continue;
        at.open.insert(what.sequence);
        ++open_;
        auto& own = lanes_[what.run];
        const bool is_new = !own;
        if (is_new) {
            own = std::make_shared<lane>();
            own->run = what.run;
            own->shard = shard;
            own->pause = shared_.clock.make_timer(strand_);
        }
        own->events.push_back(std::move(what));
        if (is_new)
            shared_.running.spawn(strand_, run_lane(own), own->cancel.slot(), own);
    }
    done_[shard] = at.open.empty() ? at.read : *at.open.begin() - 1;
    if (PAWL_PLANTED(hook_cursor_before_work)) {
        done_[shard] = at.read;
        at.worked = true;
    }
}

asio::awaitable<void> log_follower::run_lane(std::shared_ptr<lane> own)
{
    // A coroutine that never suspends is finished by a posted handler of its own, which touches its
    // cancellation slot: after the engine would have taken it for finished. So this one suspends.
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
        --open_;
        at.worked = true;
        done_[own->shard] = at.open.empty() ? at.read : *at.open.begin() - 1;
    }
    if (!own->dropped)
        lanes_.erase(own->run);
    wake();
}

/// Only when something was worked off: a commit for passed-over events alone can wait.
asio::awaitable<void> log_follower::save_cursors()
{
    for (std::uint32_t shard = 0; shard < places_.size(); ++shard) {
        auto& at = places_[shard];
        const auto position = done_[shard].load();
        const auto life = at.life;
        if (!std::exchange(at.worked, false) || position <= at.saved || at.epoch == 0)
            continue;
        commit moved{cursor_move{cursor_, shard, position, at.epoch}, {}, {}};
        if (!shared_.commits.apply_now(moved))
            co_await shared_.commits.async_submit(moved, asio::use_awaitable);
        if (at.life == life && !moved.failure && moved.result.status == apply_status::accepted)
            at.saved = position;
    }
}

void log_follower::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->woken_ = true;
        self->timer_->cancel();
        for (const auto& [run, own] : self->lanes_)
            own->pause->cancel();
    });
}

void log_follower::interrupt()
{
    asio::post(strand_, [self = shared_from_this()] {
        // Only user code that is known to be suspended, on its own strand: see
        // activation::interrupt.
        for (const auto& [run, own] : self->lanes_)
            if (own->in_user_code)
                own->cancel.emit(asio::cancellation_type::terminal);
    });
}

} // namespace pawl::engine_detail
