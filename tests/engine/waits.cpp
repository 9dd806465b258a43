// Waits: each is private to its caller, sees what is stored already, tells the statuses apart, and
// can be cancelled without touching the run; the store is asked only for what is not known here.
// Triggers: one unfinished run per foreign id, by index.
#include "engine/faulty_store.hpp"
#include "printing.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>

BOOST_AUTO_TEST_SUITE(waits)

using namespace engine_test;
using enum light;

namespace {

template <auto To>
pawl::step<To> go(lamp_run&)
{
    co_return pawl::to<To>;
}

/// red → yellow at once, yellow → off after an hour.
pawl::workflow<lamp, light> two_steps()
{
    lamp_builder b{"lamps"};
    b.step<red>(go<yellow>);
    b.step<yellow>(go<off>).start_delay(1h);
    b.end<off>();
    return std::move(b).build();
}

template <auto To>
pawl::step<To> go_slowly(lamp_run&, pawl::clock* clock)
{
    co_await wait_on(*clock, 1h);
    co_return pawl::to<To>;
}

/// red → yellow → off, each after an hour within the step.
pawl::workflow<lamp, light> slow_steps(pawl::clock* clock)
{
    lamp_builder b{"lamps"};
    b.step<red>([clock](lamp_run& run) { return go_slowly<yellow>(run, clock); });
    b.step<yellow>([clock](lamp_run& run) { return go_slowly<off>(run, clock); });
    b.end<off>();
    return std::move(b).build();
}

/// Counts how often the store is asked for a run.
struct counting_world : faulty_world {
    int finds = 0;

    counting_world()
    {
        faults->fails = [this](const std::string& call) {
            finds += call == "find";
            return fault::none;
        };
    }
};

struct outcome {
    std::optional<pawl::error_code> code;
    pawl::snapshot<lamp, light> state;

    auto handler()
    {
        return [this](pawl::error_code result, pawl::snapshot<lamp, light> reached) {
            BOOST_TEST(!code.has_value(), "a handler was called twice");
            code = result;
            state = std::move(reached);
        };
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_status_that_is_reached_already_completes_at_once)
{
    world w;
    auto client = w.start(two_steps());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    outcome seen;
    client.async_await(run, {yellow}, seen.handler());
    BOOST_TEST(!seen.code.has_value(), "never inside the call");
    w.settle();
    BOOST_REQUIRE(seen.code.has_value());
    BOOST_TEST(!*seen.code);
    BOOST_TEST(seen.state.status == yellow);
}

BOOST_AUTO_TEST_CASE(completes_with_the_commit_that_brings_it_there)
{
    world w;
    auto client = w.start(two_steps());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    outcome end;
    outcome any;
    outcome finished;
    client.async_await(run, {off}, end.handler());
    client.async_await(run, {green, off}, any.handler());
    client.async_await_finished(run, finished.handler());
    w.advance(59min);
    BOOST_TEST(!end.code.has_value());
    w.advance(1min);
    for (const auto* each : {&end, &any, &finished}) {
        BOOST_REQUIRE(each->code.has_value());
        BOOST_TEST(!*each->code);
        BOOST_TEST(each->state.status == off);
    }
}

BOOST_AUTO_TEST_CASE(an_end_elsewhere_is_told_apart)
{
    world w;
    auto client = w.start(two_steps());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    outcome before;
    client.async_await(run, {green}, before.handler());
    w.wait_for(client.async_pause(run, "a pause is no end", asio::use_awaitable));
    BOOST_TEST(!before.code.has_value());
    w.wait_for(client.async_cancel(run, "not needed", asio::use_awaitable));
    w.settle();
    outcome after;
    client.async_await(run, {green}, after.handler());
    w.settle();
    for (const auto* each : {&before, &after}) {
        BOOST_REQUIRE(each->code.has_value());
        BOOST_TEST(*each->code == pawl::errc::finished_in_other_status);
        BOOST_TEST(each->state.state == pawl::run_state::cancelled);
    }
}

BOOST_AUTO_TEST_CASE(many_waits_for_many_runs_each_get_their_own)
{
    world w;
    auto client = w.start(two_steps());
    std::vector<pawl::run_id> runs;
    for (const auto* name : {"abc", "ABC", "a b", "x"})
        runs.push_back(w.wait_for(client.async_trigger(name, lamp{}, {}, asio::use_awaitable)));
    std::vector<outcome> seen(40);
    for (std::size_t i = 0; i < seen.size(); ++i)
        client.async_await(runs[i % 4], {off}, seen[i].handler());
    w.advance(1h);
    for (std::size_t i = 0; i < seen.size(); ++i) {
        BOOST_REQUIRE(seen[i].code.has_value());
        BOOST_TEST((seen[i].state.id == runs[i % 4]));
    }
}

BOOST_AUTO_TEST_CASE(can_be_cancelled_before_and_while_it_waits)
{
    world w;
    auto client = w.start(two_steps());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                            asio::cancellation_type::total})
        for (const bool at_once : {true, false}) {
            outcome seen;
            asio::cancellation_signal stop;
            client.async_await(run, {off},
                               asio::bind_cancellation_slot(stop.slot(), seen.handler()));
            if (!at_once)
                w.settle();
            stop.emit(type);
            w.settle();
            BOOST_REQUIRE(seen.code.has_value());
            BOOST_TEST(*seen.code == asio::error::operation_aborted);
        }
    w.advance(1h);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_run_in_memory_answers_without_the_store)
{
    counting_world w;
    auto client = w.start(slow_steps(w.clock.get()));
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    outcome there;
    outcome end;
    client.async_await(run, {red}, there.handler());
    client.async_await_finished(run, end.handler());
    w.settle();
    BOOST_REQUIRE(there.code.has_value());
    BOOST_TEST(!*there.code);
    BOOST_TEST(!end.code.has_value());
    w.advance(1h);
    w.advance(1min); // a commit that succeeds leaves nothing to look after
    BOOST_TEST(!end.code.has_value());
    w.advance(1h);
    BOOST_REQUIRE(end.code.has_value());
    BOOST_TEST(!*end.code);
    BOOST_TEST(w.finds == 0);
    outcome later;
    client.async_await_finished(run, later.handler());
    w.settle();
    BOOST_REQUIRE(later.code.has_value());
    BOOST_TEST(!*later.code);
    BOOST_TEST(w.finds == 1);
}

