#include "engine/background/retention_runner.hpp"

#include "core/saturating_add.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t history_page = 1000;

/// Events of a batch that is archived, past which it gets no more runs.
constexpr std::size_t max_archived_events = 10'000;

/// After a failure, and while hooks or consumers have not seen what is to be removed.
constexpr duration first_pause = std::chrono::seconds{1};
constexpr duration longest_pause = std::chrono::minutes{1};

} // namespace

retention_runner::retention_runner(engine_parts& shared, const detail::workflow_impl& workflow,
                                   log_follower* hooks, const log_consumers& consumers)
    : shared_(shared), workflow_(workflow), rules_(*workflow.retention), hooks_(hooks),
      consumers_(consumers), strand_(asio::make_strand(shared.executor)),
      timer_(shared.clock.make_timer(strand_)), pause_(first_pause)
{
}

void retention_runner::start()
{
    shared_.running.spawn(strand_, work(), cancel_.slot(), shared_from_this());
}

asio::awaitable<void> retention_runner::sleep(duration span)
{
    if (shared_.stopping || looked_)
        co_return;
    co_await wait(*timer_, span);
}

asio::awaitable<void> retention_runner::work()
{
    co_await asio::post(strand_, asio::use_awaitable);           // see log_follower::run_lane
    const auto shards = shared_.layout.of(workflow_.rules.name); // fixed since the start
    places_.resize(shards.end - shards.begin);
    duration pause = first_pause;
    while (!shared_.stopping) {
        if (std::exchange(looked_, false)) {
            std::ranges::fill(places_, finished_position{});
            pause_ = first_pause;
        }
        std::exception_ptr failure;
        duration wait{};
        try {
            wait = co_await sweep();
        } catch (...) {
            failure = std::current_exception();
        }
        archiving_ = false;
        if (!failure) {
            pause = first_pause;
            co_await sleep(wait);
            continue;
        }
        if (shared_.stopping)
            co_return; // interrupted: nothing may be awaited any more
        // The runs of the batch are still there: from the beginning.
        std::ranges::fill(places_, finished_position{});
        shared_.commits.note_failure(failure);
        shared_.log({log_level::error,
                     "finished runs of " + workflow_.rules.name +
                         " cannot be archived and removed: " + detail::exception_text(failure)});
        co_await sleep(pause);
        pause = std::min(pause * 2, longest_pause);
    }
}

/// One batch; says how long to wait for the next.
asio::awaitable<duration> retention_runner::sweep()
{
    auto runs = co_await collect();
    if (shared_.stopping)
        co_return duration{}; // nothing is begun any more
    if (runs.empty()) {
        const auto wait = co_await end_round();
        co_return wait;
    }
    pause_ = first_pause;
    co_await remove(std::move(runs));
    co_return duration{};
}

asio::awaitable<void> retention_runner::remove(std::vector<archived_run> runs)
{
    if (rules_.archive) {
        archiving_ = true;
        co_await rules_.archive->archive(runs);
        archiving_ = false;
    }
    std::vector<change> batch;
    for (const auto& run : runs)
        batch.push_back(
            removal{run.last.id, run.last.version, shared_.epochs[shared_.shard_of(run.last)]});
    // One that waits for a lock keeps no other from being removed.
    const auto applied = co_await shared_.store.apply_apart(batch);
    std::exception_ptr failure;
    for (bool waits = applied.pending != nullptr; waits;) {
        const auto known = co_await applied.pending->next();
        waits = !known.empty();
        for (const auto& each : known)
            if (each.failure)
                failure = each.failure;
    }
    if (failure)
        std::rethrow_exception(failure);
    shared_.log({log_level::debug, std::to_string(runs.size()) + " finished runs of " +
                                       workflow_.rules.name + " have been removed"});
}

/// The next runs that may go, of whichever shard; none at the end of a round.
asio::awaitable<std::vector<archived_run>> retention_runner::collect()
{
    std::vector<archived_run> runs;
    positions_.clear();
    const auto until = core::saturating_add(shared_.clock.now(), -rules_.keep);
    const auto shards = static_cast<std::uint32_t>(places_.size());
    for (std::uint32_t i = 0; i < shards && runs.empty() && !shared_.stopping; ++i) {
        co_await collect_from(next_, until, runs);
        next_ = (next_ + 1) % shards;
    }
    co_return runs;
}

