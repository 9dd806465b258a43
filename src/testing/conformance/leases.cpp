// Leases, the epochs that they give, and cursors.
#include "testing/conformance/fixture.hpp"

#include <array>
#include <limits>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

constexpr auto later = beginning + 30s;

awaitable<lease> claimed(fixture& test, std::uint32_t shard, std::string owner)
{
    const auto held = co_await test.store().claim(shard, owner, beginning, later);
    expect(held.has_value(), "a free shard cannot be claimed");
    expect_number(held->shard, shard, "shard of a lease");
    expect(held->until == later, "a lease does not last until the time asked for");
    co_return *held;
}

awaitable<void> a_shard_has_one_owner(fixture& test)
{
    const auto held = co_await claimed(test, 0, "first");
    expect_number(held.epoch, 1, "epoch of the first lease of a shard");
    const auto refused = co_await test.store().claim(0, "second", beginning, later);
    expect(!refused, "a shard that is held can be claimed");

    const auto renewed = co_await test.store().claim(0, "first", beginning, later + 30s);
    expect(renewed.has_value(), "an owner cannot renew its lease");
    expect_number(renewed->epoch, 1, "epoch of a renewed lease");
    expect(renewed->until == later + 30s, "a renewed lease keeps its old end");

    const auto beside = co_await claimed(test, 1, "second");
    expect_number(beside.epoch, 1, "epoch of another shard's first lease");
}

awaitable<void> a_released_shard_is_free(fixture& test)
{
    const auto first = co_await claimed(test, 0, "first");
    co_await test.store().release(first);
    const auto second = co_await claimed(test, 0, "second");
    expect_number(second.epoch, 2, "epoch of the second owner");

    // The first owner's lease is history: giving it back again takes nothing from the second.
    co_await test.store().release(first);
    const auto refused = co_await test.store().claim(0, "first", beginning, later);
    expect(!refused, "a stale release freed the shard");

    co_await test.store().release(second);
    co_await test.store().release(second);
    const auto again = co_await claimed(test, 0, "second");
    expect_number(again.epoch, 3, "epoch after the same owner gave the shard back");
}

awaitable<void> leases_lapse_in_shared_stores_only(fixture& test)
{
    co_await claimed(test, 0, "first");
    const auto early = co_await test.store().claim(0, "second", later - 1us, later + 30s);
    expect(!early, "a lease lapsed before its end");
    const auto taken = co_await test.store().claim(0, "second", later + 1us, later + 30s);
    if (test.store().shared()) {
        expect(taken.has_value(), "a lapsed shard cannot be claimed");
        expect_number(taken->epoch, 2, "epoch after a lease lapsed");
    } else {
        expect(!taken, "a lease lapsed in a store that no other process shares");
    }
}

awaitable<void> epochs_fence_transitions(fixture& test)
{
    const auto foreign_id = test.foreign_id_in(1);
    const auto other_id = test.foreign_id_in(0);
    const auto old = co_await claimed(test, 1, "first");
    const auto other = co_await claimed(test, 0, "first");
    co_await test.store().release(other);
    co_await claimed(test, 0, "first");

    auto run = test.make_run(foreign_id);
    auto start = start_of(run);
    start.epoch = old.epoch;
    co_await test.accept_one(start);
    run = next_of(run);
    auto step = step_of(run);
    step.epoch = old.epoch;
    co_await test.accept_one(step);

    co_await test.store().release(old);
    const auto held = co_await claimed(test, 1, "second");
    run = next_of(run);
    step = step_of(run);
    for (const auto epoch : {old.epoch, held.epoch + 1, ~std::uint64_t{}}) {
        step.epoch = epoch;
        const auto refused = co_await test.apply_one(step);
        expect_status(refused, apply_status::fenced, "a transition under another epoch");
    }
    start = start_of(test.make_run(foreign_id));
    start.epoch = old.epoch;
    const auto refused = co_await test.apply_one(start);
    expect_status(refused, apply_status::fenced, "a start under an old epoch");
    step.epoch = held.epoch;
    co_await test.accept_one(step);

    // Without an epoch nothing is checked, and another shard's epoch is no concern of this one's.
    run = next_of(run);
    co_await test.accept_one(step_of(run));
    const auto free = test.make_run(other_id);
    auto elsewhere = start_of(free);
    elsewhere.epoch = 2;
    co_await test.accept_one(elsewhere);
    const auto history = co_await test.store().history(run.id, 0, 100);
    expect_number(history.size(), 4, "events after fenced changes");
}

