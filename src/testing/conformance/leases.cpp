// Checks of leases, epochs, change notifications, cursors and roles.
#include "testing/conformance/fixture.hpp"

#include <array>
#include <limits>
#include <map>
#include <memory>
#include <mutex>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t no_epoch = 0;

/// Claims one shard.
awaitable<std::optional<lease>> claim(fixture& test, std::uint32_t shard, std::string owner,
                                      duration lease_duration = 1h)
{
    const auto taken = co_await test.store().claim({shard}, owner, lease_duration);
    expect(taken.size() <= 1, "claim() of one shard returned several leases");
    co_return taken.empty() ? std::nullopt : std::optional{taken.front()};
}

awaitable<lease> claimed(fixture& test, std::uint32_t shard, std::string owner)
{
    const auto held = co_await claim(test, shard, owner);
    expect(held.has_value(), fmt::format("claim() of the free shard {} returned no lease", shard));
    expect_equal(held->shard, shard, "shard of a lease");
    expect_equal(held->owner, owner, "owner of a lease");
    co_return *held;
}

awaitable<void> release(fixture& test, lease held)
{
    co_await test.store().release({held});
}

awaitable<void> a_shard_has_one_owner(fixture& test)
{
    const auto held = co_await claimed(test, 0, "first");
    expect_greater(held.epoch, no_epoch, "epoch of the first lease of a shard");
    const auto refused = co_await claim(test, 0, "second");
    expect_none(refused, "claim() of a shard that another owner holds");

    const auto renewed = co_await claim(test, 0, "first", 2h);
    expect(renewed.has_value(), "claim() did not renew the owner's lease");
    expect_equal(renewed->epoch, held.epoch, "epoch of a renewed lease");
    if (test.store().shared())
        expect_greater(renewed->until, held.until + 50min, "until of a renewed lease");

    const auto beside = co_await claimed(test, 1, "second");
    expect_greater(beside.epoch, no_epoch, "epoch of another shard's first lease");
}

awaitable<void> shards_are_claimed_together(fixture& test)
{
    const auto held = co_await claimed(test, 1, "first");
    const auto taken = co_await test.store().claim({0, 1, 2}, "second", 1h);
    expect_equal(taken.size(), 2, "leases from a claim() of three shards, one of which is held");
    expect_equal(taken[0].shard + taken[1].shard, 2, "sum of the claimed shards 0 and 2");
    const auto none = co_await test.store().claim({}, "second", 1h);
    expect_none(none, "claim() of no shards");

    auto all = co_await test.store().leases();
    expect_equal(all.size(), 3, "leases of three shards");
    for (std::uint32_t shard = 0; shard < 3; ++shard) {
        expect_equal(all[shard].shard, shard, "shard of a lease in order");
        expect_equal(all[shard].owner, shard == 1 ? "first" : "second", "owner of a lease");
        const auto& claimed_with = shard == 1 ? held : taken[shard == 0 ? 0 : 1];
        expect_equal(all[shard].epoch, claimed_with.epoch, "epoch of a lease");
    }
    const std::vector<lease> of_second{all[0], all[2]};
    co_await test.store().release(of_second);
    all = co_await test.store().leases();
    expect_equal(all[0].owner, "", "owner of the released shard 0");
    expect_equal(all[2].owner, "", "owner of the released shard 2");
    expect_equal(all[1].owner, held.owner, "owner of a shard that was not released");
}

awaitable<void> a_released_shard_is_free(fixture& test)
{
    const auto first = co_await claimed(test, 0, "first");
    co_await release(test, first);
    const auto second = co_await claimed(test, 0, "second");
    expect_greater(second.epoch, first.epoch, "epoch of the second owner");

    // Releasing the first owner's old lease does not release the second owner's.
    co_await release(test, first);
    const auto refused = co_await claim(test, 0, "first");
    expect_none(refused, "claim() after a release of an outdated lease");

    co_await release(test, second);
    co_await release(test, second);
    const auto again = co_await claimed(test, 0, "second");
    expect_greater(again.epoch, second.epoch, "epoch after the owner released the shard");
}

