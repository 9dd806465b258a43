#include "stores/postgres/batch_writer.hpp"

#include "stores/common/store_semantics.hpp"
#include "stores/postgres/batch.hpp"
#include "stores/postgres/error.hpp"
#include "stores/postgres/transaction_sessions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

namespace pawl::postgres {

namespace asio = boost::asio;

std::string to_string(const lock_key& key)
{
    return key.topic.empty() ? fmt::format("shard {}", key.shard)
                             : fmt::format("topic \"{}\"", key.topic);
}

bool is_lock_timeout(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const server_error& refused) {
        return refused.state() == "55P03";
    } catch (...) {
        return false;
    }
}

namespace {

/// Reports a failure after the changes were stored. Its own code could mean that nothing was, so
/// that the caller would store them again.
[[noreturn]] void throw_after_commit(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const error& failed) {
        throw error{errc::store_unavailable,
                    fmt::format("{} (the changes were stored)", failed.detail())};
    }
}

} // namespace

batch_writer::batch_writer(parts dependencies)
    : parts_(std::move(dependencies)), all_shards_(parts_.schema->shards())
{
    add_shards({});
}

asio::awaitable<std::vector<apply_result>> batch_writer::apply(std::shared_ptr<pool> sessions,
                                                               std::span<const change> part,
                                                               duration lock_timeout)
{
    auto results = co_await apply_statement(sessions, part, lock_timeout);
    std::exception_ptr failure;
    try {
        co_await delete_rest(sessions, part, lock_timeout, results);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure)
        throw_after_commit(failure);
    co_return results;
}

/// Deletes what a statement's limit has left of the runs and events that the part removes and
/// trims.
asio::awaitable<void> batch_writer::delete_rest(std::shared_ptr<pool> sessions,
                                                std::span<const change> part, duration lock_timeout,
                                                std::vector<apply_result>& decided)
{
    bool sweeps = false;
    for (std::size_t i = 0; i < part.size(); ++i)
        if (std::holds_alternative<removal>(part[i]))
            sweeps = std::exchange(decided[i].sequence, 0) != 0 || sweeps;
    while (sweeps) {
        auto rows = co_await sessions->run(parts_.statements->sweep_removed());
        sweeps = rows.next() && rows.integer() != 0;
    }
    if (part.empty() || !std::holds_alternative<topic_trim>(part.back()))
        co_return;
    while (decided.back().sequence != 0) {
        const auto repeated = co_await apply_statement(sessions, part.last(1), lock_timeout);
        decided.back() = repeated.front();
    }
}

/// Repeats the statement when the schema turns out to have been replaced.
asio::awaitable<std::vector<apply_result>>
batch_writer::apply_statement(std::shared_ptr<pool> sessions, std::span<const change> part,
                              duration lock_timeout)
{
    constexpr int max_attempts = 3;
    for (int attempt = 1;; ++attempt) {
        co_await ensure_workflows(part);
        try {
            auto results = co_await apply_once(sessions, part, lock_timeout);
            co_return results;
        } catch (const stale_request&) {
            if (attempt == max_attempts)
                throw;
        }
    }
}

request batch_writer::apply_request(std::span<const change> part, duration lock_timeout) const
{
    const auto version = parts_.schema->version();
    const workflow_lookup find_workflow = [this](std::string_view name) {
        const auto known = parts_.schema->workflow(name);
        if (!known)
            throw stale_request{};
        return *known;
    };
    auto encoded =
        encode_batch(part, parts_.schema->shards(), parts_.schema->types(), find_workflow);
    auto statement = parts_.statements->apply(std::move(encoded), lock_timeout);
    statement.schema_version = version;
    return statement;
}

asio::awaitable<apply_result> batch_writer::apply_in(transaction_session& session,
                                                     const change& only, duration lock_timeout)
{
    const std::span part{&only, 1};
    co_await ensure_workflows(part);
    auto rows = co_await session.execute(apply_request(part, lock_timeout));
    std::vector<stored_wake> wakes;
    std::vector<seen_event> events;
    auto decided = decode_results(rows, part, wakes, events);
    const bool is_accepted = decided.front().status == apply_status::accepted;
    if (!is_accepted) {
        co_await session.roll_back();
    } else {
        co_await session.commit();
        co_await finish_commit(parts_.writers, std::move(events), std::move(wakes));
    }
    co_return std::move(decided.front());
}

asio::awaitable<std::vector<apply_result>> batch_writer::apply_once(std::shared_ptr<pool> sessions,
                                                                    std::span<const change> part,
                                                                    duration lock_timeout)
{
    auto request = apply_request(part, lock_timeout);
    auto rows = co_await sessions->run(std::move(request));
    std::vector<stored_wake> wakes;
    std::vector<seen_event> events;
    auto results = decode_results(rows, part, wakes, events);
    co_await finish_commit(sessions, std::move(events), std::move(wakes));
    co_return results;
}

