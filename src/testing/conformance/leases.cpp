// Leases, the epochs that they give, and cursors.
#include "testing/conformance/fixture.hpp"

#include <array>
#include <limits>
#include <map>
#include <memory>
#include <mutex>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

/// Claims one shard.
awaitable<std::optional<lease>> claim(fixture& test, std::uint32_t shard, std::string owner,
                                      duration lease_duration = 1h)
{
    const auto taken = co_await test.store().claim({shard}, owner, lease_duration);
    expect(taken.size() <= 1, "more was claimed than was asked for");
    co_return taken.empty() ? std::nullopt : std::optional{taken.front()};
}

awaitable<lease> claimed(fixture& test, std::uint32_t shard, std::string owner)
{
    const auto held = co_await claim(test, shard, owner);
    expect(held.has_value(), "a free shard cannot be claimed");
    expect_number(held->shard, shard, "shard of a lease");
    expect(held->owner == owner, "owner of a lease");
    co_return *held;
}

awaitable<void> release(fixture& test, lease held)
{
    co_await test.store().release({held});
}

awaitable<void> a_shard_has_one_owner(fixture& test)
{
    const auto held = co_await claimed(test, 0, "first");
    expect(held.epoch > 0, "the first lease of a shard has no epoch");
    const auto refused = co_await claim(test, 0, "second");
    expect(!refused, "a shard that is held can be claimed");

    const auto renewed = co_await claim(test, 0, "first", 2h);
    expect(renewed.has_value(), "an owner cannot renew its lease");
    expect_number(renewed->epoch, held.epoch, "epoch of a renewed lease");
    if (test.store().shared())
        expect(renewed->until > held.until + 50min, "a renewed lease keeps its old end");

    const auto beside = co_await claimed(test, 1, "second");
    expect(beside.epoch > 0, "another shard's first lease has no epoch");
}

awaitable<void> shards_are_claimed_together(fixture& test)
{
    const auto held = co_await claimed(test, 1, "first");
    const auto taken = co_await test.store().claim({0, 1, 2}, "second", 1h);
    expect_number(taken.size(), 2, "shards claimed of three of which one is held");
    expect(taken[0].shard + taken[1].shard == 2, "the shards that were claimed");
    const auto none = co_await test.store().claim({}, "second", 1h);
    expect(none.empty(), "something was claimed where nothing was asked for");

    auto all = co_await test.store().leases();
    expect_number(all.size(), 3, "leases of three shards");
    for (std::uint32_t shard = 0; shard < 3; ++shard) {
        expect_number(all[shard].shard, shard, "leases come in the order of their shards");
        expect(all[shard].owner == (shard == 1 ? "first" : "second"), "the owner of a lease");
        const auto& claimed_with = shard == 1 ? held : taken[shard == 0 ? 0 : 1];
        expect_number(all[shard].epoch, claimed_with.epoch, "the epoch of a lease");
    }
    const std::vector<lease> of_second{all[0], all[2]};
    co_await test.store().release(of_second);
    all = co_await test.store().leases();
    expect(all[0].owner.empty() && all[2].owner.empty(), "released shards have an owner");
    expect(all[1].owner == held.owner, "a shard lost its owner that was not released");
}

awaitable<void> a_released_shard_is_free(fixture& test)
{
    const auto first = co_await claimed(test, 0, "first");
    co_await release(test, first);
    const auto second = co_await claimed(test, 0, "second");
    expect(second.epoch > first.epoch, "the second owner has no greater epoch");

    // The first owner's lease is history: giving it back again takes nothing from the second.
    co_await release(test, first);
    const auto refused = co_await claim(test, 0, "first");
    expect(!refused, "a stale release freed the shard");

    co_await release(test, second);
    co_await release(test, second);
    const auto again = co_await claimed(test, 0, "second");
    expect(again.epoch > second.epoch, "an owner that gave the shard back has its old epoch");
}

awaitable<void> leases_lapse_in_shared_stores_only(fixture& test)
{
    const auto brief = co_await claim(test, 0, "first", duration::zero());
    expect(brief.has_value(), "a shard cannot be claimed for no time");
    const auto taken = co_await claim(test, 0, "second");
    if (!test.store().shared()) {
        expect(!taken, "a lease lapsed in a store that no other process shares");
        co_return;
    }
    expect(taken.has_value(), "a lapsed shard cannot be claimed");
    expect(taken->epoch > brief->epoch, "a lapsed shard is given with its old epoch");

    // The owner itself may renew what has lapsed, as long as nobody took it.
    const auto own = co_await claim(test, 1, "first", duration::zero());
    const auto kept = co_await claim(test, 1, "first");
    expect(own && kept && kept->epoch == own->epoch, "an owner's lapsed lease was not renewed");
    const auto refused = co_await claim(test, 1, "second");
    expect(!refused, "a lease that was renewed after it had lapsed does not hold");
}

/// What was told since it began, by shard. Told from any thread.
struct news_log {
    std::mutex mutex;
    std::map<std::uint32_t, std::optional<time_point>> heard;

