// Checks that a database has the same contents after it is closed and opened again.
#include "testing/conformance/fixture.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <functional>

namespace pawl::testing {

namespace {

void finish(awaitable<void> call)
{
    boost::asio::io_context context;
    std::exception_ptr thrown;
    boost::asio::co_spawn(context, std::move(call),
                          [&](std::exception_ptr problem) { thrown = problem; });
    context.run();
    if (thrown)
        std::rethrow_exception(thrown);
}

/// The stored data of one run, its topic and its shard.
struct contents {
    record run;
    std::vector<event> events;
    std::vector<message> inbox;
    std::optional<settlement> settled;
    std::uint64_t cursor = 0;
    std::vector<stream_event> topic;
    due_page due;
    record_page found; ///< by an attribute
};

awaitable<void> read(fixture& test, run_id id, contents& into)
{
    auto& store = test.store();
    into.run = co_await test.stored(id);
    into.events = co_await store.events(0, 0, 100);
    into.inbox = co_await store.inbox(id, 0, 100);
    into.settled = co_await store.outcome(id, 1);
    into.cursor = co_await store.cursor("hooks", 0);
    into.topic = co_await store.topic_events("news", 0, 100);
    into.due = co_await store.due(0, {}, time_point::max(), 100);
    into.found = co_await store.list({.workflow = "orders", .attributes = {{"customer", "c-1"}}});
}

awaitable<void> fill(fixture& test, contents& into)
{
    auto run = test.make_run("kept");
    run.object = "{\"a\":1}";
    run.start_key = "start";
    co_await test.accept_one(start_of(run));
    co_await test.accept_one(send(run.id, "first"));
    co_await test.accept_one(send(run.id, "second"));
    run = co_await test.stored(run.id);
    auto change = step_of(next_of(run));
    change.next.effects = {{"charge", "\"p-1\"", true}};
    change.settled = {{1, message_outcome::failed, "why"}};
    change.inbox_seen = 2;
    change.next.attributes = {{"customer", "c-1"}};
    change.attributes.values = change.next.attributes;
    co_await test.accept_one(change);
    co_await test.accept_one(cursor_move{"hooks", 0, 2, 0});
    publication news{"news", {}};
    news.content.id = "e-1";
    co_await test.accept_one(news);
    co_await read(test, run.id, into);
    expect_equal(into.inbox.size(), 1, "messages in the inbox");
    expect_equal(into.found.runs.size(), 1, "runs with an attribute");
    expect_equal(into.settled, std::optional{settlement{1, message_outcome::failed, "why"}},
                 "outcome of message 1");
}

void contents_are_the_same_after_reopening(const reopening_factory& open)
{
    contents before;
    {
        fixture test{open(1, false), 1};
        finish(fill(test, before));
    }
    fixture again{open(1, true), 1};
    contents after;
    finish(read(again, before.run.id, after));
    expect_record(after.run, before.run, "after the database was opened again");
    expect_equal(after.events, before.events, "events() after the database was opened again");
    expect_equal(after.inbox, before.inbox, "inbox() after the database was opened again");
    expect_equal(after.settled, before.settled, "outcome() after the database was opened again");
    expect_equal(after.cursor, before.cursor, "cursor() after the database was opened again");
    expect_equal(after.topic, before.topic, "topic_events() after the database was opened again");
    expect_equal(after.due.runs, before.due.runs, "due() after the database was opened again");
    expect_equal(after.found.runs, before.found.runs, "list() after the database was opened again");
}

awaitable<void> repeat(fixture& test)
{
    test.make_run("takes the id of the stored run");
    auto run = test.make_run("kept");
    const auto refused = co_await test.apply_one(start_of(run));
    expect_status(refused, apply_status::already_running, "a second run of the foreign id");
    run.start_key = "start";
    const auto repeated = co_await test.apply_one(start_of(run));
    expect_status(repeated, apply_status::duplicate, "a repeated start key");
    const auto next = co_await test.accept_one(start_of(test.make_run("another")));
    expect_equal(next.sequence, 3, "sequence of the next event");
}

void rules_hold_after_reopening(const reopening_factory& open)
{
    contents before;
    {
        fixture test{open(1, false), 1};
        finish(fill(test, before));
    }
    fixture again{open(1, true), 1};
    finish(repeat(again));
}

awaitable<void> claim(fixture& test, std::string owner, std::uint64_t& epoch)
{
    // In a shared store the lease expires at once; in another store it ends with the process.
    const auto held = co_await test.store().claim({0}, owner, duration::zero());
    expect_equal(held.size(), 1, "leases from a claim() of one shard");
    epoch = held.front().epoch;
}

void epochs_grow_after_reopening(const reopening_factory& open)
{
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    {
        fixture test{open(1, false), 1};
        finish(claim(test, "one", first));
    }
    fixture again{open(1, true), 1};
    finish(claim(again, "another", second));
    expect_greater(second, first, "epoch of the next owner");
}

awaitable<void> claim_two(fixture& test)
{
    auto held = co_await test.store().claim({0, 1}, "one", duration::zero());
    expect_equal(held.size(), 2, "shards that were claimed");
    held.erase(held.begin());
    co_await test.store().release(std::move(held));
}

awaitable<void> expect_owners(fixture& test)
{
    const auto leases = co_await test.store().leases();
    expect_equal(leases.at(0).owner, "one", "owner of a shard that was not released");
    expect_equal(leases.at(1).owner, "", "owner of a released shard");
}

void shards_that_were_not_released_keep_their_owner(const reopening_factory& open)
{
    {
        fixture test{open(2, false), 2};
        finish(claim_two(test));
    }
    fixture again{open(2, true), 2};
    finish(expect_owners(again));
}

} // namespace

std::vector<reopen_check> store_reopen_checks()
{
    return {{"contents_are_the_same_after_reopening", contents_are_the_same_after_reopening},
            {"rules_hold_after_reopening", rules_hold_after_reopening},
            {"shards_that_were_not_released_keep_their_owner",
             shards_that_were_not_released_keep_their_owner},
            {"epochs_grow_after_reopening", epochs_grow_after_reopening}};
}

} // namespace pawl::testing
