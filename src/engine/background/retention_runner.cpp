#include "engine/background/retention_runner.hpp"

#include "async/complete.hpp"
#include "core/saturating_add.hpp"
#include "engine/background/finished_removal.hpp"
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
    : shared_(shared), workflow_(workflow), rules_(*workflow.retention),
      gate_(shared, workflow, hooks, consumers), strand_(asio::make_strand(shared.executor)),
      timer_(shared.clock.make_timer(strand_)), pause_(first_pause)
{
}

void retention_runner::start()
{
    shared_.running.spawn(strand_, work(), cancel_.slot(), shared_from_this());
}

asio::awaitable<void> retention_runner::sleep(duration span)
{
    if (shared_.stopping || restart_ || !requests_.empty())
        co_return;
    co_await wait(*timer_, span);
}

asio::awaitable<void> retention_runner::work()
{
    co_await asio::post(strand_, asio::use_awaitable); // see log_follower::process_lane
    std::exception_ptr failure;
    try {
        co_await remove_all();
    } catch (...) {
        failure = std::current_exception(); // cancelled
    }
    has_ended_ = true;
    for (auto& request : std::exchange(requests_, {}))
        async::complete(shared_.executor, std::move(request.done),
                        detail::failure{make_error_code(errc::not_running)});
    if (failure)
        std::rethrow_exception(failure);
}

asio::awaitable<void> retention_runner::remove_all()
{
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
            co_await remove_requested();
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

/// Removes the runs that operators have named. Their failures are answered.
asio::awaitable<void> retention_runner::remove_requested()
{
    while (!requests_.empty() && !shared_.stopping) {
        auto request = std::move(requests_.front());
        requests_.pop_front();
        detail::failure result;
        archiving_ = true;
        try {
            co_await remove_finished(shared_, gate_, rules_.archive.get(), request.run);
        } catch (...) {
            result = detail::failure_of(std::current_exception());
        }
        archiving_ = false;
        async::complete(shared_.executor, std::move(request.done), std::move(result));
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
    gate_.forget_positions();
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
            archived_run taken{std::move(run), {}};
            const bool removable = co_await prepare_removal(taken);
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
        const auto holder = co_await gate_.holder_of(run.last);
        removable = holder.empty();
        if (removable && rules_.archive)
            co_await read_history(shared_.store, run);
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

void retention_runner::remove(run_id run, detail::completion<> done)
{
    asio::post(strand_, [self = shared_from_this(), run, done = std::move(done)]() mutable {
        if (self->has_ended_) {
            async::complete(self->shared_.executor, std::move(done),
                            detail::failure{make_error_code(errc::not_running)});
            return;
        }
        self->requests_.push_back({run, std::move(done)});
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