    void hear(std::span<const shard_change> news)
    {
        const std::lock_guard lock{mutex};
        for (const auto& each : news) {
            auto& due = heard[each.shard];
            if (each.due && (!due || *each.due < *due))
                due = each.due;
        }
    }

    void forget()
    {
        const std::lock_guard lock{mutex};
        heard.clear();
    }

    bool has(std::uint32_t shard, time_point due)
    {
        const std::lock_guard lock{mutex};
        const auto found = heard.find(shard);
        return found != heard.end() && found->second && *found->second <= due;
    }
};

/// Reads until the news are there: they may come late.
awaitable<void> wait_for_news(fixture& test, std::shared_ptr<news_log> log, std::uint32_t shard,
                              time_point due)
{
    const auto give_up = std::chrono::steady_clock::now() + 30s;
    while (!log->has(shard, due)) {
        expect(std::chrono::steady_clock::now() < give_up, "no news came of a commit");
        co_await test.store().find(run_id{});
    }
}

awaitable<void> a_shared_store_tells_of_commits(fixture& test)
{
    const auto log = std::make_shared<news_log>();
    auto handle = test.store().subscribe([log](auto news) { log->hear(news); });
    expect((handle != nullptr) == test.store().shared(), "whether there is anything to hear");
    if (!handle)
        co_return;
    const auto run = co_await test.started(test.foreign_id_in(1));
    co_await wait_for_news(test, log, 1, *run.wake_at);
    const auto other = co_await test.started(test.foreign_id_in(0));
    co_await wait_for_news(test, log, 0, *other.wake_at);
    auto waits = next_of(run);
    waits.wake_at.reset();
    co_await test.accept_one(step_of(waits));
    log->forget();
    co_await test.accept_one(send(run.id, "hello"));
    co_await wait_for_news(test, log, 1, time_point::max());
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

    // Without an epoch nothing is checked, and another shard's epoch is no concern of this one's.
    run = next_of(run);
    co_await test.accept_one(step_of(run));
    const auto free = test.make_run(other_id);
    auto elsewhere = start_of(free);
    elsewhere.epoch = other_again.epoch;
    co_await test.accept_one(elsewhere);
    const auto history = co_await test.store().history(run.id, 0, 100);
    expect_number(history.size(), 4, "events after fenced changes");
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
    expect_number(position, 1, "cursor after a fenced move");
    co_await test.accept_one(
        cursor_move{.name = "hooks", .shard = 1, .position = 2, .epoch = held.epoch});
    position = co_await test.store().cursor("hooks", 1);
    expect_number(position, 2, "cursor behind the last event");
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

/// Starts a run and says in which shard its event is.
awaitable<std::uint32_t> shard_of_run(fixture& test, std::string foreign_id, std::string workflow)
{
    const auto run = co_await test.started(std::move(foreign_id), std::move(workflow));
    const auto history = co_await test.store().history(run.id, 0, 10);
    expect_number(history.size(), 1, "events of a run that was started");
    co_return history.front().shard;
}

awaitable<void> workflows_have_shards_of_their_own(fixture& test)
{
    const bool shared = test.store().shared();
    const std::vector<std::uint32_t> wanted =
        shared ? std::vector<std::uint32_t>{0, 3, 0} : std::vector<std::uint32_t>(3);
    for (int i = 0; i < 2; ++i) {
        const auto first = co_await test.store().first_shards({"orders", "mails", "orders"});
        expect(first == wanted, "the first shards of two workflows");
    }
    const auto beside = wanted[1];
    const auto all = co_await test.store().leases();
    expect_number(all.size(), shared ? 6 : 3, "leases of two workflows with three shards");
    const auto foreign_id = test.foreign_id_in(2);
    const auto of_orders = co_await shard_of_run(test, foreign_id, "orders");
    expect_number(of_orders, 2, "shard of a run of the first workflow");
    const auto of_mails = co_await shard_of_run(test, foreign_id, "mails");
    expect_number(of_mails, beside + 2, "shard of a run of the second workflow");
    // A schedule is where the runs are that it starts.
    const auto slice = shard_of("mails/monthly", 3);
    const auto of_schedule = co_await shard_of_run(test, "mails/monthly", "pawl.schedules");
    expect_number(of_schedule, beside + slice, "shard of a schedule");
    // A workflow that nobody asked about.
    const auto of_third = co_await shard_of_run(test, foreign_id, "letters");
    expect_number(of_third, shared ? 8 : 2, "shard of a run of a third workflow");
    const auto first = co_await test.store().first_shards({"letters"});
    expect_number(first.at(0), shared ? 6 : 0, "the first shard of a workflow that has runs");

    if (!shared)
        co_return;
    const auto taken = co_await test.store().claim({2}, "first", 1h);
    expect_number(taken.size(), 1, "a shard of the first workflow that was claimed");
    const auto other = co_await test.store().claim({5}, "second", 1h);
    expect_number(other.size(), 1, "a shard of the second workflow that was claimed");
    const auto due = co_await test.store().due(5, {}, time_point::max(), 10);
    for (const auto& each : due.runs)
        expect(shard_home(each.workflow, each.foreign_id) == "mails",
               "a run of another workflow is due in its shard");
    expect_number(due.runs.size(), slice == 2 ? 2 : 1, "runs that are due in a workflow's shard");
    co_await test.accept_one(cursor_move{.name = "hooks", .shard = 5, .position = 4});
    const auto here = co_await test.store().cursor("hooks", 5);
    const auto there = co_await test.store().cursor("hooks", 2);
    expect(here == 4 && there == 0, "a cursor is one of its shard alone");
}

awaitable<void> a_store_says_when_it_has_no_shards_left(fixture& test)
{
    constexpr int most = 32'768 / 4'096;
    for (int i = 0; i < most; ++i) {
        const auto first = co_await test.store().first_shards({fmt::format("flow-{}", i)});
        expect_number(first.at(0), test.store().shared() ? i * 4'096 : 0, "a first shard");
    }
    if (!test.store().shared())
        co_return;
    co_await expect_refused_argument(test.store().first_shards({"one too many"}),
                                     "shards for more workflows than there is room for");
    co_await expect_refused_argument(
        test.apply_one(start_of(test.make_run("order-1", "one too many"))),
        "a run of a workflow for which no shards are left");
    const auto first = co_await test.store().first_shards({"flow-0"});
    expect_number(first.at(0), 0, "a first shard after a refusal");
}

awaitable<void> a_shared_store_has_a_clock(fixture& test)
{
    const auto first = co_await test.store().now();
    const auto second = co_await test.store().now();
    if (!test.store().shared() && !first)
        co_return;
    expect(first && second && *first <= *second, "what a store's clock says");
    const auto held = co_await test.store().claim_role("role", "me", 1h);
    expect(held && held->until >= *second + 1h && held->until < *second + 2h,
           "the end of a role's lease by the store's clock");
}

awaitable<std::uint64_t> take_role(fixture& test, std::string role, std::string owner,
                                   duration lease_duration = 1h)
{
    const auto taken = co_await test.store().claim_role(std::move(role), owner, lease_duration);
    expect(taken.has_value(), "a role that nobody holds cannot be had");
    co_return taken->epoch;
}

awaitable<void> roles_that_nobody_holds_are_forgotten_by_prefix(fixture& test)
{
    std::map<std::string, std::uint64_t> first;
    for (const std::string name : {"a", "a/1", "a/\xff", "b"})
        first[name] = co_await take_role(test, name, "me", duration::zero());
    const auto given_back = co_await test.store().claim_role("a/2", "me", 1h);
    expect(given_back.has_value(), "a free role cannot be had");
    co_await test.store().release_role(*given_back);
    co_await test.store().claim_role("a/3", "me", 1h);
    co_await test.store().forget_roles("a/");
    for (const std::string name : {"a", "a/1", "a/2", "a/\xff", "b"}) {
        const auto epoch = co_await take_role(test, name, "another");
        const bool was_forgotten = name.starts_with("a/");
        expect(was_forgotten || epoch > first[name],
               fmt::format("role {} was forgotten, or is given with its old epoch", name));
    }
    const auto refused = co_await test.store().claim_role("a/3", "another", 1h);
    expect(!refused, "a role that is held was forgotten");
    const auto listed = co_await test.store().roles("a/");
    expect_number(listed.size(), 4, "roles whose names begin so");
    co_await test.store().forget_roles("");
    const auto all = co_await test.store().roles("");
    expect_number(all.size(), 6, "roles that are held");
}

} // namespace

std::span<const check_entry> lease_checks()
{
    static constexpr std::array<check_entry, 13> checks{{
        {"a_shard_has_one_owner", a_shard_has_one_owner, 2},
        {"shards_are_claimed_together", shards_are_claimed_together, 3},
        {"a_released_shard_is_free", a_released_shard_is_free},
        {"leases_lapse_in_shared_stores_only", leases_lapse_in_shared_stores_only, 2},
        {"workflows_have_shards_of_their_own", workflows_have_shards_of_their_own, 3},
        {"a_store_says_when_it_has_no_shards_left", a_store_says_when_it_has_no_shards_left, 4'096},
        {"a_shared_store_has_a_clock", a_shared_store_has_a_clock},
        {"roles_that_nobody_holds_are_forgotten_by_prefix",
         roles_that_nobody_holds_are_forgotten_by_prefix},
        {"a_shared_store_tells_of_commits", a_shared_store_tells_of_commits, 2},
        {"epochs_fence_transitions", epochs_fence_transitions, 2},
        {"epochs_fence_cursors", epochs_fence_cursors, 2},
        {"epochs_of_a_shard_never_held_fence", epochs_of_a_shard_never_held_fence},
        {"cursors_only_move_forward", cursors_only_move_forward, 2},
    }};
    return checks;
}

} // namespace pawl::testing
