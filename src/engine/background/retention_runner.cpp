#include "engine/background/retention_runner.hpp"

#include "core/message_acceptance.hpp"
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

/// A batch with this many events to archive gets no further run.
constexpr std::size_t max_archived_events = 10'000;

/// Further damaged runs are not logged.
constexpr std::size_t max_damaged = 1'024;

/// The wait after a failure, and while runs are passed over.
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
    if (shared_.stopping || restart_)
        co_return;
    co_await wait(*timer_, span);
}

asio::awaitable<void> retention_runner::work()
{
    co_await asio::post(strand_, asio::use_awaitable); // see log_follower::process_lane
    const auto shards = shared_.layout.shards_of(workflow_.rules.name); // fixed since the start
    checked_.resize(shards.end - shards.begin);
    duration pause = first_pause;
    while (!shared_.stopping) {
        if (std::exchange(restart_, false)) {
            std::ranges::fill(checked_, finished_position{});
            pause_ = first_pause;
        }
        std::exception_ptr failure;
        duration wait{};
        try {
            wait = co_await remove_batch();
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
            co_return; // cancelled: awaiting would fail
        // The runs of the batch were not removed: the round starts over.
        std::ranges::fill(checked_, finished_position{});
        shared_.commits.note_failure(failure);
        shared_.log({log_level::error,
                     "finished runs of " + workflow_.rules.name +
                         " cannot be archived and removed: " + detail::exception_text(failure)});
        co_await sleep(pause);
        pause = std::min(pause * 2, longest_pause);
    }
}

/// Removes one batch. Returns the time to wait before the next.
asio::awaitable<duration> retention_runner::remove_batch()
{
    auto runs = co_await collect_runs();
    if (shared_.stopping)
        co_return duration{};
    if (runs.empty()) {
        const auto wait = co_await end_round();
        co_return wait;
    }
    pause_ = first_pause;
    co_await archive_and_remove(std::move(runs));
    co_return duration{};
}

asio::awaitable<void> retention_runner::archive_and_remove(std::vector<archived_run> runs)
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
    // A removal that waits for a lock does not delay the others.
    const auto applied = co_await shared_.store.apply_apart(batch);
    std::exception_ptr failure;
    for (bool more = applied.pending != nullptr; more;) {
        const auto results = co_await applied.pending->next();
        more = !results.empty();
        for (const auto& result : results)
            if (result.failure)
                failure = result.failure;
    }
    if (failure)
        std::rethrow_exception(failure);
    shared_.log({log_level::debug, std::to_string(runs.size()) + " finished runs of " +
                                       workflow_.rules.name + " have been removed"});
}

/// The next runs to remove, all of one shard; empty at the end of a round.
asio::awaitable<std::vector<archived_run>> retention_runner::collect_runs()
{
    std::vector<archived_run> runs;
    positions_.clear();
    const auto finished_until = core::saturating_add(shared_.clock.now(), -rules_.keep);
    const auto shards = static_cast<std::uint32_t>(checked_.size());
    for (std::uint32_t i = 0; i < shards && runs.empty() && !shared_.stopping; ++i) {
        co_await collect_from(next_, finished_until, runs);
        next_ = (next_ + 1) % shards;
    }
    co_return runs;
}

asio::awaitable<void> retention_runner::collect_from(std::uint32_t slice, time_point finished_until,
                                                     std::vector<archived_run>& runs)
{
    const auto shard = shared_.layout.shards_of(workflow_.rules.name).begin + slice;
    std::size_t events = 0;
    bool more = shared_.epochs[shard] != 0;
    while (more && runs.size() < rules_.batch && events < max_archived_events) {
        const auto wanted = rules_.batch - runs.size();
        auto page = co_await shared_.store.finished_behind(shard, workflow_.rules.name,
                                                           checked_[slice], finished_until, wanted);
        more = page.size() == wanted;
        for (auto& run : page) {
            if (shared_.stopping || events >= max_archived_events)
                co_return;
            checked_[slice] = {run.updated_at, run.id};
            // What the end of the run leads to comes first. It updates the run, so that the run is
            // due later.
            const bool deleting = run.state == run_state::requested_data_deleted ||
                                  core::has_unreported_end(run) || run.cancels_children;
            archived_run taken{std::move(run), {}};
            bool removable = false;
            if (!deleting)
                removable = co_await prepare_removal(taken);
            if (!removable) {
                ++passed_over_;
                continue;
            }
            events += taken.history.size();
            runs.push_back(std::move(taken));
        }
    }
}