BOOST_AUTO_TEST_CASE(a_wait_that_begins_while_the_last_commit_is_handed_back_ends)
{
    counting_world w;
    auto client = w.start(slow_steps(w.clock.get()));
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    std::vector<outcome> seen(3);
    // Called between the commit, which tells those who wait already, and the run's own coroutine.
    const auto wait_again = [&](pawl::error_code, const pawl::snapshot<lamp, light>&) {
        client.async_await_finished(run, seen[0].handler());
        client.async_await(run, {off}, seen[1].handler());
        client.async_await(run, {green}, seen[2].handler());
    };
    client.async_await_finished(run, wait_again);
    w.advance(1h);
    w.advance(1h);
    for (const auto& each : seen)
        BOOST_REQUIRE(each.code.has_value());
    BOOST_TEST(!*seen[0].code);
    BOOST_TEST(!*seen[1].code);
    BOOST_TEST(*seen[2].code == pawl::errc::finished_in_other_status);
}

BOOST_AUTO_TEST_CASE(a_wait_for_a_run_whose_commit_fails_asks_the_store)
{
    counting_world w;
    auto client = w.start(slow_steps(w.clock.get()));
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    std::optional<outcome> meanwhile;
    w.faults->fails = [&](const std::string& call) {
        w.finds += call == "find";
        if (call != "apply")
            return fault::none;
        if (!std::exchange(meanwhile, outcome{}))
            client.async_await(run, {yellow}, meanwhile->handler());
        return fault::answer_lost; // it stands there, but its engine is not told
    };
    w.advance(1h);
    BOOST_REQUIRE(meanwhile->code.has_value());
    BOOST_TEST(!*meanwhile->code);
    BOOST_TEST(w.finds > 0);
}

BOOST_AUTO_TEST_CASE(an_unknown_run_is_an_error)
{
    world w;
    auto client = w.start(two_steps());
    pawl::run_id unknown;
    unknown.bytes[3] = 9;
    outcome seen;
    client.async_await(unknown, {off}, seen.handler());
    w.settle();
    BOOST_TEST(*seen.code == pawl::errc::not_found);
    BOOST_TEST(!w.wait_for(client.async_find(unknown, asio::use_awaitable)).has_value());
}

BOOST_AUTO_TEST_CASE(a_handler_that_would_wait_for_its_own_run_is_refused)
{
    std::vector<std::string> told; // handlers write it until their engine has ended
    for (const bool shared : {false, true}) {
        world w;
        if (shared)
            w.store = pawl::open_memory({.shared = true, .clock = w.clock});
        std::optional<lamps> client;
        told.clear();
        const auto note = [&told](const char* call, const pawl::system_error& e) {
            told.push_back(std::string{call} +
                           (e.code() == pawl::errc::called_by_handler ? " refused" : " failed"));
        };
        lamp_builder b{"lamps"};
        b.step<red>([&](lamp_run& run) -> pawl::step<off> {
            const auto here = co_await client->async_await(run.id(), {red}, asio::use_awaitable);
            told.push_back(here.status == red ? "is here" : "is elsewhere");
            try {
                co_await client->async_await(run.id(), {off}, asio::use_awaitable);
            } catch (const pawl::system_error& e) {
                note("status", e);
            }
            try {
                co_await client->async_await_finished(run.id(), asio::use_awaitable);
            } catch (const pawl::system_error& e) {
                note("end", e);
            }
            try {
                co_await client->async_call(run.foreign_id(), "note", 1, {}, asio::use_awaitable);
            } catch (const pawl::system_error& e) {
                note("call", e);
            }
            co_await client->async_send(run.id(), "note", 2, {}, asio::use_awaitable);
            co_return pawl::skip();
        });
        b.callback<red>("note", [&](lamp_run& run, int value) -> pawl::step<off> {
            told.push_back("note " + std::to_string(value));
            try {
                co_await client->async_call(run.id(), "note", 3, {}, asio::use_awaitable);
            } catch (const pawl::system_error& e) {
                note("call", e);
            }
            co_return pawl::to<off>;
        });
        b.end<off>();
        client = w.start(std::move(b).build());
        w.advance(5s); // it has the shards
        const auto run =
            w.wait_for(client->async_trigger("a", lamp{}, {.start = red}, asio::use_awaitable));
        w.settle();
        const std::vector<std::string> wanted{"is here",      "status refused", "end refused",
                                              "call refused", "note 2",         "call refused"};
        BOOST_TEST(told == wanted, boost::test_tools::per_element());
        BOOST_TEST(w.state_of(*client, run).status == off);
        const auto seen = w.wait_for(w.engine->async_statistics(asio::use_awaitable));
        BOOST_TEST(seen.waiting_handlers == 0u);
        w.stop();
    }
}