awaitable<void> leases_expire_in_shared_stores_only(fixture& test)
{
    const auto brief = co_await claim(test, 0, "first", duration::zero());
    expect(brief.has_value(), "claim() with the lease duration 0 returned no lease");
    const auto taken = co_await claim(test, 0, "second");
    if (!test.store().shared()) {
        expect_none(taken, "claim() of a held shard in a store that is not shared");
        co_return;
    }
    expect(taken.has_value(), "claim() of a shard with an expired lease returned no lease");
    expect_greater(taken->epoch, brief->epoch, "epoch after a lease expired");

    // The owner may renew an expired lease until another process claims the shard.
    const auto expired = co_await claim(test, 1, "first", duration::zero());
    const auto kept = co_await claim(test, 1, "first");
    expect(expired && kept, "claim() did not renew the owner's expired lease");
    expect_equal(kept->epoch, expired->epoch, "epoch of a renewed lease that had expired");
    const auto refused = co_await claim(test, 1, "second");
    expect_none(refused, "claim() of a shard whose expired lease was renewed");
}

/// The earliest due time of each shard's notifications. Thread-safe.
struct notification_log {
    std::mutex mutex;
    std::map<std::uint32_t, std::optional<time_point>> earliest_due;

    void add(std::span<const shard_change> changes)
    {
        const std::lock_guard lock{mutex};
        for (const auto& change : changes) {
            auto& due = earliest_due[change.shard];
            if (change.due && (!due || *change.due < *due))
                due = change.due;
        }
    }

    void clear()
    {
        const std::lock_guard lock{mutex};
        earliest_due.clear();
    }

    bool has(std::uint32_t shard, time_point due)
    {
        const std::lock_guard lock{mutex};
        const auto found = earliest_due.find(shard);
        return found != earliest_due.end() && found->second && *found->second <= due;
    }
};

/// Calls the store until the notification has arrived: it may be late.
awaitable<void> wait_for_notification(fixture& test, std::shared_ptr<notification_log> log,
                                      std::uint32_t shard, time_point due)
{
    const auto time_limit = std::chrono::steady_clock::now() + 30s;
    while (!log->has(shard, due)) {
        expect(std::chrono::steady_clock::now() < time_limit,
               fmt::format("no notification of a commit in shard {} within 30 s", shard));
        co_await test.store().find(run_id{});
    }
}

awaitable<void> a_shared_store_notifies_of_commits(fixture& test)
{
    const auto log = std::make_shared<notification_log>();
    auto handle = test.store().subscribe([log](auto changes) { log->add(changes); });
    expect_equal(handle != nullptr, test.store().shared(),
                 "subscribe(): returns a handle if the store is shared");
    if (!handle)
        co_return;
    const auto run = co_await test.started(test.foreign_id_in(1));
    co_await wait_for_notification(test, log, 1, *run.wake_at);
    const auto other = co_await test.started(test.foreign_id_in(0));
    co_await wait_for_notification(test, log, 0, *other.wake_at);
    auto waits = next_of(run);
    waits.wake_at.reset();
    co_await test.accept_one(step_of(waits));
    log->clear();
    co_await test.accept_one(send(run.id, "hello"));
    co_await wait_for_notification(test, log, 1, time_point::max());
    handle.reset();
    co_await test.started("unheard");
}

awaitable<void> epochs_fence_transitions(fixture& test)
{
    const auto foreign_id = test.foreign_id_in(1);
    const auto other_id = test.foreign_id_in(0);
    const auto old = co_await claimed(test, 1, "first");
    const auto other = co_await claimed(test, 0, "first");
    co_await release(test, other);
    const auto other_again = co_await claimed(test, 0, "first");

    auto run = test.make_run(foreign_id);
    auto start = start_of(run);
    start.epoch = old.epoch;
    co_await test.accept_one(start);
    run = next_of(run);
    auto step = step_of(run);
    step.epoch = old.epoch;
    co_await test.accept_one(step);

    co_await release(test, old);
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

    // A change without an epoch is not checked. Each shard has its own epoch.
    run = next_of(run);
    co_await test.accept_one(step_of(run));
    const auto free = test.make_run(other_id);
    auto elsewhere = start_of(free);
    elsewhere.epoch = other_again.epoch;
    co_await test.accept_one(elsewhere);
    const auto history = co_await test.store().history(run.id, 0, 100);
    expect_equal(history.size(), 4, "events after fenced changes");
}

