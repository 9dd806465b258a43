#include "engine/run/commit_queue.hpp"

#include "engine/run/exception_info.hpp"
#include "stores/common/change_size.hpp"
#include "stores/common/store_semantics.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <memory>
#include <tuple>
#include <variant>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Who is told of a change: one of the two.
struct told {
    maker* by;
    std::optional<asio::any_completion_handler<void()>> done;
};

/// Makers that one posted function resumes. Few enough that several threads share a large batch,
/// many enough that the post costs nothing.
constexpr std::size_t makers_per_post = 32;

using told_list = std::shared_ptr<std::vector<told>>;

void tell(const asio::any_io_executor& executor, const told_list& all, std::size_t at,
          std::size_t end)
{
    for (; at < end; ++at) {
        auto& each = (*all)[at];
        try {
            // It goes on on its own strand; in this thread, if the strand is free.
            if (each.by)
                each.by->committed();
            else
                asio::dispatch(std::move(*each.done));
        } catch (...) { // out of a handler of the host's: it is for whoever runs the executor
            asio::post(executor, [executor, all, at, end] { tell(executor, all, at + 1, end); });
            throw;
        }
    }
}

/// Resumes those from `at` on, in portions. Each portion posts the next one, so that what the first
/// of them submit is on its way to the store while the others are still at work: else the whole
/// batch would go to and fro, and one of store and makers would always wait for the other.
void resume_from(const asio::any_io_executor& executor, const told_list& all, std::size_t at)
{
    asio::post(executor, [executor, all, at] {
        const auto end = std::min(at + makers_per_post, all->size());
        if (end < all->size())
            resume_from(executor, all, end);
        tell(executor, all, at, end);
    });
}

/// The start that `what` is, if what becomes of it is decided by its foreign id alone.
const transition* plain_start(const change& what)
{
    const auto* made = std::get_if<transition>(&what);
    return made && made->expected_version == 0 && made->next.start_key.empty() ? made : nullptr;
}

auto what_decides(const transition& start)
{
    return std::tie(start.next.foreign_id, start.next.workflow, start.start);
}

/// What the store would say to a start right behind another one.
apply_result result_behind(const apply_result& leader, const run_id& begun)
{
    if (leader.status == apply_status::accepted)
        return {.status = apply_status::already_running, .existing = begun};
    return leader;
}

} // namespace

commit_queue::commit_queue(asio::any_io_executor executor, record_store& store,
                           async::task_scope& running, batch_limits limits,
                           pawl::observer* watching, const pawl::clock& clock,
                           applied_function applied)
    : executor_(std::move(executor)), store_(store), running_(running), limits_(limits),
      watching_(watching), clock_(clock), applied_(std::move(applied))
{
}

bool commit_queue::try_apply(commit& what)
{
    std::optional<apply_result> result;
    try {
        result = store_.try_apply(what.what);
        if (!result)
            return false;
        what.result = std::move(*result);
        if (what.letter && what.result.status == apply_status::accepted)
            store_.try_apply(*what.letter);
    } catch (...) {
        what.failure = std::current_exception();
        note_failure(what.failure);
    }
    if (watching_)
        watching_->batch_applied(1, {}, what.failure != nullptr);
    applied_(what.what, what.failure ? nullptr : &what.result);
    return true;
}

void commit_queue::submit(commit& what, maker& by)
{
    what.by = &by;
    submit(what);
}

asio::awaitable<void> commit_queue::commit_in(store_transaction& open, commit& what,
                                              const std::function<void(transition&)>& complete)
{
    const auto begun = watching_ ? clock_.now() : time_point{};
    std::exception_ptr failure;
    try {
        what.result = co_await open.commit(std::get<transition>(what.what), complete);
    } catch (...) {
        failure = std::current_exception();
        note_failure(failure);
    }
    if (watching_)
        watching_->batch_applied(1, clock_.now() - begun, failure != nullptr);
    applied_(what.what, failure ? nullptr : &what.result);
    if (failure)
        std::rethrow_exception(failure);
}

void commit_queue::submit(commit& item)
{
    {
        const std::lock_guard lock{mutex_};
        waiting_.push_back(&item);
        if (std::exchange(working_, true))
            return;
    }
    // Posted, not run in place: what becomes ready in the same turn joins the batch.
    asio::post(executor_, [this] { running_.spawn(executor_, work()); });
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
        bytes += core::change_size(item->what);
        if (item->letter)
            bytes += core::change_size(*item->letter);
        if (count > 0 && (bytes > limits_.bytes || std::cmp_equal(count, limits_.changes)))
            break;
        ++count;
    }
    taken_.assign(waiting_.begin(), waiting_.begin() + count);
    waiting_.erase(waiting_.begin(), waiting_.begin() + count);
    return true;
}

asio::awaitable<void> commit_queue::work()
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

/// A letter stands right behind its change.
void commit_queue::fill_batch()
{
    batch_.clear();
    is_letter_.clear();
    for (std::size_t i = 0; i < taken_.size(); ++i) {
        if (leaders_[i] != i)
            continue;
        batch_.push_back(std::move(taken_[i]->what));
        is_letter_.push_back(false);
        if (taken_[i]->letter) {
            batch_.push_back(*taken_[i]->letter);
            is_letter_.push_back(true);
        }
    }
}