asio::awaitable<void> retention_runner::collect_from(std::uint32_t slice, time_point until,
                                                     std::vector<archived_run>& into)
{
    const auto shard = shared_.layout.of(workflow_.rules.name).begin + slice;
    std::size_t events = 0;
    bool more = shared_.epochs[shard] != 0;
    while (more && into.size() < rules_.batch && events < max_archived_events) {
        const auto wanted = rules_.batch - into.size();
        auto page = co_await shared_.store.finished_behind(shard, workflow_.rules.name,
                                                           places_[slice], until, wanted);
        more = page.size() == wanted;
        for (auto& run : page) {
            if (shared_.stopping || events >= max_archived_events)
                co_return;
            places_[slice] = {run.updated_at, run.id};
            // A deletion that is under way comes first; it makes the run younger.
            const bool deleting = run.state == run_state::requested_data_deleted;
            const bool goes = !deleting && co_await may_go(run);
            if (!goes) {
                ++passed_over_;
                continue;
            }
            archived_run taken{std::move(run), {}};
            if (rules_.archive)
                co_await read_history(taken);
            events += taken.history.size();
            into.push_back(std::move(taken));
        }
    }
}

/// Whether everybody has seen the run's events.
asio::awaitable<bool> retention_runner::may_go(record run)
{
    const auto consumers = consumers_.of(workflow_.rules.name);
    if (!hooks_ && consumers.empty())
        co_return true;
    const auto last = co_await shared_.store.history(run.id, run.version - 1, 1);
    if (last.empty())
        co_return true;
    const auto& end = last.front();
    if (hooks_ && !hooks_->has_seen(run.id, end.shard, end.sequence)) {
        hooks_->look(end.shard);
        co_return false;
    }
    for (const auto& consumer : consumers) {
        const bool seen = co_await has_seen(consumer, run, end);
        if (!seen)
            co_return false;
    }
    co_return true;
}

/// Whether the consumer has acknowledged what it gets of the run. Reads the run's history from its
/// end, no further than the consumer has come.
asio::awaitable<bool> retention_runner::has_seen(log_consumers::entry consumer, record run,
                                                 event last)
{
    const auto next = co_await position_of(consumer, last.shard);
    if (next == 0 || next > last.sequence)
        co_return true; // it never reads this source, or is past the run
    for (auto high = run.version; high > 0;) {
        const auto low = high > history_page ? high - history_page : 0;
        const auto page = co_await shared_.store.history(run.id, low, high - low);
        const bool waits = std::ranges::any_of(page, [&](const event& each) {
            return each.sequence >= next && consumer.source->wants(each.kind);
        });
        if (waits)
            co_return false;
        if (page.empty() || page.front().sequence < next)
            break;
        high = low;
    }
    co_return true;
}

asio::awaitable<std::uint64_t> retention_runner::position_of(log_consumers::entry consumer,
                                                             std::uint32_t shard)
{
    const std::pair key{consumer.consumer, shard};
    const auto known = positions_.find(key);
    if (known != positions_.end())
        co_return known->second;
    const auto next = co_await consumer.source->position(consumer.consumer, shard);
    positions_[key] = next;
    co_return next;
}

asio::awaitable<void> retention_runner::read_history(archived_run& of)
{
    std::uint64_t after = 0;
    for (bool more = true; more;) {
        auto page = co_await shared_.store.history(of.last.id, after, history_page);
        more = page.size() == history_page;
        for (auto& what : page)
            of.history.push_back(std::move(what));
        after = of.history.empty() ? 0 : of.history.back().version;
    }
}

/// How long until the next round.
asio::awaitable<duration> retention_runner::end_round()
{
    std::ranges::fill(places_, finished_position{});
    if (std::exchange(passed_over_, 0) == 0) {
        const auto wait = co_await until_next();
        co_return wait;
    }
    const auto wait = pause_;
    pause_ = std::min(pause_ * 2, longest_pause);
    co_return wait;
}

/// Nothing that finishes from now on is due before that.
asio::awaitable<duration> retention_runner::until_next()
{
    auto oldest = time_point::max();
    const auto shards = shared_.layout.of(workflow_.rules.name);
    for (auto shard = shards.begin; shard < shards.end; ++shard) {
        if (shared_.epochs[shard] == 0)
            continue;
        const auto first = co_await shared_.store.finished_before(shard, workflow_.rules.name,
                                                                  time_point::max(), 1);
        if (!first.empty())
            oldest = std::min(oldest, first.front().updated_at);
    }
    if (oldest == time_point::max())
        co_return rules_.keep;
    const auto due = core::saturating_add(oldest, rules_.keep);
    co_return std::clamp(due - shared_.clock.now() + duration{1}, first_pause,
                         std::max(rules_.keep, first_pause));
}

void retention_runner::stop()
{
    asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

void retention_runner::look()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->looked_ = true;
        self->timer_->cancel();
    });
}

void retention_runner::interrupt()
{
    asio::post(strand_, [self = shared_from_this()] {
        if (self->archiving_)
            self->cancel_.emit(asio::cancellation_type::terminal);
    });
}

} // namespace pawl::engine_detail
