#include "engine/hook_runner.hpp"

#include "core/decide.hpp"
#include "engine/error_text.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <map>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t page_size = 256;

/// Nothing waits this long in practice: news cancel the timer.
constexpr duration until_news = std::chrono::hours{24};

constexpr duration failure_pause = std::chrono::seconds{1};

/// The record as the event left it, as far as the event tells; the object is the present one.
record as_of(const event& what, record current)
{
    if (current.version == what.version)
        return current;
    current.version = what.version;
    current.status = what.to;
    current.state = what.state;
    current.attempt = what.attempt;
    current.reason = what.error;
    current.updated_at = what.at;
    current.wake_at.reset();
    return current;
}

} // namespace

struct hook_runner::page {
    std::map<run_id, std::vector<event>> by_run;
    std::uint64_t last = 0; ///< sequence
    bool full = false;
};

hook_runner::hook_runner(context& shared, const detail::workflow_impl& workflow, retry_policy retry)
    : shared_(shared), workflow_(workflow), retry_(std::move(retry)),
      cursor_("hooks/" + workflow.rules.name), strand_(asio::make_strand(shared.executor)),
      news_(std::make_unique<std::atomic<bool>[]>(shared.store.shards())),
      positions_(shared.store.shards()), timer_(shared.clock.make_timer(strand_))
{
}

void hook_runner::start()
{
    for (std::size_t shard = 0; shard < positions_.size(); ++shard)
        news_[shard] = shared_.epochs[shard] != 0;
    shared_.running.spawn(strand_, work());
}

void hook_runner::committed(const transition& change)
{
    if (change.next.workflow != workflow_.rules.name || !workflow_.hooks.contains(change.kind))
        return;
    if (!news_[shared_.shard_of(change.next.foreign_id)].exchange(true))
        wake();
}

void hook_runner::wake()
{
    if (!woken_.exchange(true))
        asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

asio::awaitable<void> hook_runner::sleep(timer& clock, duration span)
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, timer* waiting, duration wait) {
            waiting->wait(wait, std::move(handler));
        },
        asio::use_awaitable, &clock, span);
}

asio::awaitable<void> hook_runner::work()
{
    while (!shared_.stopping) {
        for (std::uint32_t shard = 0; shard < positions_.size() && !shared_.stopping; ++shard)
            if (news_[shard].exchange(false))
                co_await work_off(shard);
        if (!woken_.exchange(false) && !shared_.stopping)
            co_await sleep(*timer_, until_news);
    }
}

asio::awaitable<void> hook_runner::work_off(std::uint32_t shard)
{
    bool more = true;
    while (more && !shared_.stopping) {
        page events;
        const bool readable = co_await read_page(shard, events);
        if (!readable || events.last == positions_[shard])
            co_return;
        more = events.full;
        if (!events.by_run.empty())
            co_await run_page(events);
        if (shared_.stopping)
            co_return;
        positions_[shard] = events.last;
        if (events.by_run.empty() && !events.full)
            co_return; // nothing of ours: a commit for the cursor alone can wait
        commit moved{cursor_move{cursor_, shard, events.last, shared_.epochs[shard]}, {}, {}};
        if (!shared_.commits.apply_now(moved))
            co_await shared_.commits.async_submit(moved, asio::use_awaitable);
    }
}

/// False when the store failed: the shard will be looked at again after a pause.
asio::awaitable<bool> hook_runner::read_page(std::uint32_t shard, page& into)
{
    std::exception_ptr failure;
    try {
        if (positions_[shard] == 0)
            positions_[shard] = co_await shared_.store.cursor(cursor_, shard);
        auto events = co_await shared_.store.events(shard, positions_[shard], page_size);
        into.last = events.empty() ? positions_[shard] : events.back().sequence;
        into.full = events.size() == page_size;
        for (auto& what : events)
            if (what.workflow == workflow_.rules.name && workflow_.hooks.contains(what.kind))
                into.by_run[what.run].push_back(std::move(what));
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure)
        co_return true;
    shared_.log(log_level::warn, "cannot read events for the hooks of " + workflow_.rules.name +
                                     ": " + error_text(failure));
    news_[shard] = true;
    co_await sleep(*timer_, failure_pause);
    woken_ = true;
    co_return false;
}

asio::awaitable<void> hook_runner::run_page(page& events)
{
    for (auto& [run, of_one_run] : events.by_run) {
        const auto added = std::make_shared<series>();
        added->events = std::move(of_one_run);
        added->pause = shared_.clock.make_timer(strand_);
        running_.push_back(added);
        shared_.running.spawn(strand_, run_series(added), added->cancel.slot(), added);
    }
    while (!running_.empty())
        co_await sleep(*timer_, until_news);
}

asio::awaitable<void> hook_runner::run_series(std::shared_ptr<series> of_one_run)
{
    // A coroutine that never suspends is finished by a posted handler of its own, which touches its
    // cancellation slot: after run_page() would have taken it for finished. So this one suspends.
    co_await asio::post(strand_, asio::use_awaitable);
    for (const auto& what : of_one_run->events)
        for (const auto& hook : workflow_.hooks.at(what.kind))
            if (!shared_.stopping)
                co_await run_hook(*of_one_run, hook, what);
    std::erase(running_, of_one_run);
    if (running_.empty())
        timer_->cancel();
}

asio::awaitable<void> hook_runner::run_hook(series& within, const detail::hook& hook,
                                            const event& what)
{
    std::optional<record> current;
    co_await read_run(within, what.run, current);
    if (!current)
        co_return;
    const auto seen = as_of(what, std::move(*current));
    for (int attempt = 1; !shared_.stopping; ++attempt) {
        std::exception_ptr failure;
        try {
            within.in_hook = true;
            co_await hook(what, seen);
        } catch (...) {
            failure = std::current_exception();
        }
        within.in_hook = false;
        if (!failure)
            co_return;
        const bool last = retry_.max_attempts > 0 && attempt >= retry_.max_attempts;
        shared_.log(last ? log_level::error : log_level::warn,
                    "hook on " + to_string(what.kind) + " of " + what.workflow + " " +
                        what.foreign_id + " failed (attempt " + std::to_string(attempt) +
                        (last ? ", given up" : "") + "): " + error_text(failure));
        if (last || shared_.stopping)
            co_return;
        co_await sleep(*within.pause, core::back_off(retry_, attempt, what.sequence));
    }
}

/// Reads until the store answers: its failures are none of the hook's attempts.
asio::awaitable<void> hook_runner::read_run(series& within, run_id run, std::optional<record>& into)
{
    while (!shared_.stopping) {
        std::exception_ptr failure;
        try {
            into = co_await shared_.store.find(run);
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure)
            co_return;
        shared_.log(log_level::warn,
                    "cannot read run " + to_string(run) + " for a hook: " + error_text(failure));
        co_await sleep(*within.pause, failure_pause);
    }
}

void hook_runner::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->timer_->cancel();
        for (const auto& each : self->running_)
            each->pause->cancel();
    });
}

void hook_runner::interrupt()
{
    asio::post(strand_, [self = shared_from_this()] {
        // Only hooks that are known to be suspended, on their own strand: see
        // activation::interrupt.
        for (const auto& each : self->running_)
            if (each->in_hook)
                each->cancel.emit(asio::cancellation_type::terminal);
    });
}

} // namespace pawl::engine_detail
