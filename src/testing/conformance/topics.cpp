#include "testing/conformance/fixture.hpp"

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

publication event_of(std::string topic, std::string id)
{
    publication change;
    change.topic = std::move(topic);
    change.content.id = std::move(id);
    change.content.at = beginning;
    return change;
}

awaitable<void> events_of_a_topic_are_complete_and_in_order(fixture& test)
{
    const std::string odd{"odd \0 'text' \xf0\x9f\x90\x98", 17};
    publication full = event_of(odd, odd);
    full.content.key = odd;
    full.content.type = odd;
    full.content.headers = {{odd, ""}, {"", odd}};
    full.content.payload = std::string(1 << 20, '\xff');
    full.content.trace_parent = odd;
    full.content.position = 77; // ignored: the store assigns it
    co_await test.accept_one(full);
    for (int i = 0; i < 9; ++i)
        co_await test.accept_one(event_of(odd, std::to_string(i)));
    const auto all = co_await test.store().topic_events(odd, 0, 100);
    expect_equal(all.size(), 10, "events of a topic");
    full.content.position = 1;
    expect_equal(all.front(), full.content, "published event");
    for (std::size_t i = 0; i < all.size(); ++i)
        expect_equal(all[i].position, i + 1, "positions");
    const auto some = co_await test.store().topic_events(odd, 4, 3);
    expect_equal(some.size(), 3, "three events after the fourth");
    expect_equal(some.front().position, 5, "the first of three events");
    const auto none = co_await test.store().topic_events(odd, ~std::uint64_t{}, 3);
    expect_none(none, "topic_events() after the largest position");
}

awaitable<void> topics_are_independent(fixture& test)
{
    const auto first = co_await test.accept_one(event_of("a", "1"));
    const auto second = co_await test.accept_one(event_of("A", "1"));
    expect_equal(first.sequence, 1, "the first position of a topic");
    expect_equal(second.sequence, 1, "the first position of another topic");
    const auto end = co_await test.store().topic_end("a");
    expect_equal(end, 1, "the end of a topic");
    const auto nowhere = co_await test.store().topic_end("b");
    expect_equal(nowhere, 0, "the end of a topic that has no events");
    const auto none = co_await test.store().topic_events("b", 0, 10);
    expect_none(none, "topic_events() of a topic without events");
}

awaitable<void> an_event_id_is_stored_once(fixture& test)
{
    co_await test.accept_one(event_of("a", "0"));
    const auto first = co_await test.accept_one(event_of("a", "1"));
    const auto again = co_await test.apply({event_of("a", "1"), event_of("a", "2")});
    expect_statuses(again, {apply_status::duplicate, apply_status::accepted}, "a repeated event");
    expect_equal(again[0].sequence, first.sequence, "the position of a repeated event");
    expect_equal(again[1].sequence, first.sequence + 1, "the position after a repeated event");
    co_await test.accept({event_of("a", ""), event_of("a", "")});
    const auto end = co_await test.store().topic_end("a");
    expect_equal(end, 5, "events of which two have no id");
}

awaitable<void> a_trim_removes_the_oldest_and_keeps_positions(fixture& test)
{
    for (int i = 1; i <= 5; ++i)
        co_await test.accept_one(event_of("a", std::to_string(i)));
    co_await test.accept({topic_trim{"a", 3}, topic_trim{"nowhere", 3}});
    const auto left = co_await test.store().topic_events("a", 0, 10);
    expect_equal(left.size(), 2, "events after a trim");
    expect_equal(left.front().position, 4, "the first event after a trim");
    co_await test.accept_one(topic_trim{"a", ~std::uint64_t{}});
    const auto end = co_await test.store().topic_end("a");
    expect_equal(end, 5, "the end of a topic that was trimmed to nothing");
    const auto next = co_await test.accept_one(event_of("a", "3"));
    expect_equal(next.sequence, 6, "the position after a trim");
}

awaitable<void> a_trim_of_many_events_removes_all_of_them(fixture& test)
{
    constexpr int events = 6'000;
    std::vector<change> batch;
    for (int i = 0; i < events; ++i)
        batch.push_back(event_of("a", fmt::format("{}", i)));
    co_await test.accept(batch);
    // An event that follows the trim in its batch may reuse a trimmed id.
    co_await test.accept({topic_trim{"a", events - 1}, event_of("a", "5")});
    const auto left = co_await test.store().topic_events("a", 0, 10);
    expect_equal(left.size(), 2, "events after a trim of many");
    expect_equal(left.back().position, events + 1, "position of the event after the trim");
}