/// Whether the run may be removed. Reads its history if that is to be archived. A run that the
/// store cannot read stays, and does not delay others.
asio::awaitable<bool> retention_runner::prepare_removal(archived_run& run)
{
    bool removable = false;
    std::exception_ptr failure;
    try {
        removable = co_await may_remove(run.last);
        if (removable && rules_.archive)
            co_await read_history(run);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && !is_data_error(error_code_of(failure)))
        std::rethrow_exception(failure);
    if (!failure)
        co_return removable;
    if (damaged_.size() < max_damaged && damaged_.insert(run.last.id).second)
        shared_.log({log_level::error, "finished run " + to_string(run.last.id) + " of " +
                                           workflow_.rules.name +
                                           " cannot be read, and is not removed until it is "
                                           "repaired: " +
                                           detail::exception_text(failure)});
    co_return false;
}

/// Whether hooks and all consumers have seen the run's events.
asio::awaitable<bool> retention_runner::may_remove(record run)
{
    const auto consumers = consumers_.consumers_of(workflow_.rules.name);
    if (!hooks_ && consumers.empty())
        co_return true;
    const auto last = co_await shared_.store.history(run.id, run.version - 1, 1);
    if (last.empty())
        co_return true;
    const auto& end = last.front();
    if (hooks_ && !hooks_->has_seen(run.id, end.shard, end.sequence)) {
        hooks_->notify_shard(end.shard);
        co_return false;
    }
    for (const auto& consumer : consumers) {
        const bool seen = co_await has_seen(consumer, run, end);
        if (!seen)
            co_return false;
    }
    co_return true;
}

/// Whether the consumer has acknowledged all events of the run that it wants. Reads the run's
/// history backwards, down to the consumer's position.
asio::awaitable<bool> retention_runner::has_seen(log_consumers::entry consumer, record run,
                                                 event last)
{
    const auto next = co_await position_of(consumer, last.shard);
    if (next == 0 || next > last.sequence)
        co_return true; // it has never read this source, or is past the run
    for (auto high = run.version; high > 0;) {
        const auto low = high > history_page ? high - history_page : 0;
        const auto page = co_await shared_.store.history(run.id, low, high - low);
        const bool pending = std::ranges::any_of(page, [&](const event& entry) {
            return entry.sequence >= next && consumer.source->wants(entry.kind);
        });
        if (pending)
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

asio::awaitable<void> retention_runner::read_history(archived_run& run)
{
    std::uint64_t after = 0;
    for (bool more = true; more;) {
        auto page = co_await shared_.store.history(run.last.id, after, history_page);
        more = page.size() == history_page;
        for (auto& entry : page)
            run.history.push_back(std::move(entry));
        after = run.history.empty() ? 0 : run.history.back().version;
    }
}

/// Ends the round. Returns the time to wait before the next.
asio::awaitable<duration> retention_runner::end_round()
{
    std::ranges::fill(checked_, finished_position{});
    if (std::exchange(passed_over_, 0) == 0) {
        const auto wait = co_await time_until_next();
        co_return wait;
    }
    const auto wait = pause_;
    pause_ = std::min(pause_ * 2, longest_pause);
    co_return wait;
}

/// The time until the oldest finished run is due. A run that finishes later is due later.
asio::awaitable<duration> retention_runner::time_until_next()
{
    auto oldest = time_point::max();
    const auto shards = shared_.layout.shards_of(workflow_.rules.name);
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

void retention_runner::restart_round()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->restart_ = true;
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