BOOST_AUTO_TEST_CASE(a_foreign_id_has_one_unfinished_run)
{
    world w;
    auto client = w.start(two_steps());
    int accepted = 0;
    int refused = 0;
    for (int i = 0; i < 100; ++i)
        client.async_trigger("same", lamp{}, {}, [&](pawl::error_code code, pawl::run_id) {
            accepted += !code;
            refused += code == pawl::errc::already_running;
        });
    w.settle();
    BOOST_TEST(accepted == 1);
    BOOST_TEST(refused == 99);
    w.advance(1h);
    BOOST_TEST(w.error_of(client.async_trigger(
                   "same", lamp{}, {.id_reuse = pawl::id_reuse_policy::reject_duplicate},
                   asio::use_awaitable)) == pawl::errc::already_ran);
    w.wait_for(client.async_trigger("same", lamp{}, {}, asio::use_awaitable));
}

BOOST_AUTO_TEST_CASE(a_known_key_gives_the_run_that_it_started)
{
    world w;
    auto client = w.start(two_steps());
    const auto first = w.wait_for(
        client.async_trigger("a", lamp{}, {.idempotency_key = "k"}, asio::use_awaitable));
    w.advance(1h);
    const auto again = w.wait_for(
        client.async_trigger("a", lamp{}, {.idempotency_key = "k"}, asio::use_awaitable));
    BOOST_TEST((first == again));
    const auto other = w.wait_for(
        client.async_trigger("a", lamp{}, {.idempotency_key = "l"}, asio::use_awaitable));
    BOOST_TEST((first != other));
}

BOOST_AUTO_TEST_CASE(bad_arguments_are_refused)
{
    world w;
    w.options.max_object_size = 100;
    auto client = w.start(two_steps());
    const auto refused = [&](std::string foreign_id, lamp object,
                             pawl::trigger_options<light> options) {
        return w.error_of(client.async_trigger(std::move(foreign_id), object, std::move(options),
                                               asio::use_awaitable));
    };
    BOOST_TEST(refused("", {}, {}) == pawl::errc::invalid_argument);
    BOOST_TEST(refused(std::string(1025, 'x'), {}, {}) == pawl::errc::invalid_argument);
    BOOST_TEST(refused("a", {}, {.start = off}) == pawl::errc::invalid_status);
    BOOST_TEST(refused("a", {}, {.start = broken}) == pawl::errc::invalid_status);
    BOOST_TEST(refused("a", {.trail = {std::string(200, 'x')}}, {}) == pawl::errc::too_large);
    BOOST_TEST(refused("a", {.trail = {"\xff"}}, {}) == pawl::errc::encode_failed);
    BOOST_TEST(!refused("a", {}, {.start = yellow}));
    for (const std::size_t limit : {0u, 1001u})
        BOOST_TEST(
            (w.error_of(client.async_history(pawl::run_id{}, 0, limit, asio::use_awaitable)) ==
             pawl::errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(lists_pages_of_its_own_workflow)
{
    world w;
    auto client = w.start(two_steps());
    for (int i = 0; i < 7; ++i)
        w.wait_for(
            client.async_trigger(std::to_string(i), lamp{.value = i}, {}, asio::use_awaitable));
    pawl::record_query query;
    query.limit = 3;
    std::vector<int> values;
    do {
        const auto page = w.wait_for(client.async_list(query, asio::use_awaitable));
        for (const auto& run : page.runs)
            values.push_back(run.object.value);
        query.after = page.next;
    } while (query.after);
    const std::vector<int> expected{0, 1, 2, 3, 4, 5, 6};
    BOOST_TEST(values == expected, boost::test_tools::per_element());
    query.limit = 0;
    BOOST_TEST((w.error_of(client.async_list(query, asio::use_awaitable)) ==
                pawl::errc::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
