#include "engine/run/commit_queue.hpp"

#include "engine/run/exception_info.hpp"
#include "stores/common/change_size.hpp"
#include "stores/common/store_semantics.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <variant>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Waits for the result of a change; one of the two is set.
struct waiter {
    commit_listener* listener;
    std::optional<asio::any_completion_handler<void()>> handler;
};

/// Waiters that one posted function notifies. Few enough that several threads share a large batch,
/// many enough that the post costs nothing.
constexpr std::size_t waiters_per_post = 32;

using waiter_list = std::shared_ptr<std::vector<waiter>>;

void notify_range(const asio::any_io_executor& executor, const waiter_list& waiters,
                  std::size_t index, std::size_t end)
{
    for (; index < end; ++index) {
        auto& notified = (*waiters)[index];
        try {
            // The waiter continues on its own strand; in this thread, if the strand is free.
            if (notified.listener)
                notified.listener->committed();
            else
                asio::dispatch(std::move(*notified.handler));
        } catch (...) { // thrown by a handler of the application: the executor's thread gets it
            asio::post(executor, [executor, waiters, index, end] {
                notify_range(executor, waiters, index + 1, end);
            });
            throw;
        }
    }
}

/// Notifies the waiters from `begin` on, in portions. Each portion posts the next one first, so
/// that the changes that the first waiters submit reach the store while the other waiters still
/// work. Otherwise store and waiters would take turns, and one of them would always be idle.
void notify_from(const asio::any_io_executor& executor, const waiter_list& waiters,
                 std::size_t begin)
{
    asio::post(executor, [executor, waiters, begin] {
        const auto end = std::min(begin + waiters_per_post, waiters->size());
        if (end < waiters->size())
            notify_from(executor, waiters, end);
        notify_range(executor, waiters, begin, end);
    });
}

/// The start in `submitted`, if its foreign id alone decides the result; otherwise null.
const transition* plain_start(const change& submitted)
{
    const auto* start = std::get_if<transition>(&submitted);
    return start && start->expected_version == 0 && start->next.start_key.empty() ? start : nullptr;
}

/// Starts with equal keys are decided by the first of them.
auto start_group_key(const transition& start)
{
    return std::tie(start.next.foreign_id, start.next.workflow, start.start);
}

/// The result that the store would give to an equal start right after the leader.
apply_result result_after(const apply_result& leader, const run_id& started)
{
    if (leader.status == apply_status::accepted)
        return {.status = apply_status::already_running, .existing = started};
    return leader;
}

} // namespace

commit_queue::commit_queue(asio::any_io_executor executor, record_store& store,
                           async::task_scope& running, batch_limits limits,
                           pawl::observer* observer, const pawl::clock& clock,
                           applied_function applied)
    : executor_(std::move(executor)), store_(store), running_(running), limits_(limits),
      observer_(observer), clock_(clock), applied_(std::move(applied))
{
}

bool commit_queue::try_apply(pending_commit& item)
{
    std::optional<apply_result> result;
    try {
        result = store_.try_apply(item.change);
        if (!result)
            return false;
        item.result = std::move(*result);
        if (item.companion && item.result.status == apply_status::accepted)
            store_.try_apply(*item.companion);
    } catch (...) {
        item.failure = std::current_exception();
        note_failure(item.failure);
    }
    if (observer_)
        observer_->batch_applied(1, {}, item.failure != nullptr);
    applied_(item.change, item.failure ? nullptr : &item.result);
    return true;
}

void commit_queue::submit(pending_commit& item, commit_listener& listener)
{
    item.listener = &listener;
    submit(item);
}

asio::awaitable<void> commit_queue::commit_in(store_transaction& open, pending_commit& item,
                                              const std::function<void(transition&)>& complete)
{
    const auto applied_at = observer_ ? clock_.now() : time_point{};
    std::exception_ptr failure;
    try {
        item.result = co_await open.commit(std::get<transition>(item.change), complete);
    } catch (...) {
        failure = std::current_exception();
        note_failure(failure);
    }
    if (observer_)
        observer_->batch_applied(1, clock_.now() - applied_at, failure != nullptr);
    applied_(item.change, failure ? nullptr : &item.result);
    if (failure)
        std::rethrow_exception(failure);
}

