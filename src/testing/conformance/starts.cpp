#include "testing/conformance/fixture.hpp"

#include <array>

namespace pawl::testing {

namespace {

awaitable<void> one_unfinished_run_holds_a_foreign_id(fixture& test)
{
    auto holder = co_await test.started("held");
    for (const auto policy :
         {id_reuse_policy::allow_after_finish, id_reuse_policy::reject_duplicate}) {
        const auto refused = co_await test.apply_one(start_of(test.make_run("held"), policy));
        expect_status(refused, apply_status::already_running, "a second start");
        expect_equal(refused.existing, holder.id, "apply_result::existing of a second start");
    }
    co_await test.started("free");
    co_await test.started("held", "another workflow");

    // A paused run counts as unfinished.
    holder = next_of(holder);
    holder.state = run_state::paused;
    co_await test.accept_one(step_of(holder, event_kind::paused));
    const auto refused = co_await test.apply_one(start_of(test.make_run("held")));
    expect_status(refused, apply_status::already_running, "a start beside a paused run");

    holder = finish_of(holder, run_state::cancelled);
    co_await test.accept_one(step_of(holder, event_kind::cancelled));
    const auto second = co_await test.started("held");
    const auto again = co_await test.apply_one(start_of(test.make_run("held")));
    expect_status(again, apply_status::already_running, "a start beside the second run");
    expect_equal(again.existing, second.id, "apply_result::existing beside the second run");
}

awaitable<void> each_finished_state_frees_the_foreign_id(fixture& test)
{
    for (const auto state : {run_state::completed, run_state::cancelled, run_state::data_deleted,
                             run_state::requested_data_deleted}) {
        const auto run = co_await test.started("freed");
        co_await test.accept_one(step_of(finish_of(run, state)));
    }
}

awaitable<void> reject_duplicate_allows_one_run(fixture& test)
{
    const auto first = test.make_run("only");
    co_await test.accept_one(start_of(first, id_reuse_policy::reject_duplicate));
    const auto finished = finish_of(first);
    co_await test.accept_one(step_of(finished));
    const auto refused =
        co_await test.apply_one(start_of(test.make_run("only"), id_reuse_policy::reject_duplicate));
    expect_status(refused, apply_status::already_ran,
                  "a second start with id_reuse_policy::reject_duplicate");
    expect_equal(refused.existing, first.id, "apply_result::existing of already_ran");

    // The policy of the new start decides, not that of the finished run.
    const auto second = co_await test.started("only");
    const auto beside =
        co_await test.apply_one(start_of(test.make_run("only"), id_reuse_policy::reject_duplicate));
    expect_status(beside, apply_status::already_running,
                  "id_reuse_policy::reject_duplicate beside an unfinished run");
    expect_equal(beside.existing, second.id, "apply_result::existing beside an unfinished run");
    co_await test.accept_one(step_of(finish_of(second)));
    const auto last =
        co_await test.apply_one(start_of(test.make_run("only"), id_reuse_policy::reject_duplicate));
    expect_equal(last.existing, second.id, "apply_result::existing of already_ran: the latest run");
}

awaitable<void> a_start_key_makes_a_trigger_repeatable(fixture& test)
{
    auto first = test.make_run("keyed");
    first.start_key = "click-1";
    co_await test.accept_one(start_of(first));
    auto repeat = test.make_run("keyed");
    repeat.start_key = "click-1";
    auto result = co_await test.apply_one(start_of(repeat));
    expect_status(result, apply_status::duplicate,
                  "the same start key while the run is unfinished");
    expect_equal(result.existing, first.id, "apply_result::existing while the run is unfinished");

    auto other_key = test.make_run("keyed");
    other_key.start_key = "click-2";
    result = co_await test.apply_one(start_of(other_key));
    expect_status(result, apply_status::already_running,
                  "another start key while the run is unfinished");

    co_await test.accept_one(step_of(finish_of(first)));
    for (const auto policy :
         {id_reuse_policy::allow_after_finish, id_reuse_policy::reject_duplicate}) {
        result = co_await test.apply_one(start_of(repeat, policy));
        expect_status(result, apply_status::duplicate, "the same start key after the run");
        expect_equal(result.existing, first.id, "apply_result::existing after the run");
    }
    co_await test.accept_one(start_of(other_key));
    result = co_await test.apply_one(start_of(repeat));
    expect_status(result, apply_status::duplicate, "an older start key beside a newer run");
    expect_equal(result.existing, first.id, "apply_result::existing beside a newer run");
}

awaitable<void> start_keys_belong_to_their_foreign_id(fixture& test)
{
    auto first = test.make_run("one");
    first.start_key = "shared";
    auto second = test.make_run("two");
    second.start_key = "shared";
    auto third = test.make_run("one", "another workflow");
    third.start_key = "shared";
    co_await test.accept({start_of(first), start_of(second), start_of(third)});

    // Starts without a key are never duplicates.
    auto plain = co_await test.started("plain");
    co_await test.accept_one(step_of(finish_of(plain)));
    co_await test.started("plain");
}

awaitable<void> a_run_id_is_unique(fixture& test)
{
    const auto run = co_await test.started("mine");
    auto other = test.make_run("other");
    other.id = run.id;
    const auto refused = co_await test.apply_one(start_of(other));
    expect_status(refused, apply_status::conflict, "a start with a run id that is in use");
    const auto kept = co_await test.stored(run.id);
    expect_record(kept, run, "after a refused start with its id");
    const auto repeated = co_await test.apply_one(start_of(run));
    expect_status(repeated, apply_status::conflict, "the same start repeated without a key");
    expect_equal(repeated.existing, run_id{}, "apply_result::existing of a conflict");
    const auto nothing = co_await test.store().latest("orders", "other");
    expect_none(nothing, "latest() after a refused start");
    auto fenced = start_of(test.make_run("mine"));
    fenced.epoch = 99;
    const auto outdated = co_await test.apply_one(fenced);
    expect_status(outdated, apply_status::fenced, "a start under another epoch");
    expect_equal(outdated.existing, run_id{}, "apply_result::existing of a fenced start");
}

awaitable<void> refused_starts_leave_nothing(fixture& test)
{
    co_await test.started("held");
    auto refused = test.make_run("held");
    refused.start_key = "never accepted";
    const auto result = co_await test.apply_one(start_of(refused));
    expect_status(result, apply_status::already_running, "a second start");
    const auto found = co_await test.store().find(refused.id);
    expect_none(found, "find() after a refused start");
    const auto history = co_await test.store().history(refused.id, 0, 10);
    expect_none(history, "history() after a refused start");
    const auto log = co_await test.store().events(0, 0, 10);
    expect_equal(log.size(), 1, "events after one accepted start");
}

awaitable<void> a_run_may_start_finished(fixture& test)
{
    auto run = test.make_run("instant");
    run.state = run_state::completed;
    run.wake_at.reset();
    co_await test.accept_one(start_of(run));
    const auto second = co_await test.started("instant");
    auto third = test.make_run("instant");
    third.state = run_state::completed;
    const auto refused = co_await test.apply_one(start_of(third));
    expect_status(refused, apply_status::already_running,
                  "a finished start beside an unfinished run");
    expect_equal(refused.existing, second.id, "apply_result::existing of a finished start");
}

} // namespace

std::span<const check_entry> start_checks()
{
    static constexpr std::array<check_entry, 8> checks{{
        {"one_unfinished_run_holds_a_foreign_id", one_unfinished_run_holds_a_foreign_id},
        {"each_finished_state_frees_the_foreign_id", each_finished_state_frees_the_foreign_id},
        {"reject_duplicate_allows_one_run", reject_duplicate_allows_one_run},
        {"a_start_key_makes_a_trigger_repeatable", a_start_key_makes_a_trigger_repeatable},
        {"start_keys_belong_to_their_foreign_id", start_keys_belong_to_their_foreign_id},
        {"a_run_id_is_unique", a_run_id_is_unique},
        {"refused_starts_leave_nothing", refused_starts_leave_nothing},
        {"a_run_may_start_finished", a_run_may_start_finished},
    }};
    return checks;
}

} // namespace pawl::testing