awaitable<void> epochs_fence_cursors(fixture& test)
{
    const auto held = co_await claimed(test, 1, "first");
    co_await test.accept_one(
        cursor_move{.name = "hooks", .shard = 1, .position = 5, .epoch = held.epoch});
    const auto refused = co_await test.apply_one(
        cursor_move{.name = "hooks", .shard = 1, .position = 6, .epoch = held.epoch + 1});
    expect_status(refused, apply_status::fenced, "a cursor move under another epoch");
    const auto position = co_await test.store().cursor("hooks", 1);
    expect_number(position, 5, "cursor after a fenced move");
}

awaitable<void> epochs_of_a_shard_never_held_fence(fixture& test)
{
    auto start = start_of(test.make_run("early"));
    start.epoch = 1;
    const auto refused = co_await test.apply_one(start);
    expect_status(refused, apply_status::fenced, "a start under an epoch before the first lease");
}

awaitable<void> move(fixture& test, std::string name, std::uint32_t shard, std::uint64_t position)
{
    cursor_move change{.name = std::move(name), .shard = shard, .position = position};
    co_await test.accept_one(std::move(change));
}

awaitable<void> expect_at(fixture& test, std::string name, std::uint32_t shard,
                          std::uint64_t wanted)
{
    const auto position = co_await test.store().cursor(name, shard);
    expect_number(position, wanted, fmt::format("cursor {} of shard {}", name, shard));
}

awaitable<void> cursors_only_move_forward(fixture& test)
{
    co_await expect_at(test, "hooks", 0, 0);
    co_await move(test, "hooks", 0, 10);
    co_await expect_at(test, "hooks", 0, 10);
    co_await move(test, "hooks", 0, 7);
    co_await move(test, "hooks", 0, 10);
    co_await expect_at(test, "hooks", 0, 10);
    co_await expect_at(test, "hooks", 1, 0);
    co_await expect_at(test, "stream", 0, 0);
    co_await move(test, "stream", 0, 3);
    co_await move(test, "hooks", 1, 4);
    co_await expect_at(test, "hooks", 0, 10);
    co_await expect_at(test, "stream", 0, 3);
    co_await expect_at(test, "hooks", 1, 4);

    constexpr auto greatest = std::numeric_limits<std::uint64_t>::max();
    co_await move(test, "hooks", 0, greatest);
    co_await expect_at(test, "hooks", 0, greatest);
    co_await move(test, "hooks", 0, 11);
    co_await expect_at(test, "hooks", 0, greatest);
}

constexpr std::array<check_entry, 7> checks{{
    {"a_shard_has_one_owner", a_shard_has_one_owner, 2},
    {"a_released_shard_is_free", a_released_shard_is_free},
    {"leases_lapse_in_shared_stores_only", leases_lapse_in_shared_stores_only},
    {"epochs_fence_transitions", epochs_fence_transitions, 2},
    {"epochs_fence_cursors", epochs_fence_cursors, 2},
    {"epochs_of_a_shard_never_held_fence", epochs_of_a_shard_never_held_fence},
    {"cursors_only_move_forward", cursors_only_move_forward, 2},
}};

} // namespace

std::span<const check_entry> lease_checks()
{
    return checks;
}

} // namespace pawl::testing