awaitable<void> epochs_fence_cursors(fixture& test)
{
    const auto held = co_await claimed(test, 1, "first");
    co_await test.accept_one(start_of(test.make_run(test.foreign_id_in(1))));
    co_await test.accept_one(
        cursor_move{.name = "hooks", .shard = 1, .position = 1, .epoch = held.epoch});
    const auto refused = co_await test.apply_one(
        cursor_move{.name = "hooks", .shard = 1, .position = 2, .epoch = held.epoch + 1});
    expect_status(refused, apply_status::fenced, "a cursor move under another epoch");
    auto position = co_await test.store().cursor("hooks", 1);
    expect_equal(position, 1, "cursor after a fenced move");
    co_await test.accept_one(
        cursor_move{.name = "hooks", .shard = 1, .position = 2, .epoch = held.epoch});
    position = co_await test.store().cursor("hooks", 1);
    expect_equal(position, 2, "cursor after a move under the shard's epoch");
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
    expect_equal(position, wanted, fmt::format("cursor {} of shard {}", name, shard));
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

/// Starts a run and returns the shard of its event.
awaitable<std::uint32_t> shard_of_run(fixture& test, std::string foreign_id, std::string workflow)
{
    const auto run = co_await test.started(std::move(foreign_id), std::move(workflow));
    const auto history = co_await test.store().history(run.id, 0, 10);
    expect_equal(history.size(), 1, "events of a new run");
    co_return history.front().shard;
}

awaitable<void> each_workflow_has_its_own_shards(fixture& test)
{
    const bool shared = test.store().shared();
    const std::vector<std::uint32_t> wanted =
        shared ? std::vector<std::uint32_t>{0, 3, 0} : std::vector<std::uint32_t>(3);
    for (int i = 0; i < 2; ++i) {
        const auto first = co_await test.store().first_shards({"orders", "mails", "orders"});
        expect_equal(first, wanted, "first_shards() of two workflows");
    }
    const auto beside = wanted[1];
    const auto all = co_await test.store().leases();
    expect_equal(all.size(), shared ? 6 : 3, "leases of two workflows with three shards");
    const auto foreign_id = test.foreign_id_in(2);
    const auto of_orders = co_await shard_of_run(test, foreign_id, "orders");
    expect_equal(of_orders, 2, "shard of a run of the first workflow");
    const auto of_mails = co_await shard_of_run(test, foreign_id, "mails");
    expect_equal(of_mails, beside + 2, "shard of a run of the second workflow");
    // A schedule is stored in the shards of the workflow that it starts.
    const auto slice = shard_of("mails/monthly", 3);
    const auto of_schedule = co_await shard_of_run(test, "mails/monthly", "pawl.schedules");
    expect_equal(of_schedule, beside + slice, "shard of a schedule");
    // A workflow for which first_shards() was not called.
    const auto of_third = co_await shard_of_run(test, foreign_id, "letters");
    expect_equal(of_third, shared ? 8 : 2, "shard of a run of a third workflow");
    const auto first = co_await test.store().first_shards({"letters"});
    expect_equal(first.at(0), shared ? 6 : 0, "first shard of a workflow that has runs");

    if (!shared)
        co_return;
    const auto taken = co_await test.store().claim({2}, "first", 1h);
    expect_equal(taken.size(), 1, "leases from a claim() of a shard of the first workflow");
    const auto other = co_await test.store().claim({5}, "second", 1h);
    expect_equal(other.size(), 1, "leases from a claim() of a shard of the second workflow");
    const auto due = co_await test.store().due(5, {}, time_point::max(), 10);
    for (const auto& run : due.runs)
        expect_equal(shard_home(run.workflow, run.foreign_id), std::string_view{"mails"},
                     "workflow of a run that is due in a shard of mails");
    expect_equal(due.runs.size(), slice == 2 ? 2 : 1, "runs that are due in a shard of mails");
    co_await test.accept_one(cursor_move{.name = "hooks", .shard = 5, .position = 4});
    const auto here = co_await test.store().cursor("hooks", 5);
    const auto there = co_await test.store().cursor("hooks", 2);
    expect_equal(here, 4, "cursor of shard 5");
    expect_equal(there, 0, "cursor of shard 2");
}

awaitable<void> the_number_of_shards_is_limited(fixture& test)
{
    constexpr int most = 32'768 / 4'096;
    for (int i = 0; i < most; ++i) {
        const auto first = co_await test.store().first_shards({fmt::format("flow-{}", i)});
        expect_equal(first.at(0), test.store().shared() ? i * 4'096 : 0,
                     "first shard of a workflow");
    }
    if (!test.store().shared())
        co_return;
    co_await expect_refused_argument(test.store().first_shards({"one too many"}),
                                     "first_shards() beyond the largest number of shards");
    co_await expect_refused_argument(
        test.apply_one(start_of(test.make_run("order-1", "one too many"))),
        "a start beyond the largest number of shards");
    const auto first = co_await test.store().first_shards({"flow-0"});
    expect_equal(first.at(0), 0, "first shard after a refusal");
}

awaitable<void> a_shared_store_has_a_clock(fixture& test)
{
    const auto first = co_await test.store().now();
    const auto second = co_await test.store().now();
    if (!test.store().shared() && !first)
        co_return;
    expect(first && second, "now() of a shared store returned no time");
    expect(*first <= *second,
           fmt::format("now() went back from {} to {}", text_of(*first), text_of(*second)));
    const auto held = co_await test.store().claim_role("role", "me", 1h);
    expect(held.has_value(), "claim_role() of a free role returned no lease");
    expect(held->until >= *second + 1h && held->until < *second + 2h,
           fmt::format("until of a role claimed for 1 h is {}, and now() was {}",
                       text_of(held->until), text_of(*second)));
}

awaitable<std::uint64_t> take_role(fixture& test, std::string role, std::string owner,
                                   duration lease_duration = 1h)
{
    const auto taken = co_await test.store().claim_role(role, owner, lease_duration);
    expect(taken.has_value(),
           fmt::format("claim_role() of the free role {} failed", text_of(role)));
    co_return taken->epoch;
}

awaitable<void> roles_that_nobody_holds_are_forgotten_by_prefix(fixture& test)
{
    std::map<std::string, std::uint64_t> first;
    for (const std::string name : {"a", "a/1", "a/\xff", "b"})
        first[name] = co_await take_role(test, name, "me", duration::zero());
    const auto released = co_await test.store().claim_role("a/2", "me", 1h);
    expect(released.has_value(), "claim_role() of the free role a/2 failed");
    co_await test.store().release_role(*released);
    co_await test.store().claim_role("a/3", "me", 1h);
    co_await test.store().forget_roles("a/");
    for (const std::string name : {"a", "a/1", "a/2", "a/\xff", "b"}) {
        const auto epoch = co_await take_role(test, name, "another");
        const bool was_forgotten = name.starts_with("a/");
        if (!was_forgotten)
            expect_greater(epoch, first[name], "epoch of role " + name + ", not forgotten");
    }
    const auto refused = co_await test.store().claim_role("a/3", "another", 1h);
    expect_none(refused, "claim_role() after forget_roles() of a role that is held");
    const auto listed = co_await test.store().roles("a/");
    expect_equal(listed.size(), 4, "roles with the prefix a/");
    co_await test.store().forget_roles("");
    const auto all = co_await test.store().roles("");
    expect_equal(all.size(), 6, "all roles");
}

} // namespace