void commit_queue::submit(pending_commit& item)
{
    {
        const std::lock_guard lock{mutex_};
        waiting_.push_back(&item);
        if (std::exchange(working_, true))
            return;
    }
    // Posted, not run in place: changes that are submitted in the same turn join the batch.
    asio::post(executor_, [this] { running_.spawn(executor_, apply_batches()); });
}

std::size_t commit_queue::waiting() const
{
    const std::lock_guard lock{mutex_};
    return waiting_.size() + late_count_;
}

void commit_queue::note_failure(const std::exception_ptr& failure) noexcept
{
    if (error_code_of(failure) == errc::store_flush_failed)
        refused_for_good_ = true;
}

bool commit_queue::take_waiting()
{
    const std::lock_guard lock{mutex_};
    if (waiting_.empty()) {
        working_ = false;
        return false;
    }
    std::ptrdiff_t count = 0;
    std::size_t bytes = 0;
    for (const auto* item : waiting_) {
        bytes += core::change_size(item->change);
        if (item->companion)
            bytes += core::change_size(*item->companion);
        if (count > 0 && (bytes > limits_.bytes || std::cmp_equal(count, limits_.changes)))
            break;
        ++count;
    }
    taken_.assign(waiting_.begin(), waiting_.begin() + count);
    waiting_.erase(waiting_.begin(), waiting_.begin() + count);
    return true;
}

asio::awaitable<void> commit_queue::apply_batches()
{
    while (take_waiting()) {
        find_leaders();
        fill_batch();
        results_.assign(batch_.size(), {});
        failures_.assign(batch_.size(), nullptr);
        late_.clear();
        co_await apply(0, batch_.size());
        settle();
        hand_back(decided_);
    }
}

/// A dead letter follows its change directly.
void commit_queue::fill_batch()
{
    batch_.clear();
    is_companion_.clear();
    for (std::size_t i = 0; i < taken_.size(); ++i) {
        if (leaders_[i] != i)
            continue;
        batch_.push_back(std::move(taken_[i]->change));
        is_companion_.push_back(false);
        if (taken_[i]->companion) {
            batch_.push_back(*taken_[i]->companion);
            is_companion_.push_back(true);
        }
    }
}

/// Applies a part of the batch. Divides the part while the store refuses it because of one change;
/// a change and its dead letter stay together.
asio::awaitable<void> commit_queue::apply(std::size_t first, std::size_t count)
{
    std::exception_ptr failure;
    const auto applied_at = observer_ ? clock_.now() : time_point{};
    try {
        auto applied = co_await store_.apply_apart(std::span{batch_}.subspan(first, count));
        if (applied.results.size() != count)
            throw std::logic_error("the store returned " + std::to_string(applied.results.size()) +
                                   " results for " + std::to_string(count) + " changes");
        std::ranges::move(applied.results, results_.begin() + static_cast<std::ptrdiff_t>(first));
        if (applied.pending) {
            auto& late = *late_.emplace_back(std::make_shared<late_changes>());
            late.first = first;
            late.indexes = std::move(applied.waiting);
            late.pending = std::move(applied.pending);
            late.applied_at = applied_at;
        }
    } catch (...) {
        failure = std::current_exception();
        note_failure(failure);
    }
    if (observer_)
        report_batch(first, count, applied_at, failure != nullptr);
    if (!failure)
        co_return;
    auto half = count / 2;
    half += is_companion_[first + half] ? 1 : 0;
    if (count > 1 && half < count && core::is_refusal(failure)) {
        co_await apply(first, half);
        co_await apply(first + half, count - half);
        co_return;
    }
    std::fill_n(failures_.begin() + static_cast<std::ptrdiff_t>(first), count, failure);
}

/// Counts neither dead letters nor the changes that are decided later.
void commit_queue::report_batch(std::size_t first, std::size_t count, time_point applied_at,
                                bool failed)
{
    const auto part = is_companion_.begin() + static_cast<std::ptrdiff_t>(first);
    auto changes = std::count(part, part + static_cast<std::ptrdiff_t>(count), false);
    if (!failed && !late_.empty() && late_.back()->first == first)
        changes -= std::ranges::count_if(late_.back()->indexes, [&](std::size_t index) {
            return !is_companion_[first + index];
        });
    observer_->batch_applied(static_cast<std::size_t>(changes), clock_.now() - applied_at, failed);
}

