#include "engine/cluster/remote_change_listener.hpp"

#include "core/record_at.hpp"
#include "core/saturating_add.hpp"
#include "engine/cluster/definition_log.hpp"
#include "engine/run/due_scanner.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// One look without news in so many reads all that is due, also what is at work.
constexpr std::uint64_t polls_per_sweep = 60;

/// By which the clock of whoever made a change may be behind this engine's, if its news are lost.
constexpr duration news_delay = std::chrono::seconds{2};

} // namespace

remote_change_listener::remote_change_listener(engine_parts& shared, std::shared_ptr<watchers> all,
                                               std::shared_ptr<streams::commit_feed> readers,
                                               commit_told committed, duration poll_interval)
    : shared_(shared), watchers_(std::move(all)), readers_(std::move(readers)),
      committed_(std::move(committed)), poll_interval_(poll_interval),
      strand_(asio::make_strand(shared.executor)), timer_(shared.clock.make_timer(strand_)),
      fresh_(shared.store.shards())
{
}

void remote_change_listener::set_shards(std::uint32_t count)
{
    fresh_ = std::vector<std::atomic<bool>>(count);
}

void remote_change_listener::start()
{
    if (!shared_.store.shared())
        return;
    listening_ = shared_.store.subscribe([weak = weak_from_this()](auto news) {
        if (const auto self = weak.lock())
            self->hear(news);
    });
    next_poll_ = shared_.clock.now();
    shared_.background.spawn(strand_, work());
}

void remote_change_listener::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->listening_.reset();
        self->timer_->cancel();
    });
}

void remote_change_listener::hear(std::span<const shard_change> news)
{
    if (shared_.cancelling)
        return;
    bool known = false;
    for (const auto& each : news) {
        readers_->tell(each.shard); // of whichever workflow
        if (each.shard >= fresh_.size())
            continue;
        if (each.due == time_point::min())
            gap_ = true;
        if (each.due)
            shared_.due->scan_from(each.shard, *each.due);
        if (shared_.owns(each.shard))
            committed_(each.shard);
        fresh_[each.shard] = true;
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

void remote_change_listener::shards_dropped()
{
    dropped_ = true;
    wake();
}

asio::awaitable<void> remote_change_listener::work()
{
    while (!shared_.cancelling) {
        const bool poll = co_await wait_for_news();
        if (shared_.cancelling)
            co_return;
        if (poll)
            look_without_news();
        std::exception_ptr failure;
        if (gap_.exchange(false))
            read_again();
        try {
            if (dropped_.exchange(false))
                co_await attend_again();
            if (poll)
                co_await shared_.clock.follow_store(shared_.store);
            co_await read_logs(poll);
            if (poll)
                co_await look_for_newer_definitions(shared_);
        } catch (...) {
            failure = std::current_exception();
        }
        reachable_ = !failure;
        if (!failure)
            continue;
        read_again();
        shared_.log({log_level::warn, "cannot read what other engines have committed: " +
                                          detail::exception_text(failure)});
    }
}

/// News that were lost were of what became due since the last look; runs that are due for longer
/// are at work, or wait here. Now and then everything is read all the same.
void remote_change_listener::look_without_news()
{
    const bool all = polls_++ % polls_per_sweep == 0;
    const auto since = shared_.clock.now() - 2 * poll_interval_ - news_delay;
    for (std::uint32_t shard = 0; shard < shared_.layout.count(); ++shard) {
        if (all)
            shared_.due->rescan_shard(shard);
        else
            shared_.due->scan_from(shard, since);
        if (shared_.owns(shard))
            committed_(shard);
        readers_->tell(shard);
    }
}

/// True when it is time to look without news.
asio::awaitable<bool> remote_change_listener::wait_for_news()
{
    const auto now = shared_.clock.now();
    // A clock that was set back must not put the look off.
    const auto left = std::min(next_poll_ - now, poll_interval_);
    if (!woken_ && left > duration::zero())
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
            [](auto handler, timer* waiting, duration length) {
                waiting->wait(length, std::move(handler));
            },
            asio::use_awaitable, timer_.get(), left);
    woken_ = false;
    const auto then = shared_.clock.now();
    if (then < next_poll_ && next_poll_ - then <= poll_interval_)
        co_return false;
    next_poll_ = core::saturating_add(then, poll_interval_);
    co_return true;
}

asio::awaitable<void> remote_change_listener::read_logs(bool all)
{
    const auto logs = watchers_->followed_logs();
    for (const auto& [shard, read] : logs) {
        if (all)
            co_await check_log(shard, read);
        if (fresh_[shard].exchange(false) || all)
            co_await read_log(shard, read);
    }
    // Nobody waits: this only shows whether the store can be reached.
    if (all && logs.empty())
        co_await shared_.store.roles("pawl.engine/");
}

/// A store that could not be reached may have lost commits, so positions in its logs are no longer
/// valid; and some watchers may not have been told.
void remote_change_listener::read_again()
{
    watchers_->forget_logs();
    dropped_ = true;
}

asio::awaitable<void> remote_change_listener::check_log(std::uint32_t shard, std::uint64_t read)
{
    const auto end = co_await shared_.store.log_end(shard);
    if (end >= read)
        co_return;
    read_again();
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
        for (auto& what : events)
            if (!watchers_->find(what.run).empty())
                by_run[what.run].push_back(std::move(what));
        for (auto& [run, own] : by_run)
            co_await tell(run, std::move(own));
        watchers_->note_log_read(shard, after);
    }
}

/// A status that the run has left meanwhile counts too.
asio::awaitable<void> remote_change_listener::tell(run_id run, std::vector<event> events)
{
    const auto current = co_await shared_.store.find(run);
    for (const auto& what : events)
        for (const auto& waiting : watchers_->find(run))
            if (current)
                watchers_->offer_record(*waiting, core::record_at(what, *current));
    for (const auto& waiting : watchers_->find(run))
        if (!waiting->accepts_records())
            co_await waiting->ask_store(shared_.store, *watchers_);
}

asio::awaitable<void> remote_change_listener::attend_again()
{
    for (auto& waiting : watchers_->find_not_following()) {
        const auto run = waiting->run();
        auto events =
            co_await shared_.store.history(run, watchers_->seen_version(*waiting), page_size);
        co_await tell(run, std::move(events));
        co_await attend(waiting);
    }
}

asio::awaitable<void> remote_change_listener::attend(std::shared_ptr<watcher> waiting)
{
    const auto current = co_await shared_.store.find(waiting->run());
    if (!current) {
        watchers_->fail(waiting, make_error_code(errc::not_found));
        co_return;
    }
    watchers_->offer_present_record(*waiting, *current);
    const auto shard = shared_.shard_of(*current);
    if (shard >= fresh_.size()) { // of a workflow that is not the engine's
        watchers_->fail(waiting, make_error_code(errc::not_found));
        co_return;
    }
    if (shared_.epochs[shard] == 0) {
        const auto last = co_await shared_.store.history(current->id, current->version - 1, 1);
        if (!last.empty()) {
            watchers_->follow_log(*waiting, shard, last.front().sequence);
            fresh_[shard] = true; // what came between the two
            wake();
        }
    }
    if (!waiting->accepts_records())
        co_await waiting->ask_store(shared_.store, *watchers_);
}

} // namespace pawl::engine_detail