std::span<const check_entry> lease_checks()
{
    static constexpr std::array<check_entry, 13> checks{{
        {"a_shard_has_one_owner", a_shard_has_one_owner, 2},
        {"shards_are_claimed_together", shards_are_claimed_together, 3},
        {"a_released_shard_is_free", a_released_shard_is_free},
        {"leases_expire_in_shared_stores_only", leases_expire_in_shared_stores_only, 2},
        {"each_workflow_has_its_own_shards", each_workflow_has_its_own_shards, 3},
        {"the_number_of_shards_is_limited", the_number_of_shards_is_limited, 4'096},
        {"a_shared_store_has_a_clock", a_shared_store_has_a_clock},
        {"roles_that_nobody_holds_are_forgotten_by_prefix",
         roles_that_nobody_holds_are_forgotten_by_prefix},
        {"a_shared_store_notifies_of_commits", a_shared_store_notifies_of_commits, 2},
        {"epochs_fence_transitions", epochs_fence_transitions, 2},
        {"epochs_fence_cursors", epochs_fence_cursors, 2},
        {"epochs_of_a_shard_never_held_fence", epochs_of_a_shard_never_held_fence},
        {"cursors_only_move_forward", cursors_only_move_forward, 2},
    }};
    return checks;
}

} // namespace pawl::testing
