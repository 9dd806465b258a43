#include "stores/postgres/divided_batch.hpp"

#include "stores/postgres/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

/// How often a part is tried again when a lock was released before its holder could be found.
constexpr int max_rounds = 8;

/// An error that the server reports for one change means that no change was stored. When other
/// changes of the batch are stored, the error is reported as store_unavailable instead.
std::exception_ptr as_unavailable(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const server_error& refused) {
        return std::make_exception_ptr(
            error{errc::store_unavailable,
                  fmt::format("{} (other changes of the batch were stored)", refused.detail())});
    } catch (...) {
        return std::current_exception();
    }
}

} // namespace

divided_batch::divided_batch(parts dependencies)
    : parts_(std::move(dependencies)),
      until_(std::chrono::steady_clock::now() + parts_.lock_timeout),
      short_timeout_(std::min(parts_.lock_timeout, lock_queue::short_lock_timeout))
{
}

asio::awaitable<void> divided_batch::apply(std::span<const change> part)
{
    first_ = applied_.results.size();
    applied_.results.resize(first_ + part.size());
    std::exception_ptr failure;
    if (parts_.queue->is_empty()) {
        try {
            auto results = co_await parts_.writer->apply(parts_.sessions, part, short_timeout_);
            std::ranges::move(results,
                              applied_.results.begin() + static_cast<std::ptrdiff_t>(first_));
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure)
            co_return;
        if (!is_lock_timeout(failure)) {
            fail(divide(part, {}), failure);
            co_return;
        }
    }
    co_await apply_unlocked(part, failure);
}

/// @param timeout the lock timeout with which the part failed before, if any.
asio::awaitable<void> divided_batch::apply_unlocked(std::span<const change> part,
                                                    std::exception_ptr timeout)
{
    std::vector<unit> units;
    std::exception_ptr failure;
    try {
        const auto keys = co_await parts_.writer->keys_of(part);
        units = divide(part, keys);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        fail(divide(part, {}), failure);
        co_return;
    }
    for (int round = 1;; ++round) {
        const bool is_last = round > max_rounds;
        failure = nullptr;
        try {
            const auto waiting = applied_.waiting.size();
            std::set<lock_key> locked;
            if (timeout)
                locked = co_await find_locked(units);
            queue_locked(part, units, locked);
            // No lock was found that some of the changes could wait for alone.
            if (timeout && applied_.waiting.size() == waiting && is_late())
                std::rethrow_exception(timeout);
            if (!units.empty())
                co_await apply_units(part, units, is_last ? parts_.lock_timeout : short_timeout_);
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure)
            co_return;
        if (!is_lock_timeout(failure) || is_last || failure == timeout) {
            fail(units, failure);
            co_return;
        }
        timeout = failure;
    }
}

/// @param keys of each change; empty: unknown.
std::vector<divided_batch::unit>
divided_batch::divide(std::span<const change> part, const std::vector<std::vector<lock_key>>& keys)
{
    std::vector<unit> units;
    for (std::size_t i = 0; i < part.size(); ++i) {
        if (units.empty() || !std::holds_alternative<publication>(part[i]))
            units.emplace_back();
        auto& last = units.back();
        last.indexes.push_back(i);
        if (!keys.empty())
            last.keys.insert(last.keys.end(), keys[i].begin(), keys[i].end());
    }
    return units;
}

asio::awaitable<std::set<lock_key>> divided_batch::find_locked(const std::vector<unit>& units)
{
    std::set<lock_key> keys;
    for (const auto& tried : units)
        keys.insert(tried.keys.begin(), tried.keys.end());
    auto locked = co_await parts_.writer->find_locked(std::move(keys));
    if (!locked.empty())
        parts_.warnings->report(warning::row_locked,
                                fmt::format("{}{}", to_string(*locked.begin()),
                                            locked.size() == 1
                                                ? std::string{}
                                                : fmt::format(" and {} more", locked.size() - 1)));
    co_return locked;
}

/// Moves the units to the queue that need a row locked by another session, or follow such a unit.
void divided_batch::queue_locked(std::span<const change> part, std::vector<unit>& units,
                                 const std::set<lock_key>& locked)
{
    const auto queue_if_locked = [&](unit& candidate) {
        const bool is_locked = std::ranges::any_of(
            candidate.keys, [&](const lock_key& key) { return locked.contains(key); });
        if (!is_locked && !parts_.queue->has(candidate.keys))
            return false;
        if (!pending_)
            pending_ = std::make_shared<waiting_batch>();
        waiting_unit queued;
        for (const auto i : candidate.indexes) {
            queued.changes.push_back(part[i]);
            queued.indexes.push_back(first_ + i);
            applied_.waiting.push_back(first_ + i);
        }
        // Changes of a shard keep their order; for topics, only locked ones make later changes
        // wait.
        for (auto& key : candidate.keys)
            if (key.topic.empty() || locked.contains(key) || parts_.queue->has(std::span{&key, 1}))
                queued.keys.insert(std::move(key));
        queued.owner = pending_;
        queued.until = until_;
        parts_.queue->push(std::move(queued));
        return true;
    };
    std::vector<unit> free;
    for (auto& candidate : units)
        if (!queue_if_locked(candidate))
            free.push_back(std::move(candidate));
    units = std::move(free);
}

asio::awaitable<void> divided_batch::apply_units(std::span<const change> part,
                                                 const std::vector<unit>& units,
                                                 duration lock_timeout)
{
    std::vector<std::size_t> indexes;
    std::vector<change> changes;
    for (const auto& tried : units) {
        for (const auto i : tried.indexes) {
            indexes.push_back(i);
            changes.push_back(part[i]);
        }
    }
    auto results = co_await parts_.writer->apply(parts_.sessions, changes, lock_timeout);
    for (std::size_t i = 0; i < results.size(); ++i)
        applied_.results[first_ + indexes[i]] = std::move(results[i]);
}

/// Fails these units alone if other changes of the call have been decided; otherwise throws.
void divided_batch::fail(const std::vector<unit>& units, const std::exception_ptr& failure)
{
    if (first_ == 0 && !pending_)
        std::rethrow_exception(failure);
    if (!pending_)
        pending_ = std::make_shared<waiting_batch>();
    std::vector<late_result> failed;
    for (const auto& tried : units) {
        for (const auto i : tried.indexes) {
            failed.push_back({first_ + i, {}, as_unavailable(failure)});
            applied_.waiting.push_back(first_ + i);
        }
    }
    pending_->expect(failed.size());
    pending_->add(std::move(failed));
}

applied_batch divided_batch::finish() &&
{
    std::ranges::sort(applied_.waiting);
    applied_.pending = std::move(pending_);
    return std::move(applied_);
}

} // namespace pawl::postgres
