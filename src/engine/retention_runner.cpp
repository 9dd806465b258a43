#include "engine/retention_runner.hpp"

#include "core/later.hpp"
#include "engine/error_text.hpp"

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

/// After a failure, and while hooks have not seen what shall be removed.
constexpr duration first_pause = std::chrono::seconds{1};
constexpr duration longest_pause = std::chrono::minutes{1};

} // namespace

retention_runner::retention_runner(context& shared, const detail::workflow_impl& workflow,
                                   log_follower* hooks)
    : shared_(shared), workflow_(workflow), rules_(*workflow.retention), hooks_(hooks),
      strand_(asio::make_strand(shared.executor)), timer_(shared.clock.make_timer(strand_))
{
}

void retention_runner::wait_for(std::shared_ptr<streams::workflow_source> source,
                                std::string consumer)
{
    if (source->workflow() == workflow_.rules.name)
        consumers_.emplace_back(std::move(source), std::move(consumer));
}

void retention_runner::start()
{
    shared_.running.spawn(strand_, work(), cancel_.slot(), shared_from_this());
}

asio::awaitable<void> retention_runner::sleep(duration span)
{
    if (shared_.stopping)
        co_return;
    co_await wait(*timer_, span);
}

asio::awaitable<void> retention_runner::work()
{
    co_await asio::post(strand_, asio::use_awaitable); // see log_follower::run_lane
    duration pause = first_pause;
    while (!shared_.stopping) {
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
        shared_.commits.note_failure(failure);
        shared_.log(
            {log_level::error, "finished runs of " + workflow_.rules.name +
                                   " cannot be archived and removed: " + error_text(failure)});
        co_await sleep(pause);
        pause = std::min(pause * 2, longest_pause);
    }
}

/// One batch; says how long to wait for the next.
asio::awaitable<duration> retention_runner::sweep()
{
    const auto runs = co_await collect();
    if (runs.empty()) {
        const auto wait = co_await until_next();
        co_return wait;
    }
    if (rules_.archive) {
        archiving_ = true;
        co_await rules_.archive->archive(runs);
        archiving_ = false;
    }
    std::vector<change> batch;
    for (const auto& run : runs)
        batch.push_back(
            removal{run.last.id, run.last.version, shared_.epochs[shared_.shard_of(run.last)]});
    co_await shared_.store.apply(batch);
    shared_.log({log_level::debug, std::to_string(runs.size()) + " finished runs of " +
                                       workflow_.rules.name + " have been removed"});
    co_return duration{};
}

/// The runs to remove now; none if there are none or others must see them first.
asio::awaitable<std::vector<archived_run>> retention_runner::collect()
{
    std::vector<archived_run> runs;
    const auto until = core::later(shared_.clock.now(), -rules_.keep);
    // A deletion that is under way comes first; it makes the run younger.
    auto found = co_await read_finished(until, rules_.batch);
    std::erase_if(found,
                  [](const record& r) { return r.state == run_state::requested_data_deleted; });
    const bool wants_history = rules_.archive || hooks_ || !consumers_.empty();
    for (auto& run : found) {
        archived_run taken{std::move(run), {}};
        if (wants_history)
            co_await read_history(taken);
        const bool seen =
            !hooks_ || taken.history.empty() ||
            taken.history.back().sequence <= hooks_->done_up_to(taken.history.back().shard);
        if (!seen) {
            hooks_->look(taken.history.back().shard);
            continue;
        }
        const bool connected = co_await seen_by_all(taken);
        if (connected)
            runs.push_back(std::move(taken));
    }
    co_return runs;
}

asio::awaitable<bool> retention_runner::seen_by_all(const archived_run& run)
{
    for (const auto& [source, consumer] : consumers_) {
        const bool seen = co_await source->has_seen(consumer, run.history);
        if (!seen)
            co_return false;
    }
    co_return true;
}

/// Of this engine's shards.
asio::awaitable<std::vector<record>> retention_runner::read_finished(time_point before,
                                                                     std::size_t limit)
{
    std::vector<record> all;
    const auto shards = shared_.layout.of(workflow_.rules.name);
    for (auto shard = shards.begin; shard < shards.end && all.size() < limit; ++shard) {
        if (shared_.epochs[shard] == 0)
            continue;
        auto found = co_await shared_.store.finished_before(shard, workflow_.rules.name, before,
                                                            limit - all.size());
        std::ranges::move(found, std::back_inserter(all));
    }
    co_return all;
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
    const auto due = core::later(oldest, rules_.keep);
    co_return std::clamp(due - shared_.clock.now() + duration{1}, first_pause,
                         std::max(rules_.keep, first_pause));
}

void retention_runner::stop()
{
    asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

void retention_runner::look()
{
    stop(); // only the sleep
}

void retention_runner::interrupt()
{
    asio::post(strand_, [self = shared_from_this()] {
        if (self->archiving_)
            self->cancel_.emit(asio::cancellation_type::terminal);
    });
}

} // namespace pawl::engine_detail
