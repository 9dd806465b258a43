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

batch_writer::batch_writer(parts all) : all_(std::move(all)), all_shards_(all_.schema->shards())
{
    know_shards({});
}

asio::awaitable<std::vector<apply_result>>
batch_writer::apply(std::shared_ptr<pool> sessions, std::span<const change> part, duration patience)
{
    auto results = co_await apply_statement(sessions, part, patience);
    co_await delete_rest(sessions, part, patience, results);
    co_return results;
}

/// A statement deletes only so much: the rest of what the part removes and trims goes now.
asio::awaitable<void> batch_writer::delete_rest(std::shared_ptr<pool> sessions,
                                                std::span<const change> part, duration patience,
                                                std::vector<apply_result>& decided)
{
    bool sweeps = false;
    for (std::size_t i = 0; i < part.size(); ++i)
        if (std::holds_alternative<removal>(part[i]))
            sweeps = std::exchange(decided[i].sequence, 0) != 0 || sweeps;
    while (sweeps) {
        auto rows = co_await sessions->run(all_.statements->sweep_removed());
        sweeps = rows.next() && rows.integer() != 0;
    }
    if (part.empty() || !std::holds_alternative<topic_trim>(part.back()))
        co_return;
    while (decided.back().sequence != 0) {
        const auto again = co_await apply_statement(sessions, part.last(1), patience);
        decided.back() = again.front();
    }
}

/// Again when the schema turns out to have been made again.
asio::awaitable<std::vector<apply_result>>
batch_writer::apply_statement(std::shared_ptr<pool> sessions, std::span<const change> part,
                              duration patience)
{
    constexpr int most_times = 3;
    for (int times = 1;; ++times) {
        co_await learn_workflows(part);
        try {
            auto results = co_await apply_once(sessions, part, patience);
            co_return results;
        } catch (const stale_request&) {
            if (times == most_times)
                throw;
        }
    }
}

request batch_writer::apply_request(std::span<const change> part, duration patience) const
{
    const auto version = all_.schema->version();
    const workflow_places places = [this](std::string_view name) {
        const auto known = all_.schema->workflow(name);
        if (!known)
            throw stale_request{};
        return *known;
    };
    auto values = encode_batch(part, all_.schema->shards(), all_.schema->types(), places);
    auto made = all_.statements->apply(std::move(values), patience);
    made.schema_version = version;
    return made;
}

asio::awaitable<apply_result> batch_writer::apply_in(transaction_session& session,
                                                     const change& only, duration patience)
{
    const std::span part{&only, 1};
    co_await learn_workflows(part);
    auto rows = co_await session.execute(apply_request(part, patience));
    std::vector<stored_wake> wakes;
    std::vector<seen_event> events;
    auto decided = decode_verdicts(rows, part, wakes, events);
    const bool is_accepted = decided.front().status == apply_status::accepted;
    if (!is_accepted) {
        co_await session.roll_back();
    } else {
        co_await session.commit();
        if (all_.lost->positions().note(events))
            co_await all_.lost->look_for(*all_.writers);
        all_.told->committed(wakes);
    }
    co_return std::move(decided.front());
}

asio::awaitable<std::vector<apply_result>> batch_writer::apply_once(std::shared_ptr<pool> sessions,
                                                                    std::span<const change> part,
                                                                    duration patience)
{
    auto request = apply_request(part, patience);
    auto rows = co_await sessions->run(std::move(request));
    std::vector<stored_wake> wakes;
    std::vector<seen_event> events;
    auto results = decode_verdicts(rows, part, wakes, events);
    // Before anything else is stored from what was known of the log.
    if (all_.lost->positions().note(events))
        co_await all_.lost->look_for(*sessions);
    all_.told->committed(wakes);
    co_return results;
}

std::uint32_t batch_writer::shard_for(const record& run) const
{
    return first_shard(shard_home(run.workflow, run.foreign_id)) +
           shard_of(run.foreign_id, all_.schema->shards());
}

asio::awaitable<std::vector<std::vector<lock_key>>>
batch_writer::keys_of(std::span<const change> changes)
{
    co_await learn_workflows(changes);
    std::map<run_id, std::uint32_t> shards;
    std::vector<run_id> unknown;
    for (const change& each : changes) {
        if (const auto* step = std::get_if<transition>(&each))
            shards.emplace(step->next.id, shard_for(step->next));
        else if (const auto* sent = std::get_if<delivery>(&each))
            unknown.push_back(sent->content.run);
        else if (const auto* removed = std::get_if<removal>(&each))
            unknown.push_back(removed->run);
    }
    std::erase_if(unknown, [&](const run_id& run) { return shards.contains(run); });
    if (!unknown.empty()) {
        auto rows = co_await all_.readers->run(all_.statements->shards_of(unknown));
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
        auto rows =
            co_await all_.writers->run(all_.statements->find_locked({keys.begin(), keys.end()}));
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
asio::awaitable<void> batch_writer::learn_workflows(std::span<const change> batch)
{
    for (const change& each : batch) {
        const auto* step = std::get_if<transition>(&each);
        if (!step)
            continue;
        const auto& name = step->next.workflow;
        const auto home = shard_home(name, step->next.foreign_id);
        co_await learn_workflow(name, name == home);
        if (name != home)
            co_await learn_workflow(home, true);
    }
}

asio::awaitable<void> batch_writer::learn_workflow(std::string_view name, bool with_shards)
{
    for (;;) {
        const auto known = all_.schema->workflow(name);
        if (known && (known->first_shard || !with_shards))
            co_return;
        auto found = co_await all_.readers->run(all_.statements->find_workflow(name));
        if (found.next()) {
            const auto place = queries::read_place(found);
            all_.schema->add(name, place);
            know_shards(place);
            if (place.first_shard || !with_shards)
                co_return;
        }
        auto added = co_await all_.writers->run(all_.statements->add_workflow(name, with_shards));
        if (added.next() && !added.is_null())
            core::check_first_shard(name, static_cast<std::uint32_t>(added.integer()),
                                    all_.schema->shards());
    }
}

std::uint32_t batch_writer::first_shard(std::string_view workflow) const
{
    const auto known = all_.schema->workflow(workflow);
    if (!known)
        throw stale_request{};
    return known->first_shard.value();
}

void batch_writer::know_shards(const workflow_place& of)
{
    if (of.first_shard)
        all_shards_ = std::max(all_shards_.load(), *of.first_shard + all_.schema->shards());
    all_.told->know_shards(all_shards_);
}

} // namespace pawl::postgres
