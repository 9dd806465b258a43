#include "stores/postgres/lock_queue.hpp"

#include "pawl/error.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/postgres/batch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

/// Limits of one turn.
constexpr duration min_lock_timeout = std::chrono::milliseconds{20};
constexpr std::size_t max_changes = 1024;

bool share_a_key(const std::set<lock_key>& some, const std::set<lock_key>& others)
{
    return std::ranges::any_of(some, [&](const lock_key& key) { return others.contains(key); });
}

/// The results of a unit, or its failure.
std::vector<late_result> results_of(const waiting_unit& unit, std::vector<apply_result> results,
                                    const std::exception_ptr& failure)
{
    std::vector<late_result> known;
    for (std::size_t i = 0; i < unit.indexes.size(); ++i) {
        auto& late = known.emplace_back();
        late.index = unit.indexes[i];
        late.failure = failure;
        if (!failure)
            late.result = std::move(results[i]);
    }
    return known;
}

} // namespace

struct waiting_batch::wait_for_results {
    waiting_batch* batch;

    template <typename Handler>
    void operator()(Handler handler) const
    {
        std::optional<asio::any_completion_handler<void()>> ready;
        const std::lock_guard lock{batch->mutex_};
        batch->waiter_.emplace(std::move(handler));
        if (batch->known_.empty() && batch->missing_ > 0)
            return;
        asio::post(batch->executor_,
                   [done = std::move(*batch->waiter_)]() mutable { std::move(done)(); });
        batch->waiter_.reset();
    }
};

asio::awaitable<std::vector<late_result>> waiting_batch::next()
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    {
        const std::lock_guard lock{mutex_};
        executor_ = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    }
    asio::use_awaitable_t<> token;
    co_await asio::async_initiate<asio::use_awaitable_t<>, void()>(wait_for_results{this}, token);
    const std::lock_guard lock{mutex_};
    executor_ = {};
    co_return std::exchange(known_, {});
}

void waiting_batch::expect(std::size_t changes)
{
    const std::lock_guard lock{mutex_};
    missing_ += changes;
}

void waiting_batch::add(std::vector<late_result> known)
{
    const std::lock_guard lock{mutex_};
    missing_ -= known.size();
    std::ranges::move(known, std::back_inserter(known_));
    if (!waiter_)
        return;
    asio::post(executor_, [done = std::move(*waiter_)]() mutable { std::move(done)(); });
    waiter_.reset();
}

lock_queue::lock_queue(asio::any_io_executor executor, std::shared_ptr<batch_writer> writer,
                       std::shared_ptr<pool> sessions)
    : executor_(std::move(executor)), writer_(std::move(writer)), sessions_(std::move(sessions))
{
}

bool lock_queue::has(std::span<const lock_key> keys) const
{
    const std::lock_guard lock{mutex_};
    return std::ranges::any_of(units_, [&](const waiting_unit& unit) {
        return std::ranges::any_of(keys,
                                   [&](const lock_key& key) { return unit.keys.contains(key); });
    });
}

void lock_queue::push(waiting_unit unit)
{
    unit.owner->expect(unit.changes.size());
    {
        const std::lock_guard lock{mutex_};
        units_.push_back(std::move(unit));
        size_ = units_.size();
        if (std::exchange(is_working_, true))
            return;
    }
    asio::co_spawn(asio::make_strand(executor_), work(shared_from_this()),
                   [](const std::exception_ptr& escaped) {
                       assert(!escaped);
                       static_cast<void>(escaped);
                   });
}

asio::awaitable<void> lock_queue::work(std::shared_ptr<lock_queue> self)
{
    for (;;) {
        const auto now = self->next_turn();
        if (now.units.empty())
            co_return;
        std::vector<apply_result> results;
        std::exception_ptr failure;
        try {
            results = co_await self->writer_->apply(self->sessions_, now.changes, now.lock_timeout);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure)
            self->fail(now, failure);
        else
            self->finish(now, std::move(results));
    }
}

/// Of the units that share no key with an earlier unit, chooses the one whose last turn was the
/// longest ago.
lock_queue::turn lock_queue::next_turn()
{
    const std::lock_guard lock{mutex_};
    turn next;
    std::set<lock_key> taken;
    duration::rep ready = 0;
    auto first = units_.end();
    for (auto unit = units_.begin(); unit != units_.end(); ++unit) {
        const bool is_ready = !share_a_key(unit->keys, taken);
        taken.insert(unit->keys.begin(), unit->keys.end());
        if (!is_ready)
            continue;
        ++ready;
        if (first == units_.end() || unit->last_turn < first->last_turn)
            first = unit;
    }
    if (first == units_.end()) {
        is_working_ = false;
        return next;
    }
    next.lock_timeout = std::max(short_lock_timeout / ready, min_lock_timeout);
    add_units(next, first);
    ++turns_;
    for (const auto& unit : next.units)
        unit->last_turn = turns_;
    return next;
}

/// Adds the unit, and the units behind it that wait for the same locks.
void lock_queue::add_units(turn& next, unit_list::iterator first)
{
    next.units.push_back(first);
    next.changes = first->changes;
    if (first->is_alone || first->keys.empty())
        return;
    std::set<lock_key> skipped; // the keys of units that are not added
    for (auto unit = std::next(first); unit != units_.end(); ++unit) {
        if (unit->keys.empty())
            continue;
        const bool fits = std::ranges::includes(first->keys, unit->keys) && !unit->is_alone &&
                          !share_a_key(unit->keys, skipped) &&
                          next.changes.size() + unit->changes.size() <= max_changes;
        if (!fits) {
            skipped.insert(unit->keys.begin(), unit->keys.end());
            continue;
        }
        const auto before = next.changes.size();
        next.changes.insert(next.changes.end(), unit->changes.begin(), unit->changes.end());
        const auto size = next.changes.size();
        if (count_for_one_statement(next.changes) < size ||
            count_within_waves(next.changes, max_waves) < size ||
            count_fitting(next.changes, max_statement_bytes) < size) {
            next.changes.resize(before);
            return;
        }
        next.units.push_back(unit);
    }
}

void lock_queue::move_unit(unit_list::iterator unit, unit_list& destination)
{
    destination.splice(destination.end(), units_, unit);
    size_ = units_.size();
}

void lock_queue::finish(const turn& done, std::vector<apply_result> results)
{
    unit_list stored;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& unit : done.units)
            move_unit(unit, stored);
    }
    auto next = std::make_move_iterator(results.begin());
    for (const auto& unit : stored) {
        const auto end = next + static_cast<std::ptrdiff_t>(unit.changes.size());
        unit.owner->add(results_of(unit, {next, end}, nullptr));
        next = end;
    }
}

void lock_queue::fail(const turn& tried, const std::exception_ptr& failure)
{
    const auto now = std::chrono::steady_clock::now();
    const bool is_locked = is_lock_timeout(failure);
    const bool divides = tried.units.size() > 1 && core::is_refusal(failure);
    unit_list failed;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& unit : tried.units) {
            if (divides)
                unit->is_alone = true;
            else if (!is_locked || now >= unit->until)
                move_unit(unit, failed);
        }
    }
    for (const auto& unit : failed)
        unit.owner->add(results_of(unit, {}, failure));
}

} // namespace pawl::postgres
