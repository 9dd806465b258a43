#include "engine/due_scanner.hpp"

#include "core/planted.hpp"
#include "engine/active_runs.hpp"
#include "engine/error_text.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace pawl::engine_detail {

namespace asio = boost::asio;

due_scanner::due_scanner(context& shared)
    : shared_(shared), strand_(asio::make_strand(shared.executor)), places_(shared.store.shards()),
      timer_(shared.clock.make_timer(strand_))
{
}

std::optional<time_point> due_scanner::place::due_at(time_point now) const
{
    if (!next)
        return std::nullopt;
    // A clock that was set back must not put the scan off.
    return not_before > now + failure_pause ? next->at : std::max(next->at, not_before);
}

void due_scanner::start()
{
    {
        const std::lock_guard lock{mutex_};
        begin_at_the_beginning();
    }
    shared_.running.spawn(strand_, scan());
}

void due_scanner::begin_at_the_beginning()
{
    for (std::size_t shard = 0; shard < places_.size(); ++shard)
        if (shared_.epochs[shard] != 0)
            places_[shard].next = due_position{};
}

void due_scanner::stop()
{
    wake();
}

void due_scanner::look_again(std::uint32_t shard)
{
    due_at(shard, time_point::min());
}

void due_scanner::forget(std::uint32_t shard)
{
    const std::lock_guard lock{mutex_};
    places_[shard] = {};
}

void due_scanner::due_at(std::uint32_t shard, time_point at)
{
    if (shared_.epochs[shard] == 0)
        return;
    {
        const std::lock_guard lock{mutex_};
        auto& next = places_[shard].next;
        const due_position wanted{at, {}};
        // By id too: the position may stand at another run of the same time.
        if (next && *next <= wanted)
            return;
        if (next && PAWL_PLANTED(wake_up_lost))
            return;
        next = wanted;
        if (!sleeping_until_ || *sleeping_until_ <= at)
            return;
    }
    wake();
}

void due_scanner::start_over()
{
    {
        const std::lock_guard lock{mutex_};
        begin_at_the_beginning();
        const auto later = shared_.clock.now() + failure_pause;
        for (auto& each : places_)
            each.not_before = later;
    }
    wake();
}

void due_scanner::room()
{
    {
        const std::lock_guard lock{mutex_};
        if (!std::exchange(full_, false))
            return;
    }
    wake();
}

void due_scanner::wake()
{
    {
        const std::lock_guard lock{mutex_};
        woken_ = true;
    }
    asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

asio::awaitable<void> due_scanner::scan()
{
    while (!shared_.stopping) {
        co_await sleep();
        for (std::uint32_t shard = 0; shard < places_.size() && !shared_.stopping; ++shard)
            co_await scan_shard(shard);
    }
}

/// Completes when some position may be due, or something has changed.
asio::awaitable<void> due_scanner::sleep()
{
    duration span = longest_sleep;
    {
        const std::lock_guard lock{mutex_};
        const auto now = shared_.clock.now();
        auto until = time_point::max();
        if (!full_)
            for (const auto& each : places_)
                until = std::min(until, each.due_at(now).value_or(until));
        if (std::exchange(woken_, false) || until <= now || shared_.stopping)
            co_return;
        sleeping_until_ = until;
        if (until < now + longest_sleep)
            span = until - now;
    }
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, timer* clock, duration wait) { clock->wait(wait, std::move(handler)); },
        asio::use_awaitable, timer_.get(), span);
    const std::lock_guard lock{mutex_};
    sleeping_until_.reset();
}

asio::awaitable<void> due_scanner::scan_shard(std::uint32_t shard)
{
    for (;;) {
        due_position from;
        const auto now = shared_.clock.now();
        {
            const std::lock_guard lock{mutex_};
            auto& place = places_[shard];
            if (full_ || place.due_at(now).value_or(time_point::max()) > now ||
                shared_.epochs[shard] == 0)
                co_return;
            from = *place.next;
            // What becomes due while the store is read is found beside the page: see remember().
            place.next.reset();
        }
        // What is read of a run is out of date if the run is active meanwhile, and has ended that
        // when the answer comes.
        shared_.active->note_ends();
        due_page page;
        std::exception_ptr failure;
        try {
            page = co_await shared_.store.due(shard, from, now, page_size);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            shared_.active->forget_ends();
            shared_.log({log_level::warn, "cannot read what is due: " + error_text(failure)});
            remember(shard, from);
            const std::lock_guard lock{mutex_};
            places_[shard].not_before = now + failure_pause;
            co_return;
        }
        auto next = page.next;
        for (auto& run : page.runs) {
            const due_position position{run.wake_at.value_or(now), run.id};
            if (shared_.active->begin(std::move(run)) == active_runs::begun::full) {
                next = position;
                const std::lock_guard lock{mutex_};
                full_ = true;
                break;
            }
        }
        shared_.active->forget_ends();
        remember(shard, next);
        // One may have ended between the refusal and the note of it.
        if (shared_.active->size() < shared_.max_active_runs)
            room();
    }
}

void due_scanner::remember(std::uint32_t shard, std::optional<due_position> next)
{
    const std::lock_guard lock{mutex_};
    auto& known = places_[shard].next;
    // A shard that was lost while it was read is looked at from the beginning when it is taken.
    if (shared_.epochs[shard] != 0 && next && (!known || *next < *known))
        known = next;
}

} // namespace pawl::engine_detail