void commit_queue::find_leaders()
{
    leaders_.resize(taken_.size());
    starts_.clear();
    for (std::size_t i = 0; i < taken_.size(); ++i) {
        leaders_[i] = i;
        if (plain_start(taken_[i]->change))
            starts_.push_back(i);
    }
    const auto key = [this](std::size_t i) {
        return start_group_key(*plain_start(taken_[i]->change));
    };
    std::ranges::sort(starts_, [&](std::size_t a, std::size_t b) {
        return std::tuple_cat(key(a), std::tuple{a}) < std::tuple_cat(key(b), std::tuple{b});
    });
    for (std::size_t i = 1; i < starts_.size(); ++i)
        if (key(starts_[i - 1]) == key(starts_[i]))
            leaders_[starts_[i]] = leaders_[starts_[i - 1]];
}

/// Gives each commit its result or failure. finish_late() does so for late changes.
void commit_queue::settle()
{
    std::vector<late_changes*> late_at(late_.empty() ? 0 : batch_.size());
    for (const auto& late : late_)
        for (const auto index : late->indexes)
            late_at.at(late->first + index) = late.get();
    batch_indexes_.resize(taken_.size());
    decided_.clear();
    std::size_t next = 0;
    for (std::size_t i = 0; i < taken_.size(); ++i) {
        pending_commit& item = *taken_[i];
        const pending_commit& leader = *taken_[leaders_[i]];
        const bool leads = &item == &leader;
        if (leads) {
            batch_indexes_[i] = next;
            item.change = std::move(batch_[next]);
            next += item.companion ? 2 : 1;
        }
        const auto index = batch_indexes_[leaders_[i]];
        if (!late_.empty() && late_at[index]) {
            late_at[index]->groups[index - late_at[index]->first].push_back(&item);
            ++late_count_;
            continue;
        }
        item.failure = leads ? failures_[index] : leader.failure;
        if (!item.failure)
            item.result =
                leads ? std::move(results_[index])
                      : result_after(leader.result, std::get<transition>(leader.change).next.id);
        applied_(item.change, item.failure ? nullptr : &item.result);
        decided_.push_back(&item);
    }
    for (const auto& late : late_)
        running_.spawn(executor_, finish_late(late));
}

asio::awaitable<void> commit_queue::finish_late(std::shared_ptr<late_changes> late)
{
    while (!late->groups.empty()) {
        std::vector<late_result> results;
        std::exception_ptr failure;
        try {
            results = co_await late->pending->next();
            if (results.empty())
                throw std::logic_error("the store has not decided all changes that waited");
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure)
            for (const auto& [index, group] : late->groups)
                results.push_back({index, {}, failure});
        std::vector<pending_commit*> decided;
        std::size_t failed = 0;
        std::size_t changes = 0;
        for (auto& result : results) {
            const auto found = late->groups.find(result.index);
            if (found == late->groups.end())
                continue; // a dead letter
            const auto group = std::move(found->second);
            late->groups.erase(found);
            ++changes;
            failed += result.failure ? 1 : 0;
            settle_late(group, std::move(result));
            decided.insert(decided.end(), group.begin(), group.end());
        }
        late_count_ -= decided.size();
        if (observer_ && changes > 0)
            observer_->batch_applied(changes, clock_.now() - late->applied_at, failed > 0);
        if (!decided.empty())
            hand_back(decided);
    }
}

void commit_queue::settle_late(const commit_group& group, late_result decided)
{
    pending_commit& leader = *group.front();
    if (decided.failure)
        note_failure(decided.failure);
    else
        leader.result = std::move(decided.result);
    for (pending_commit* item : group) {
        item->failure = decided.failure;
        if (item != &leader && !decided.failure)
            item->result = result_after(leader.result, std::get<transition>(leader.change).next.id);
        applied_(item->change, item->failure ? nullptr : &item->result);
    }
}

void commit_queue::hand_back(const std::vector<pending_commit*>& decided)
{
    const auto waiters = std::make_shared<std::vector<waiter>>();
    waiters->reserve(decided.size());
    for (auto* item : decided)
        waiters->push_back({item->listener, std::move(item->handler)});
    if (!waiters->empty())
        notify_from(executor_, waiters, 0);
}

} // namespace pawl::engine_detail
