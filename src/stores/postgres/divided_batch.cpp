#include "stores/postgres/divided_batch.hpp"

#include "stores/postgres/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

/// How often a part is tried again because of locks that are gone when they are looked for.
constexpr int most_rounds = 8;

/// What a server refuses for one change's sake says that nothing was stored of all of them; that
/// cannot be said of a batch some of whose changes are stored.
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

divided_batch::divided_batch(parts all)
    : all_(std::move(all)), until_(std::chrono::steady_clock::now() + all_.lock_timeout),
      patience_(std::min(all_.lock_timeout, lock_queue::patience))
{
}

asio::awaitable<void> divided_batch::apply(std::span<const change> part)
{
    first_ = applied_.results.size();
    applied_.results.resize(first_ + part.size());
    std::exception_ptr failure;
    if (all_.queue->is_empty()) {
        try {
            auto results = co_await all_.writer->apply(all_.sessions, part, patience_);
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

/// @param timeout of a lock, if the part has been tried.
asio::awaitable<void> divided_batch::apply_unlocked(std::span<const change> part,
                                                    std::exception_ptr timeout)
{
    std::vector<unit> units;
    std::exception_ptr failure;
    try {
        const auto keys = co_await all_.writer->keys_of(part);
        units = divide(part, keys);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        fail(divide(part, {}), failure);
        co_return;
    }
    for (int round = 1;; ++round) {
        const bool is_last = round > most_rounds;
        failure = nullptr;
        try {
            const auto waiting = applied_.waiting.size();
            std::set<lock_key> locked;
            if (timeout)
                locked = co_await find_locked(units);
            leave_waiting(part, units, locked);
            // Nobody has a lock that could be waited for apart.
            if (timeout && applied_.waiting.size() == waiting && is_late())
                std::rethrow_exception(timeout);
            if (!units.empty())
                co_await apply_units(part, units, is_last ? all_.lock_timeout : patience_);
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

/// @param keys of each change; empty: they are not known.
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
    for (const auto& each : units)
        keys.insert(each.keys.begin(), each.keys.end());
    auto locked = co_await all_.writer->find_locked(std::move(keys));
    if (!locked.empty())
        all_.troubles->tell(trouble::row_locked,
                            fmt::format("{}{}", to_string(*locked.begin()),
                                        locked.size() == 1
                                            ? std::string{}
                                            : fmt::format(" and {} more", locked.size() - 1)));
    co_return locked;
}

/// Takes those units out that need a lock that another session has, or come after such a unit.
void divided_batch::leave_waiting(std::span<const change> part, std::vector<unit>& units,
                                  const std::set<lock_key>& locked)
{
    const auto waits = [&](unit& each) {
        const bool is_locked = std::ranges::any_of(
            each.keys, [&](const lock_key& key) { return locked.contains(key); });
        if (!is_locked && !all_.queue->has(each.keys))
            return false;
        if (!pending_)
            pending_ = std::make_shared<waiting_batch>();
        waiting_unit left;
        for (const auto i : each.indexes) {
            left.changes.push_back(part[i]);
            left.indexes.push_back(first_ + i);
            applied_.waiting.push_back(first_ + i);
        }
        // A shard's changes keep their order. Of topics only one that is locked is waited for.
        for (auto& key : each.keys)
            if (key.topic.empty() || locked.contains(key) || all_.queue->has(std::span{&key, 1}))
                left.keys.insert(std::move(key));
        left.owner = pending_;
        left.until = until_;
        all_.queue->push(std::move(left));
        return true;
    };
    std::vector<unit> free;
    for (auto& each : units)
        if (!waits(each))
            free.push_back(std::move(each));
    units = std::move(free);
}

asio::awaitable<void> divided_batch::apply_units(std::span<const change> part,
                                                 const std::vector<unit>& units, duration patience)
{
    std::vector<std::size_t> indexes;
    std::vector<change> changes;
    for (const auto& each : units) {
        for (const auto i : each.indexes) {
            indexes.push_back(i);
            changes.push_back(part[i]);
        }
    }
    auto results = co_await all_.writer->apply(all_.sessions, changes, patience);
    for (std::size_t i = 0; i < results.size(); ++i)
        applied_.results[first_ + indexes[i]] = std::move(results[i]);
}

/// Once other changes of the call are decided, these fail by themselves.
void divided_batch::fail(const std::vector<unit>& units, const std::exception_ptr& failure)
{
    if (first_ == 0 && !pending_)
        std::rethrow_exception(failure);
    if (!pending_)
        pending_ = std::make_shared<waiting_batch>();
    std::vector<late_result> failed;
    for (const auto& each : units) {
        for (const auto i : each.indexes) {
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
