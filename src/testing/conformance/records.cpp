#include "testing/conformance/fixture.hpp"

#include <array>
#include <limits>

namespace pawl::testing {

namespace {

using namespace std::string_literals;

/// Every member has its largest or smallest value.
record extreme_run(fixture& test, bool high)
{
    const auto number = high ? std::numeric_limits<int>::max() : std::numeric_limits<int>::min();
    const auto time = high ? time_point::max() : time_point::min();
    record run = test.make_run(high ? "high" : "low");
    run.state = run_state::paused;
    run.status = number;
    run.visit = high ? std::numeric_limits<std::uint32_t>::max() : 0;
    run.entered_at = time;
    run.attempt = number;
    run.step_done = high;
    run.not_before = time;
    run.deadlines = {{high ? "timeout" : std::string(128, 'n'), time, number}, {"", {}, 0}};
    run.effects = {{"", "", high},
                   {"charge", "{\"id\":\"p-1\"}", !high,
                    high ? std::numeric_limits<std::uint32_t>::max() : 1}};
    run.attributes = {{"a", {}}, {"b", number}, {"c", time}, {"d", high}};
    run.wake_at = time;
    run.pause = high ? pause_kind::by_request : pause_kind::by_error;
    run.auto_resumes = number;
    run.resume_at = time;
    run.created_at = time;
    run.updated_at = time;
    return run;
}

record with_texts(fixture& test, const std::string& text)
{
    record run = test.make_run("f" + text, "w" + text);
    run.object = text;
    run.last_error = text;
    run.reason = text;
    run.requested_by = text;
    run.object_version = 4711;
    run.start_key = text;
    run.trace_parent = text;
    run.effects = {{text, text, true}};
    run.attributes = {{text, text}};
    return run;
}

std::vector<record> notable_runs(fixture& test)
{
    std::vector<record> runs{
        test.make_run("plain"),
        extreme_run(test, false),
        extreme_run(test, true),
        with_texts(test, ""),
        with_texts(test, "a\0b\0"s),
        with_texts(test, "\xf0\x9f\x93\xa6 parcel, \"quoted\" and 'quoted'; 100 % \\ \n\t?"),
        with_texts(test, "not UTF-8: \xff\xfe\x80"),
    };
    record& large = runs.emplace_back(test.make_run("large"));
    large.object.resize(1 << 20);
    for (std::size_t i = 0; i < large.object.size(); ++i)
        large.object[i] = static_cast<char>(i * 7);
    record& empty = runs.emplace_back(test.make_run("empty"));
    empty.object.clear();
    empty.wake_at.reset();
    return runs;
}

awaitable<void> expect_everywhere(fixture& test, record wanted)
{
    const auto found = co_await test.stored(wanted.id);
    expect_record(found, wanted, "find");
    const auto latest = co_await test.store().latest(wanted.workflow, wanted.foreign_id);
    expect(latest.has_value(), "latest() found no run");
    expect_record(*latest, wanted, "latest");
    record_query query;
    query.workflow = wanted.workflow;
    query.foreign_ids = {wanted.foreign_id};
    const auto page = co_await test.store().list(query);
    expect_equal(page.runs.size(), 1, "runs listed by workflow and foreign id");
    expect_record(page.runs.front(), wanted, "list");
}

awaitable<void> every_field_comes_back(fixture& test)
{
    const auto runs = notable_runs(test);
    for (const record& run : runs)
        co_await test.accept_one(start_of(run));
    for (const record& run : runs)
        co_await expect_everywhere(test, run);
}

awaitable<void> every_field_comes_back_after_an_update(fixture& test)
{
    for (const record& run : notable_runs(test)) {
        auto first = test.make_run(run.foreign_id, run.workflow);
        first.start_key = run.start_key;
        first.trace_parent = run.trace_parent;
        co_await test.accept_one(start_of(first));
        record second = run;
        second.id = first.id;
        second.created_at = first.created_at;
        second.version = 2;
        co_await test.accept_one(step_of(second));
        co_await expect_everywhere(test, second);
        // A later version with default values overwrites all members.
        record third = first;
        third.version = 3;
        co_await test.accept_one(step_of(third));
        co_await expect_everywhere(test, third);
    }
}

awaitable<void> each_state_comes_back(fixture& test)
{
    for (int number = 1; number <= 7; ++number) {
        auto run = test.make_run(fmt::format("in-state-{}", number));
        run.state = static_cast<run_state>(number);
        co_await test.accept_one(start_of(run));
        co_await expect_everywhere(test, run);
    }
}

awaitable<void> unknown_runs_are_not_found(fixture& test)
{
    const auto known = co_await test.started("known");
    const auto unknown = test.make_run("unknown").id;
    const auto found = co_await test.store().find(unknown);
    expect_none(found, "find() of an unknown id");
    const auto nobody = co_await test.store().find({});
    expect_none(nobody, "find() of the empty id");
    const auto other_key = co_await test.store().latest("orders", "unknown");
    expect_none(other_key, "latest() of an unknown foreign id");
    const auto other_workflow = co_await test.store().latest("unknown", "known");
    expect_none(other_workflow, "latest() of an unknown workflow");
    const auto history = co_await test.store().history(unknown, 0, 10);
    expect_none(history, "history() of an unknown run");
    const auto inbox = co_await test.store().inbox(unknown, 0, 10);
    expect_none(inbox, "inbox() of an unknown run");
    const auto outcome = co_await test.store().outcome(unknown, 1);
    expect_none(outcome, "outcome() of an unknown run's message");
    const auto no_message = co_await test.store().outcome(known.id, 1);
    expect_none(no_message, "outcome() of a message that was never sent");
}

awaitable<void> returned_records_are_copies(fixture& test)
{
    const auto run = co_await test.started("copied");
    auto found = co_await test.stored(run.id);
    found.object = "spoilt";
    found.version = 99;
    found.effects.push_back({"spoilt", "spoilt", true});
    const auto again = co_await test.stored(run.id);
    expect_record(again, run, "after another copy was changed");

    auto held = co_await test.stored(run.id);
    auto next = next_of(run);
    next.object = "new";
    co_await test.accept_one(step_of(next));
    expect_record(held, run, "a copy from before an update");
}

awaitable<void> latest_is_the_run_created_last(fixture& test)
{
    auto first = co_await test.started("again");
    first = finish_of(first);
    co_await test.accept_one(step_of(first));
    auto second = co_await test.started("again");
    auto latest = co_await test.store().latest("orders", "again");
    expect_record(*latest, second, "latest of two");

    // Changing the older run does not make it the latest.
    auto scrubbed = finish_of(first, run_state::data_deleted);
    scrubbed.updated_at = second.updated_at + std::chrono::hours{1};
    co_await test.accept_one(step_of(scrubbed, event_kind::data_deleted));
    latest = co_await test.store().latest("orders", "again");
    expect_record(*latest, second, "latest after an older run changed");

    // Storing a run with an earlier created_at does not make it the latest.
    second = finish_of(second);
    co_await test.accept_one(step_of(second));
    auto early = test.make_run("again");
    early.created_at = first.created_at - std::chrono::seconds{5};
    co_await test.accept_one(start_of(early));
    co_await test.accept_one(step_of(finish_of(early)));
    latest = co_await test.store().latest("orders", "again");
    expect_record(*latest, second, "latest after an earlier creation was stored");
}

/// The unfinished run is the latest even if its created_at is earlier.
awaitable<void> latest_is_the_unfinished_run(fixture& test)
{
    auto first = co_await test.started("clock was set back");
    first = finish_of(first);
    co_await test.accept_one(step_of(first));
    auto second = test.make_run("clock was set back");
    second.created_at = first.created_at - std::chrono::hours{1};
    co_await test.accept_one(start_of(second));
    auto latest = co_await test.store().latest("orders", "clock was set back");
    expect_record(*latest, second, "latest while the run created first is unfinished");
    second = finish_of(second);
    co_await test.accept_one(step_of(second));
    latest = co_await test.store().latest("orders", "clock was set back");
    expect_record(*latest, first, "latest when both have finished");
}

awaitable<void> ids_decide_between_runs_created_together(fixture& test)
{
    auto low = test.make_run("tie");
    auto high = test.make_run("tie");
    high.created_at = low.created_at;
    if (high.id < low.id)
        std::swap(high.id, low.id);
    for (const record* run : {&high, &low}) {
        co_await test.accept_one(start_of(*run));
        co_await test.accept_one(step_of(finish_of(*run)));
    }
    const auto latest = co_await test.store().latest("orders", "tie");
    expect(latest.has_value(), "latest() found no run");
    expect_equal(latest->id, high.id, "latest() of two runs created at the same time");
}

} // namespace

std::span<const check_entry> record_checks()
{
    static constexpr std::array<check_entry, 9> checks{{
        {"latest_is_the_unfinished_run", latest_is_the_unfinished_run},
        {"every_field_comes_back", every_field_comes_back},
        {"every_field_comes_back_after_an_update", every_field_comes_back_after_an_update},
        {"each_state_comes_back", each_state_comes_back},
        {"unknown_runs_are_not_found", unknown_runs_are_not_found},
        {"returned_records_are_copies", returned_records_are_copies},
        {"latest_is_the_run_created_last", latest_is_the_run_created_last},
        {"ids_decide_between_runs_created_together", ids_decide_between_runs_created_together},
        {"every_field_comes_back_from_any_shard", every_field_comes_back, 16},
    }};
    return checks;
}

} // namespace pawl::testing