awaitable<void> publications_are_part_of_their_batch(fixture& test)
{
    const auto run = test.make_run("with an event");
    const auto results = co_await test.apply({start_of(run), event_of("a", "1")});
    expect_statuses(results, {apply_status::accepted, apply_status::accepted}, "a mixed batch");
    co_await expect_refused_argument(test.apply({event_of("", "1")}), "a topic without a name");
}

awaitable<void> a_role_has_one_holder(fixture& test)
{
    auto& store = test.store();
    const auto held = co_await store.claim_role("cleaner", "me", 1h);
    expect(held.has_value(), "claim_role() of a free role returned no lease");
    expect_greater(held->epoch, std::uint64_t{0}, "epoch of a role");
    expect_equal(held->role, "cleaner", "role of a lease");
    expect_equal(held->owner, "me", "owner of a role");
    const auto other = co_await store.claim_role("cleaner", "you", 1h);
    expect_none(other, "claim_role() of a role that another owner holds");
    const auto renewed = co_await store.claim_role("cleaner", "me", 2h);
    expect(renewed.has_value(), "claim_role() did not renew the owner's lease");
    expect_equal(renewed->epoch, held->epoch, "epoch of a renewed role");
    expect_greater(renewed->until, held->until + 50min, "until of a renewed role");
    const auto other_role = co_await store.claim_role("Cleaner", "you", 1h);
    expect(other_role.has_value(), "claim_role() of a free role whose name differs in case");
    co_await expect_refused_argument(store.claim_role("", "me", 1h), "a role without a name");
    co_await expect_refused_argument(store.claim_role("cleaner", "", 1h), "no owner");
}

awaitable<void> an_expired_or_released_role_gets_the_next_epoch(fixture& test)
{
    auto& store = test.store();
    const auto first = co_await store.claim_role("cleaner", "me", duration::zero());
    const auto second = co_await store.claim_role("cleaner", "you", 1h);
    expect(second.has_value(), "claim_role() after the lease expired returned no lease");
    expect_greater(second->epoch, first->epoch, "epoch after a lease expired");
    co_await store.release_role(*first); // no longer held: changes nothing
    const auto third = co_await store.claim_role("cleaner", "me", 1h);
    expect_none(third, "claim_role() after a release of an expired lease");
    co_await store.release_role(*second);
    const auto fourth = co_await store.claim_role("cleaner", "you", 1h);
    expect(fourth.has_value(), "claim_role() of a released role returned no lease");
    expect_greater(fourth->epoch, second->epoch, "epoch of a released role");
}

awaitable<void> held_roles_are_listed_by_prefix(fixture& test)
{
    auto& store = test.store();
    const std::vector<std::string> names{"engine/b", "engine/a", "engine", "engine0", "other"};
    for (const auto& name : names)
        co_await store.claim_role(name, "me", 1h);
    co_await store.claim_role("engine/lapsed", "me", duration::zero());
    const auto released = co_await store.claim_role("engine/released", "me", 1h);
    co_await store.release_role(*released);
    const auto held = co_await store.roles("engine/");
    expect_equal(held.size(), 2, "roles with the prefix engine/");
    expect_equal(held[0].role, "engine/a", "first role");
    expect_equal(held[1].role, "engine/b", "second role");
    expect_equal(held[0].owner, "me", "owner of a listed role");
    expect_greater(held[0].epoch, std::uint64_t{0}, "epoch of a listed role");
    const auto all = co_await store.roles("");
    expect_equal(all.size(), 5, "all roles");
}

} // namespace

std::span<const check_entry> topic_checks()
{
    static const check_entry checks[] = {
        {"events_of_a_topic_are_complete_and_in_order",
         events_of_a_topic_are_complete_and_in_order},
        {"topics_are_independent", topics_are_independent},
        {"an_event_id_is_stored_once", an_event_id_is_stored_once},
        {"a_trim_removes_the_oldest_and_keeps_positions",
         a_trim_removes_the_oldest_and_keeps_positions},
        {"a_trim_of_many_events_removes_all_of_them", a_trim_of_many_events_removes_all_of_them},
        {"publications_are_part_of_their_batch", publications_are_part_of_their_batch},
        {"a_role_has_one_holder", a_role_has_one_holder},
        {"an_expired_or_released_role_gets_the_next_epoch",
         an_expired_or_released_role_gets_the_next_epoch},
        {"held_roles_are_listed_by_prefix", held_roles_are_listed_by_prefix},
    };
    return checks;
}

} // namespace pawl::testing