/// Lost commits must be detected before a change that depends on them is stored.
asio::awaitable<void> batch_writer::finish_commit(std::shared_ptr<pool> sessions,
                                                  std::vector<seen_event> events,
                                                  std::vector<stored_wake> wakes)
{
    std::exception_ptr failure;
    try {
        if (parts_.detector->positions().record(events))
            co_await parts_.detector->fence_lost_shards(*sessions);
    } catch (...) {
        failure = std::current_exception();
    }
    parts_.notifications->notify_commit(wakes);
    if (failure)
        throw_after_commit(failure);
}

std::uint32_t batch_writer::shard_for(const record& run) const
{
    return first_shard(shard_home(run.workflow, run.foreign_id)) +
           shard_of(run.foreign_id, parts_.schema->shards());
}

asio::awaitable<std::vector<std::vector<lock_key>>>
batch_writer::keys_of(std::span<const change> changes)
{
    co_await ensure_workflows(changes);
    std::map<run_id, std::uint32_t> shards;
    std::vector<run_id> unknown;
    for (const change& candidate : changes) {
        if (const auto* step = std::get_if<transition>(&candidate))
            shards.emplace(step->next.id, shard_for(step->next));
        else if (const auto* sent = std::get_if<delivery>(&candidate))
            unknown.push_back(sent->content.run);
        else if (const auto* removed = std::get_if<removal>(&candidate))
            unknown.push_back(removed->run);
        else if (const auto* update = std::get_if<attribute_update>(&candidate))
            unknown.push_back(update->run);
    }
    std::erase_if(unknown, [&](const run_id& run) { return shards.contains(run); });
    if (!unknown.empty()) {
        auto rows = co_await parts_.readers->run(parts_.statements->shards_of(unknown));
        while (rows.next()) {
            const auto run = rows.id();
            rows.read(shards[run]);
        }
    }
    std::vector<std::vector<lock_key>> keys(changes.size());
    const auto add_run = [&](std::size_t i, const run_id& run) {
        if (const auto found = shards.find(run); found != shards.end())
            keys[i].push_back({.shard = found->second});
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        if (const auto* step = std::get_if<transition>(&changes[i]))
            add_run(i, step->next.id);
        else if (const auto* sent = std::get_if<delivery>(&changes[i]))
            add_run(i, sent->content.run);
        else if (const auto* removed = std::get_if<removal>(&changes[i]))
            add_run(i, removed->run);
        else if (const auto* update = std::get_if<attribute_update>(&changes[i]))
            add_run(i, update->run);
        else if (const auto* moved = std::get_if<cursor_move>(&changes[i]))
            keys[i].push_back({.shard = moved->shard});
        else if (const auto* event = std::get_if<publication>(&changes[i]))
            keys[i].push_back({.topic = event->topic});
        else if (const auto* trim = std::get_if<topic_trim>(&changes[i]))
            keys[i].push_back({.topic = trim->topic});
    }
    co_return keys;
}

asio::awaitable<std::set<lock_key>> batch_writer::find_locked(std::set<lock_key> keys)
{
    std::set<lock_key> locked;
    try {
        auto rows = co_await parts_.writers->run(
            parts_.statements->find_locked({keys.begin(), keys.end()}));
        while (rows.next()) {
            lock_key key;
            if (rows.is_null())
                rows.skip();
            else
                rows.read(key.shard);
            rows.read(key.topic);
            locked.insert(std::move(key));
        }
    } catch (const server_error& refused) {
        if (refused.state() != "55P03")
            throw;
        locked = std::move(keys); // the tables are locked
    }
    co_return locked;
}

/// Those of the batch.
asio::awaitable<void> batch_writer::ensure_workflows(std::span<const change> batch)
{
    for (const change& candidate : batch) {
        const auto* step = std::get_if<transition>(&candidate);
        if (!step)
            continue;
        const auto& name = step->next.workflow;
        const auto home = shard_home(name, step->next.foreign_id);
        co_await ensure_workflow(name, name == home);
        if (name != home)
            co_await ensure_workflow(home, true);
    }
}

asio::awaitable<void> batch_writer::ensure_workflow(std::string_view name, bool with_shards)
{
    for (;;) {
        const auto known = parts_.schema->workflow(name);
        if (known && (known->first_shard || !with_shards))
            co_return;
        auto found = co_await parts_.readers->run(parts_.statements->find_workflow(name));
        if (found.next()) {
            const auto location = queries::read_workflow(found);
            parts_.schema->add(name, location);
            add_shards(location);
            if (location.first_shard || !with_shards)
                co_return;
        }
        auto added =
            co_await parts_.writers->run(parts_.statements->add_workflow(name, with_shards));
        if (added.next() && !added.is_null())
            core::check_first_shard(name, static_cast<std::uint32_t>(added.integer()),
                                    parts_.schema->shards());
    }
}

std::uint32_t batch_writer::first_shard(std::string_view workflow) const
{
    const auto known = parts_.schema->workflow(workflow);
    if (!known)
        throw stale_request{};
    return known->first_shard.value();
}

void batch_writer::add_shards(const workflow_location& location)
{
    if (location.first_shard)
        all_shards_ = std::max(all_shards_.load(), *location.first_shard + parts_.schema->shards());
    parts_.notifications->set_shard_count(all_shards_);
}

} // namespace pawl::postgres
