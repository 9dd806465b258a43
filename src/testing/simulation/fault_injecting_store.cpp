#include "testing/simulation/fault_injecting_store.hpp"

#include "testing/simulation/simulator.hpp"

#include <fmt/format.h>

namespace pawl::testing::detail {

namespace asio = boost::asio;

namespace {

std::string text_of(const change& what)
{
    if (const auto* moved = std::get_if<transition>(&what))
        return fmt::format("{} \"{}\" version {} {} {} -> {} {}", moved->next.workflow,
                           moved->next.foreign_id, moved->next.version, to_string(moved->kind),
                           moved->from, moved->next.status, to_string(moved->next.state));
    if (const auto* sent = std::get_if<delivery>(&what))
        return fmt::format("message {} {} to {}", static_cast<int>(sent->content.kind),
                           sent->content.name, to_string(sent->content.run));
    if (const auto* cursor = std::get_if<cursor_move>(&what))
        return fmt::format("cursor {} of shard {} at {}", cursor->name, cursor->shard,
                           cursor->position);
    return fmt::format("change {}", what.index());
}

} // namespace

void fault_injecting_store::note(std::span<const change> batch,
                                 const std::vector<apply_result>& results)
{
    auto& owner = of_.owner();
    for (std::size_t i = 0; i < batch.size(); ++i)
        owner.trace(fmt::format("{} stores {}: {} {}", of_.name(), text_of(batch[i]),
                                static_cast<int>(results[i].status), results[i].sequence));
    owner.seen.applied(of_.name(), batch, results);
}

std::optional<apply_result> fault_injecting_store::try_apply(const change& only)
{
    if (!in_place_)
        return {};
    const auto how = of_.begin_store_call_now("try_apply");
    auto result = inner().try_apply(only);
    note({&only, 1}, {*result});
    of_.end_store_call_now("try_apply", how);
    return result;
}

asio::awaitable<std::vector<apply_result>>
fault_injecting_store::apply(std::span<const change> batch)
{
    const auto how = co_await of_.begin_store_call("apply", true);
    auto results = co_await inner().apply(batch);
    note(batch, results);
    co_await of_.end_store_call("apply", how);
    co_return results;
}

asio::awaitable<std::optional<record>> fault_injecting_store::find(run_id id)
{
    const auto how = co_await of_.begin_store_call("find", false);
    auto found = co_await inner().find(id);
    if (found)
        of_.owner().seen.shown(*found);
    co_await of_.end_store_call("find", how);
    co_return found;
}

asio::awaitable<due_page> fault_injecting_store::due(std::uint32_t shard, due_position from,
                                                     time_point until, std::size_t limit)
{
    const auto how = co_await of_.begin_store_call("due", false);
    auto page = co_await inner().due(shard, from, until, limit);
    for (const auto& each : page.runs)
        of_.owner().seen.shown(each);
    co_await of_.end_store_call("due", how);
    co_return page;
}

asio::awaitable<std::vector<lease>> fault_injecting_store::claim(std::vector<std::uint32_t> shards,
                                                                 std::string_view owner,
                                                                 duration lease_duration)
{
    // A store that is not shared takes no claim of a process that is gone.
    const auto how = co_await of_.begin_store_call("claim", shared());
    auto claimed = co_await inner().claim(std::move(shards), owner, lease_duration);
    for (const auto& each : claimed) {
        of_.owner().trace(
            fmt::format("{} has shard {} with epoch {}", of_.name(), each.shard, each.epoch));
        of_.owner().seen.claimed(of_.name(), each.shard, each.epoch);
    }
    co_await of_.end_store_call("claim", how);
    co_return claimed;
}

/// Shards that a process left behind are still its own until another has them.
asio::awaitable<std::vector<lease>> fault_injecting_store::leases()
{
    auto all = co_await reading("leases", inner().leases());
    for (auto& each : all)
        for (const auto& left : of_.owner().left)
            if (each.owner.empty() && each.shard == left.shard && each.epoch == left.epoch)
                each.owner = left.owner;
    co_return all;
}

asio::awaitable<void> fault_injecting_store::release(std::vector<lease> held)
{
    const auto how = co_await of_.begin_store_call("release", true);
    co_await inner().release(std::move(held));
    co_await of_.end_store_call("release", how);
}

asio::awaitable<std::uint64_t> fault_injecting_store::cursor(std::string_view name,
                                                             std::uint32_t shard)
{
    of_.owner().seen.begins_hooks(of_.name(), shard);
    return reading("cursor", inner().cursor(name, shard));
}

asio::awaitable<std::vector<std::uint32_t>>
fault_injecting_store::first_shards(std::vector<std::string> workflows)
{
    const auto how = co_await of_.begin_store_call("first_shards", shared());
    auto first = co_await inner().first_shards(workflows);
    for (std::size_t i = 0; i < workflows.size(); ++i)
        of_.owner().seen.has_shards(workflows[i], first[i]);
    co_await of_.end_store_call("first_shards", how);
    co_return first;
}

asio::awaitable<void> fault_injecting_store::forget_roles(std::string_view prefix)
{
    const auto how = co_await of_.begin_store_call("forget_roles", true);
    co_await inner().forget_roles(prefix);
    co_await of_.end_store_call("forget_roles", how);
}

asio::awaitable<void> fault_injecting_store::release_role(role_lease held)
{
    const auto how = co_await of_.begin_store_call("release_role", true);
    co_await inner().release_role(std::move(held));
    co_await of_.end_store_call("release_role", how);
}

std::shared_ptr<void> fault_injecting_store::subscribe(change_handler hear)
{
    return inner().subscribe(
        [of = &of_, hear = std::move(hear)](std::span<const shard_change> news) {
            if (!of->loses_news())
                hear(news);
        });
}

} // namespace pawl::testing::detail