/// Applies a part of the batch, which is divided for as long as the store refuses it for one
/// change. A change and its letter stay together.
asio::awaitable<void> commit_queue::apply(std::size_t first, std::size_t count)
{
    std::exception_ptr failure;
    const auto begun = watching_ ? clock_.now() : time_point{};
    try {
        auto applied = co_await store_.apply_apart(std::span{batch_}.subspan(first, count));
        if (applied.results.size() != count)
            throw std::logic_error(
                "the store gave another number of results than it was given changes");
        std::ranges::move(applied.results, results_.begin() + static_cast<std::ptrdiff_t>(first));
        if (applied.pending) {
            auto& late = *late_.emplace_back(std::make_shared<late_changes>());
            late.first = first;
            late.indexes = std::move(applied.waiting);
            late.pending = std::move(applied.pending);
            late.begun = begun;
        }
    } catch (...) {
        failure = std::current_exception();
        note_failure(failure);
    }
    if (watching_) {
        const auto part = is_letter_.begin() + static_cast<std::ptrdiff_t>(first);
        const auto letters = std::count(part, part + static_cast<std::ptrdiff_t>(count), true);
        auto makers = count - static_cast<std::size_t>(letters);
        if (!failure && !late_.empty() && late_.back()->first == first)
            makers -= static_cast<std::size_t>(
                std::ranges::count_if(late_.back()->indexes, [&](std::size_t index) {
                    return !is_letter_[first + index];
                }));
        watching_->batch_applied(makers, clock_.now() - begun, failure != nullptr);
    }
    if (!failure)
        co_return;
    auto half = count / 2;
    half += is_letter_[first + half] ? 1 : 0;
    if (count > 1 && half < count && core::is_refusal(failure)) {
        co_await apply(first, half);
        co_await apply(first + half, count - half);
        co_return;
    }
    const auto at = failures_.begin() + static_cast<std::ptrdiff_t>(first);
    std::fill_n(at, count, failure);
}

void commit_queue::find_leaders()
{
    leaders_.resize(taken_.size());
    starts_.clear();
    for (std::size_t i = 0; i < taken_.size(); ++i) {
        leaders_[i] = i;
        if (plain_start(taken_[i]->what))
            starts_.push_back(i);
    }
    const auto key = [this](std::size_t i) {
        return what_decides(*plain_start(taken_[i]->what));
    };
    std::ranges::sort(starts_, [&](std::size_t a, std::size_t b) {
        return std::tuple_cat(key(a), std::tuple{a}) < std::tuple_cat(key(b), std::tuple{b});
    });
    for (std::size_t i = 1; i < starts_.size(); ++i)
        if (key(starts_[i - 1]) == key(starts_[i]))
            leaders_[starts_[i]] = leaders_[starts_[i - 1]];
}

/// Gives each commit its result or failure. Late changes get theirs in finish_late().
void commit_queue::settle()
{
    std::vector<late_changes*> late_at(late_.empty() ? 0 : batch_.size());
    for (const auto& each : late_)
        for (const auto index : each->indexes)
            late_at.at(each->first + index) = each.get();
    places_.resize(taken_.size());
    decided_.clear();
    std::size_t next = 0;
    for (std::size_t i = 0; i < taken_.size(); ++i) {
        commit& item = *taken_[i];
        const commit& leader = *taken_[leaders_[i]];
        const bool leads = &item == &leader;
        if (leads) {
            places_[i] = next;
            item.what = std::move(batch_[next]);
            next += item.letter ? 2 : 1;
        }
        const auto place = places_[leaders_[i]];
        if (!late_.empty() && late_at[place]) {
            late_at[place]->groups[place - late_at[place]->first].push_back(&item);
            ++late_count_;
            continue;
        }
        item.failure = leads ? failures_[place] : leader.failure;
        if (!item.failure)
            item.result =
                leads ? std::move(results_[place])
                      : result_behind(leader.result, std::get<transition>(leader.what).next.id);
        applied_(item.what, item.failure ? nullptr : &item.result);
        decided_.push_back(&item);
    }
    for (const auto& each : late_)
        running_.spawn(executor_, finish_late(each));
}

asio::awaitable<void> commit_queue::finish_late(std::shared_ptr<late_changes> late)
{
    while (!late->groups.empty()) {
        std::vector<late_result> known;
        std::exception_ptr failure;
        try {
            known = co_await late->pending->next();
            if (known.empty())
                throw std::logic_error("the store has not decided all changes that waited");
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure)
            for (const auto& [index, group] : late->groups)
                known.push_back({index, {}, failure});
        std::vector<commit*> decided;
        std::size_t failed = 0;
        std::size_t changes = 0;
        for (auto& each : known) {
            const auto found = late->groups.find(each.index);
            if (found == late->groups.end())
                continue; // a letter
            const auto group = std::move(found->second);
            late->groups.erase(found);
            ++changes;
            failed += each.failure ? 1 : 0;
            settle_late(group, std::move(each));
            decided.insert(decided.end(), group.begin(), group.end());
        }
        late_count_ -= decided.size();
        if (watching_ && changes > 0)
            watching_->batch_applied(changes, clock_.now() - late->begun, failed > 0);
        if (!decided.empty())
            hand_back(decided);
    }
}

void commit_queue::settle_late(const commit_group& group, late_result known)
{
    commit& leader = *group.front();
    if (known.failure)
        note_failure(known.failure);
    else
        leader.result = std::move(known.result);
    for (commit* item : group) {
        item->failure = known.failure;
        if (item != &leader && !known.failure)
            item->result = result_behind(leader.result, std::get<transition>(leader.what).next.id);
        applied_(item->what, item->failure ? nullptr : &item->result);
    }
}

void commit_queue::hand_back(const std::vector<commit*>& decided)
{
    const auto all = std::make_shared<std::vector<told>>();
    all->reserve(decided.size());
    for (auto* item : decided)
        all->push_back({item->by, std::move(item->done)});
    if (!all->empty())
        resume_from(executor_, all, 0);
}

} // namespace pawl::engine_detail
