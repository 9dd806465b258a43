// Checks of what is there when a database is opened again.
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

/// Everything that a store keeps, of one run and beside it.
struct kept {
    record run;
    std::vector<event> events;
    std::vector<message> inbox;
    std::optional<settlement> settled;
    std::uint64_t cursor = 0;
    std::vector<stream_event> topic;
    due_page due;
};

awaitable<void> read(fixture& test, run_id id, kept& into)
{
    auto& store = test.store();
    into.run = co_await test.stored(id);
    into.events = co_await store.events(0, 0, 100);
    into.inbox = co_await store.inbox(id, 0, 100);
    into.settled = co_await store.outcome(id, 1);
    into.cursor = co_await store.cursor("hooks", 0);
    into.topic = co_await store.topic_events("news", 0, 100);
    into.due = co_await store.due(0, {}, time_point::max(), 100);
}

awaitable<void> fill(fixture& test, kept& into)
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
    co_await test.accept_one(change);
    co_await test.accept_one(cursor_move{"hooks", 0, 2, 0});
    publication news{"news", {}};
    news.content.id = "e-1";
    co_await test.accept_one(news);
    co_await read(test, run.id, into);
    expect_number(into.inbox.size(), 1, "messages that wait");
    expect(into.settled && into.settled->detail == "why", "a settled message is not known");
}

void what_was_stored_is_there_again(const reopening_factory& open)
{
    kept before;
    {
        fixture test{open(1, false), 1};
        finish(fill(test, before));
    }
    fixture again{open(1, true), 1};
    kept after;
    finish(read(again, before.run.id, after));
    expect_record(after.run, before.run, "after the database was opened again");
    expect(after.events == before.events, "events are others than before");
    expect(after.inbox == before.inbox, "the inbox is another than before");
    expect(after.settled == before.settled, "a settled message is another than before");
    expect_number(after.cursor, before.cursor, "a cursor");
    expect_number(after.topic.size(), before.topic.size(), "events of a topic");
    expect(after.due.runs == before.due.runs, "other runs are due than before");
}

awaitable<void> repeat(fixture& test)
{
    test.make_run("of the same id as the one that is there");
    auto run = test.make_run("kept");
    const auto refused = co_await test.apply_one(start_of(run));
    expect_status(refused, apply_status::already_running, "a second run of the foreign id");
    run.start_key = "start";
    const auto repeated = co_await test.apply_one(start_of(run));
    expect_status(repeated, apply_status::duplicate, "the start key, again");
    const auto next = co_await test.accept_one(start_of(test.make_run("another")));
    expect_number(next.sequence, 3, "the sequence that comes next");
}

void rules_hold_across_it(const reopening_factory& open)
{
    kept before;
    {
        fixture test{open(1, false), 1};
        finish(fill(test, before));
    }
    fixture again{open(1, true), 1};
    finish(repeat(again));
}

awaitable<void> claim(fixture& test, std::string owner, std::uint64_t& epoch)
{
    // A shared store's lease lapses at once; another's ends with the process that held it.
    const auto held = co_await test.store().claim({0}, owner, duration::zero());
    expect(held.size() == 1, "the shard cannot be had");
    epoch = held.front().epoch;
}

void epochs_go_on(const reopening_factory& open)
{
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    {
        fixture test{open(1, false), 1};
        finish(claim(test, "one", first));
    }
    fixture again{open(1, true), 1};
    finish(claim(again, "another", second));
    expect(second > first, "another owner has no greater epoch than the one before");
}

awaitable<void> claim_two(fixture& test)
{
    auto held = co_await test.store().claim({0, 1}, "one", duration::zero());
    expect_number(held.size(), 2, "shards that were claimed");
    held.erase(held.begin());
    co_await test.store().release(std::move(held));
}

awaitable<void> expect_left(fixture& test)
{
    const auto leases = co_await test.store().leases();
    expect(leases.at(0).owner == "one", "a shard that was not released has lost its owner");
    expect(leases.at(1).owner.empty(), "a released shard has an owner");
}

void shards_that_were_not_given_back_are_known(const reopening_factory& open)
{
    {
        fixture test{open(2, false), 2};
        finish(claim_two(test));
    }
    fixture again{open(2, true), 2};
    finish(expect_left(again));
}

} // namespace

std::vector<reopen_check> store_reopen_checks()
{
    return {
        {"what_was_stored_is_there_again", what_was_stored_is_there_again},
        {"rules_hold_across_a_new_opening", rules_hold_across_it},
        {"shards_that_were_not_given_back_are_known", shards_that_were_not_given_back_are_known},
        {"epochs_go_on_after_a_new_opening", epochs_go_on}};
}

} // namespace pawl::testing
