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

awaitable<void> events_of_a_topic_come_back_whole_and_in_order(fixture& test)
{
    const std::string odd{"odd \0 'text' \xf0\x9f\x90\x98", 17};
    publication full = event_of(odd, odd);
    full.content.key = odd;
    full.content.type = odd;
    full.content.headers = {{odd, ""}, {"", odd}};
    full.content.payload = std::string(1 << 20, '\xff');
    full.content.trace_parent = odd;
    full.content.position = 77; // not its own to say
    co_await test.accept_one(full);
    for (int i = 0; i < 9; ++i)
        co_await test.accept_one(event_of(odd, std::to_string(i)));
    const auto all = co_await test.store().topic_events(odd, 0, 100);
    expect_number(all.size(), 10, "events of a topic");
    full.content.position = 1;
    expect(all.front() == full.content, "an event is not what was published");
    for (std::size_t i = 0; i < all.size(); ++i)
        expect_number(all[i].position, i + 1, "positions");
    const auto some = co_await test.store().topic_events(odd, 4, 3);
    expect_number(some.size(), 3, "three events after the fourth");
    expect_number(some.front().position, 5, "the first of three events");
    const auto none = co_await test.store().topic_events(odd, ~std::uint64_t{}, 3);
    expect(none.empty(), "there are events after the last position of all");
}

awaitable<void> topics_are_apart(fixture& test)
{
    const auto first = co_await test.accept_one(event_of("a", "1"));
    const auto second = co_await test.accept_one(event_of("A", "1"));
    expect_number(first.sequence, 1, "the first position of a topic");
    expect_number(second.sequence, 1, "the first position of another topic");
    const auto end = co_await test.store().topic_end("a");
    expect_number(end, 1, "the end of a topic");
    const auto nowhere = co_await test.store().topic_end("b");
    expect_number(nowhere, 0, "the end of a topic that has no events");
    const auto none = co_await test.store().topic_events("b", 0, 10);
    expect(none.empty(), "a topic without events has some");
}

awaitable<void> an_event_id_is_stored_once(fixture& test)
{
    co_await test.accept_one(event_of("a", "0"));
    const auto first = co_await test.accept_one(event_of("a", "1"));
    const auto again = co_await test.apply({event_of("a", "1"), event_of("a", "2")});
    expect_statuses(again, {apply_status::duplicate, apply_status::accepted}, "a repeated event");
    expect_number(again[0].sequence, first.sequence, "the position of a repeated event");
    expect_number(again[1].sequence, first.sequence + 1, "the position after a repeated event");
    co_await test.accept({event_of("a", ""), event_of("a", "")});
    const auto end = co_await test.store().topic_end("a");
    expect_number(end, 5, "events of which two have no id");
}

awaitable<void> a_trim_removes_the_oldest_and_positions_go_on(fixture& test)
{
    for (int i = 1; i <= 5; ++i)
        co_await test.accept_one(event_of("a", std::to_string(i)));
    co_await test.accept({topic_trim{"a", 3}, topic_trim{"nowhere", 3}});
    const auto left = co_await test.store().topic_events("a", 0, 10);
    expect_number(left.size(), 2, "events after a trim");
    expect_number(left.front().position, 4, "the first event after a trim");
    co_await test.accept_one(topic_trim{"a", ~std::uint64_t{}});
    const auto end = co_await test.store().topic_end("a");
    expect_number(end, 5, "the end of a topic that was trimmed to nothing");
    const auto next = co_await test.accept_one(event_of("a", "3"));
    expect_number(next.sequence, 6, "the position after a trim");
}

awaitable<void> a_trim_of_many_events_removes_all_of_them(fixture& test)
{
    constexpr int events = 6'000;
    std::vector<change> batch;
    for (int i = 0; i < events; ++i)
        batch.push_back(event_of("a", fmt::format("{}", i)));
    co_await test.accept(batch);
    // In one batch: what follows the trim finds its id free.
    co_await test.accept({topic_trim{"a", events - 1}, event_of("a", "5")});
    const auto left = co_await test.store().topic_events("a", 0, 10);
    expect_number(left.size(), 2, "events after a trim of many");
    expect_number(left.back().position, events + 1, "the event behind the trim");
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
    expect(held && held->epoch > 0 && held->role == "cleaner" && held->owner == "me",
           "a free role is not given");
    const auto other = co_await store.claim_role("cleaner", "you", 1h);
    expect(!other, "a held role is given to another");
    const auto renewed = co_await store.claim_role("cleaner", "me", 2h);
    expect(renewed && renewed->epoch == held->epoch && renewed->until > held->until + 50min,
           "a role is not renewed");
    const auto other_role = co_await store.claim_role("Cleaner", "you", 1h);
    expect(other_role && other_role->epoch > 0, "roles are not apart by case");
    co_await expect_refused_argument(store.claim_role("", "me", 1h), "a role without a name");
    co_await expect_refused_argument(store.claim_role("cleaner", "", 1h), "no owner");
}

awaitable<void> a_lapsed_or_released_role_gets_the_next_epoch(fixture& test)
{
    auto& store = test.store();
    const auto first = co_await store.claim_role("cleaner", "me", duration::zero());
    const auto second = co_await store.claim_role("cleaner", "you", 1h);
    expect(second && second->epoch > first->epoch, "a lapsed role is not given to another");
    co_await store.release_role(*first); // no longer held: changes nothing
    const auto third = co_await store.claim_role("cleaner", "me", 1h);
    expect(!third, "a lease that lapsed has ended another's");
    co_await store.release_role(*second);
    const auto fourth = co_await store.claim_role("cleaner", "you", 1h);
    expect(fourth && fourth->epoch > second->epoch, "a released role does not get the next epoch");
}

awaitable<void> held_roles_are_listed_by_the_beginning_of_their_names(fixture& test)
{
    auto& store = test.store();
    const std::vector<std::string> names{"engine/b", "engine/a", "engine", "engine0", "other"};
    for (const auto& name : names)
        co_await store.claim_role(name, "me", 1h);
    co_await store.claim_role("engine/lapsed", "me", duration::zero());
    const auto gone = co_await store.claim_role("engine/released", "me", 1h);
    co_await store.release_role(*gone);
    const auto held = co_await store.roles("engine/");
    expect_number(held.size(), 2, "roles whose names begin so");
    expect(held[0].role == "engine/a" && held[1].role == "engine/b", "roles in order");
    expect(held[0].owner == "me" && held[0].epoch > 0, "a listed role");
    const auto all = co_await store.roles("");
    expect_number(all.size(), 5, "all roles that are held");
}

} // namespace

std::span<const check_entry> topic_checks()
{
    static const check_entry checks[] = {
        {"events_of_a_topic_come_back_whole_and_in_order",
         events_of_a_topic_come_back_whole_and_in_order},
        {"topics_are_apart", topics_are_apart},
        {"an_event_id_is_stored_once", an_event_id_is_stored_once},
        {"a_trim_removes_the_oldest_and_positions_go_on",
         a_trim_removes_the_oldest_and_positions_go_on},
        {"a_trim_of_many_events_removes_all_of_them", a_trim_of_many_events_removes_all_of_them},
        {"publications_are_part_of_their_batch", publications_are_part_of_their_batch},
        {"a_role_has_one_holder", a_role_has_one_holder},
        {"a_lapsed_or_released_role_gets_the_next_epoch",
         a_lapsed_or_released_role_gets_the_next_epoch},
        {"held_roles_are_listed_by_the_beginning_of_their_names",
         held_roles_are_listed_by_the_beginning_of_their_names},
    };
    return checks;
}

} // namespace pawl::testing
