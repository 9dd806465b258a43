#include "testing/simulation/fault_injecting_store.hpp"

#include "testing/simulation/simulator.hpp"

#include <fmt/format.h>

namespace pawl::testing::detail {

namespace asio = boost::asio;

namespace {

std::string text_of(const change& entry)
{
    if (const auto* moved = std::get_if<transition>(&entry))
        return fmt::format("{} \"{}\" version {} {} {} -> {} {}", moved->next.workflow,
                           moved->next.foreign_id, moved->next.version, to_string(moved->kind),
                           moved->from, moved->next.status, to_string(moved->next.state));
    if (const auto* sent = std::get_if<delivery>(&entry))
        return fmt::format("message {} {} to {}", static_cast<int>(sent->content.kind),
                           sent->content.name, to_string(sent->content.run));
    if (const auto* cursor = std::get_if<cursor_move>(&entry))
        return fmt::format("cursor {} of shard {} at {}", cursor->name, cursor->shard,
                           cursor->position);
    return fmt::format("change {}", entry.index());
}

} // namespace

void fault_injecting_store::record_results(std::span<const change> batch,
                                           const std::vector<apply_result>& results)
{
    auto& owner = process_.owner();
    for (std::size_t i = 0; i < batch.size(); ++i)
        owner.trace(fmt::format("{} stores {}: {} {}", process_.name(), text_of(batch[i]),
                                static_cast<int>(results[i].status), results[i].sequence));
    owner.checker.batch_applied(process_.name(), batch, results);
}

std::optional<apply_result> fault_injecting_store::try_apply(const change& only)
{
    if (!in_place_)
        return {};
    const auto drawn = process_.begin_store_call_now("try_apply");
    auto result = inner().try_apply(only);
    record_results({&only, 1}, {*result});
    process_.end_store_call_now("try_apply", drawn);
    return result;
}

asio::awaitable<std::vector<apply_result>>
fault_injecting_store::apply(std::span<const change> batch)
{
    const auto drawn = co_await process_.begin_store_call("apply", true);
    auto results = co_await inner().apply(batch);
    record_results(batch, results);
    co_await process_.end_store_call("apply", drawn);
    co_return results;
}

asio::awaitable<std::optional<record>> fault_injecting_store::find(run_id id)
{
    const auto drawn = co_await process_.begin_store_call("find", false);
    auto found = co_await inner().find(id);
    if (found)
        process_.owner().checker.record_read(*found);
    co_await process_.end_store_call("find", drawn);
    co_return found;
}

asio::awaitable<due_page> fault_injecting_store::due(std::uint32_t shard, due_position from,
                                                     time_point until, std::size_t limit)
{
    const auto drawn = co_await process_.begin_store_call("due", false);
    auto page = co_await inner().due(shard, from, until, limit);
    for (const auto& run : page.runs)
        process_.owner().checker.record_read(run);
    co_await process_.end_store_call("due", drawn);
    co_return page;
}

asio::awaitable<std::vector<lease>> fault_injecting_store::claim(std::vector<std::uint32_t> shards,
                                                                 std::string_view owner,
                                                                 duration lease_duration)
{
    // A store that is not shared rejects claims of a process that has crashed.
    const auto drawn = co_await process_.begin_store_call("claim", shared());
    auto claimed = co_await inner().claim(std::move(shards), owner, lease_duration);
    for (const auto& entry : claimed) {
        process_.owner().trace(fmt::format("{} has shard {} with epoch {}", process_.name(),
                                           entry.shard, entry.epoch));
        process_.owner().checker.shard_claimed(process_.name(), entry.shard, entry.epoch);
    }
    co_await process_.end_store_call("claim", drawn);
    co_return claimed;
}

/// A crashed process stays the owner of its shards until another process claims them.
asio::awaitable<std::vector<lease>> fault_injecting_store::leases()
{
    auto entries = co_await reading("leases", inner().leases());
    for (auto& entry : entries)
        for (const auto& orphan : process_.owner().orphaned_leases)
            if (entry.owner.empty() && entry.shard == orphan.shard && entry.epoch == orphan.epoch)
                entry.owner = orphan.owner;
    co_return entries;
}

asio::awaitable<void> fault_injecting_store::release(std::vector<lease> held)
{
    const auto drawn = co_await process_.begin_store_call("release", true);
    co_await inner().release(std::move(held));
    co_await process_.end_store_call("release", drawn);
}

asio::awaitable<std::uint64_t> fault_injecting_store::cursor(std::string_view name,
                                                             std::uint32_t shard)
{
    process_.owner().checker.hook_cursor_read(process_.name(), shard);
    return reading("cursor", inner().cursor(name, shard));
}

asio::awaitable<std::vector<std::uint32_t>>
fault_injecting_store::first_shards(std::vector<std::string> workflows)
{
    const auto drawn = co_await process_.begin_store_call("first_shards", shared());
    auto first = co_await inner().first_shards(workflows);
    for (std::size_t i = 0; i < workflows.size(); ++i)
        process_.owner().checker.set_first_shard(workflows[i], first[i]);
    co_await process_.end_store_call("first_shards", drawn);
    co_return first;
}

asio::awaitable<void> fault_injecting_store::forget_roles(std::string_view prefix)
{
    const auto drawn = co_await process_.begin_store_call("forget_roles", true);
    co_await inner().forget_roles(prefix);
    co_await process_.end_store_call("forget_roles", drawn);
}

asio::awaitable<void> fault_injecting_store::release_role(role_lease held)
{
    const auto drawn = co_await process_.begin_store_call("release_role", true);
    co_await inner().release_role(std::move(held));
    co_await process_.end_store_call("release_role", drawn);
}

std::shared_ptr<void> fault_injecting_store::subscribe(change_handler handler)
{
    return inner().subscribe(
        [owner = &process_, handler = std::move(handler)](std::span<const shard_change> changes) {
            if (!owner->loses_notification())
                handler(changes);
        });
}

} // namespace pawl::testing::detail
