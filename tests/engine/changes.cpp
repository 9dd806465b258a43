// Every change of a program that a user can make, and what becomes of the runs under way: programs
// that take turns on one store. The chapter "Changing a workflow" of examples/README.md names these
// cases.
#include "engine/support.hpp"
#include "printing.hpp"

#include <boost/json/value.hpp>

using namespace engine_test;
using enum light;

namespace {

template <auto To>
pawl::step<To> move_on(lamp_run&)
{
    co_return pawl::to<To>;
}

template <auto To>
pawl::step<To> stay(lamp_run&)
{
    co_return pawl::skip();
}

/// Lets time go by in steps, so that what repeats does so.
void pass(world& w, pawl::duration span, pawl::duration step = 1min)
{
    for (pawl::duration gone{}; gone < span; gone += step)
        w.advance(step);
}

pawl::run_id begin(world& w, lamps& client, light where = yellow, int value = 0)
{
    return w.wait_for(client.async_trigger("a", lamp{value, {}}, {.start = where}));
}

std::size_t lines_with(const world& w, const std::string& text)
{
    return static_cast<std::size_t>(std::ranges::count_if(
        w.log, [&](const std::string& line) { return line.find(text) != std::string::npos; }));
}

/// A lamp of a program before, which knew a member more.
struct wide_lamp {
    int value = 0;
    std::vector<std::string> trail;
    int watts = 0;
};
BOOST_DESCRIBE_STRUCT(wide_lamp, (), (value, trail, watts))

std::vector<pawl::start_plan> plan_of(world& w, pawl::workflow<lamp, light> workflow)
{
    w.options.store = w.store;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    w.engine->add(std::move(workflow));
    auto plan = w.wait_for(w.engine->async_preview_start());
    w.stop();
    return plan;
}

} // namespace

BOOST_AUTO_TEST_SUITE(changes)

// Timeouts

BOOST_AUTO_TEST_CASE(a_run_goes_on_when_its_timeout_was_removed)
{
    for (const bool passed : {false, true})
        BOOST_TEST_CONTEXT((passed ? "the deadline passes between" : "the deadline passes after"))
        {
            world w;
            int polls = 0;
            const auto program = [&](bool with) {
                lamp_builder b{"lamps"};
                b.step<yellow>([&polls](lamp_run&) -> pawl::step<green> {
                    ++polls;
                    co_return pawl::repeat_after(10min);
                });
                if (with)
                    b.timeout<yellow>("end", 1h, move_on<off>);
                b.callback<yellow>("go on", move_on<green>);
                b.callback<yellow>("end", move_on<off>);
                b.end<off, green>();
                return std::move(b).build();
            };
            auto client = w.start(program(true));
            const auto run = begin(w, client);
            w.stop();
            if (passed)
                w.advance(2h);
            client = w.start(program(false));
            pass(w, 2h, 10min);
            BOOST_TEST(w.state_of(client, run).state == pawl::run_state::running);
            BOOST_TEST(polls >= 10);
            BOOST_TEST(w.wait_for(w.store->find(run))->deadlines.empty());
            BOOST_TEST(lines_with(w, "the timeout \"end\" of this run is no longer declared") ==
                       1u);
        }
}

BOOST_AUTO_TEST_CASE(a_removed_timeout_interrupts_no_step)
{
    world w;
    int ended = 0;
    const auto program = [&](bool with) {
        lamp_builder b{"lamps"};
        b.step<yellow>([&](lamp_run&) -> pawl::step<green> {
             co_await wait_on(*w.clock, 2h);
             ++ended;
             co_return pawl::to<green>;
         }).retry({.max_attempts = 1});
        if (with)
            b.timeout<yellow>("end", 1h, move_on<off>);
        b.callback<yellow>("end", move_on<off>);
        b.end<off, green>();
        return std::move(b).build();
    };
    auto client = w.start(program(true));
    const auto run = begin(w, client);
    w.stop();
    ended = 0; // the stop let it go on to there
    client = w.start(program(false));
    pass(w, 3h);
    BOOST_TEST(w.state_of(client, run).status == green);
    BOOST_TEST(ended == 1);
}

BOOST_AUTO_TEST_CASE(timeouts_keep_their_handlers_when_others_come_and_go_before_them)
{
    // The deadlines are those of the first program; each later one has another order.
    const std::vector<std::vector<std::string>> programs{
        {"remind", "escalate", "close"}, {"close", "remind"}, {"new", "escalate", "close"}};
    world w;
    std::vector<std::string> fired;
    const auto program = [&](const std::vector<std::string>& names) {
        lamp_builder b{"lamps"};
        for (const auto& name : names) {
            const auto at = name == "remind"     ? 1h
                            : name == "escalate" ? 5h
                            : name == "new"      ? 6h
                                                 : 9h;
            b.timeout<yellow>(name, at, [&fired, name](lamp_run&) -> pawl::step<off> {
                fired.push_back(name);
                if (name == "close")
                    co_return pawl::to<off>;
                co_return pawl::skip();
            });
        }
        b.end<off>();
        return std::move(b).build();
    };
    std::optional<pawl::run_id> run;
    for (const auto& names : programs) {
        auto client = w.start(program(names));
        if (!run)
            run = begin(w, client);
        pass(w, 2h, 10min);
        w.stop();
    }
    auto client = w.start(program(programs.back()));
    pass(w, 12h, 10min);
    BOOST_TEST(w.state_of(client, *run).status == off);
    // "new" was never armed for this run; "escalate" was not there when the second program ran, and
    // had not passed yet.
    BOOST_TEST(fired == (std::vector<std::string>{"remind", "escalate", "close"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_added_timeout_is_armed_for_those_that_enter_from_then_on)
{
    world w;
    const auto program = [&](bool with) {
        lamp_builder b{"lamps"};
        b.callback<yellow>("again", move_on<yellow>);
        b.callback<yellow>("end", move_on<off>);
        if (with)
            b.timeout<yellow>(1h, move_on<off>);
        b.start<yellow>();
        b.end<off>();
        return std::move(b).build();
    };
    auto client = w.start(program(false));
    const auto run = begin(w, client);
    w.stop();
    client = w.start(program(true));
    pass(w, 3h, 10min);
    BOOST_TEST(w.state_of(client, run).status == yellow);
    w.wait_for(client.async_call(run, "again", pawl::bytes{}));
    pass(w, 1h, 10min);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_deadline_of_a_newer_program_survives_an_older_one)
{
    world w;
    const auto program = [&](bool newer) {
        lamp_builder b{"lamps"};
        b.callback<yellow>("go on", move_on<green>);
        b.callback<yellow>("end", move_on<off>);
        if (newer)
            b.timeout<yellow>("end", 1h, move_on<off>);
        b.end<off, green>();
        return std::move(b).build();
    };
    auto client = w.start(program(false));
    w.stop();
    client = w.start(program(true));
    const auto run = begin(w, client);
    w.stop();
    client = w.start(program(false)); // set back
    pass(w, 2h);
    BOOST_TEST(w.state_of(client, run).status == yellow);
    w.stop();
    client = w.start(program(true));
    pass(w, 1h);
    BOOST_TEST(w.state_of(client, run).status == off);
}

// Steps and callbacks

BOOST_AUTO_TEST_CASE(a_step_of_a_newer_program_survives_an_older_one)
{
    world w;
    const auto program = [&](bool newer) {
        lamp_builder b{"lamps"};
        if (newer)
            b.step<yellow>([](lamp_run&) -> pawl::step<off> {
                 co_return pawl::to<off>;
             }).start_delay(1h);
        b.callback<yellow>("go on", move_on<green>);
        b.callback<yellow>("end", move_on<off>);
        b.callback<yellow>("look", [](lamp_run& run) -> pawl::step<> {
            run.object().trail.emplace_back("looked");
            co_return pawl::skip();
        });
        b.start<yellow>();
        b.end<off, green>();
        return std::move(b).build();
    };
    auto client = w.start(program(false));
    w.stop();
    client = w.start(program(true));
    const auto start_run = [&](const char* id) {
        return w.wait_for(client.async_trigger(id, lamp{}));
    };
    const auto waiting = start_run("waiting");
    const auto paused = start_run("paused");
    const auto called = start_run("called");
    w.stop();
    client = w.start(program(false)); // set back
    w.wait_for(client.async_pause(paused, "hold on"));
    w.wait_for(client.async_resume(paused));
    w.wait_for(client.async_call(called, "look", pawl::bytes{}));
    pass(w, 2h);
    for (const auto run : {waiting, paused, called})
        BOOST_TEST(w.state_of(client, run).status == yellow);
    w.stop();
    client = w.start(program(true));
    pass(w, 1min);
    for (const auto run : {waiting, paused, called})
        BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(an_added_step_runs_for_those_that_enter_from_then_on)
{
    world w;
    int ran = 0;
    const auto program = [&](bool newer) {
        lamp_builder b{"lamps"};
        if (newer)
            b.step<yellow>([&](lamp_run&) -> pawl::step<green> {
                ++ran;
                co_return pawl::skip();
            });
        b.callback<yellow>("again", move_on<yellow>);
        b.callback<yellow>("go on", move_on<green>);
        b.callback<green>("end", move_on<off>);
        b.start<yellow>();
        b.end<off>();
        return std::move(b).build();
    };
    auto client = w.start(program(false));
    const auto run = begin(w, client);
    w.stop();
    client = w.start(program(true));
    pass(w, 1min);
    w.wait_for(client.async_send(run, "end", pawl::bytes{})); // wakes it
    w.wait_for(client.async_pause(run, ""));
    w.wait_for(client.async_resume(run));
    pass(w, 1min);
    BOOST_TEST(ran == 0);
    w.wait_for(client.async_call(run, "again", pawl::bytes{}));
    w.settle();
    BOOST_TEST(ran == 1);
}

BOOST_AUTO_TEST_CASE(a_callback_of_a_newer_program_waits_for_it_under_an_older_one)
{
    world w;
    const auto program = [&](bool newer) {
        lamp_builder b{"lamps"};
        b.step<yellow>(move_on<green>).start_delay(1h);
        if (newer)
            b.callback<green>("confirm", move_on<off>);
        b.callback<green>("go on", move_on<broken>);
        b.timeout<green>(1000h, move_on<off>);
        b.end<off, broken>();
        return std::move(b).build();
    };
    auto client = w.start(program(false));
    w.stop();
    client = w.start(program(true));
    const auto run = begin(w, client);
    w.wait_for(client.async_send(run, "confirm", pawl::bytes{})); // early
    w.stop();
    client = w.start(program(false));
    pass(w, 2h);
    BOOST_TEST(w.state_of(client, run).status == green);
    w.stop();
    client = w.start(program(true));
    pass(w, 2h);
    BOOST_TEST(w.state_of(client, run).status == off);
}

// Objects

BOOST_AUTO_TEST_CASE(an_older_program_leaves_runs_of_a_newer_one_alone)
{
    struct row {
        const char* name;
        std::function<void(lamp_builder&)> declare;
    };
    const std::vector<row> rows{
        {"a step",
         [](lamp_builder& b) {
             b.step<yellow>(move_on<off>).start_delay(1h);
         }},
        {"a step with an exit",
         [](lamp_builder& b) {
             b.step<yellow>(move_on<off>)
                 .start_delay(1h)
                 .retry({.max_attempts = 1})
                 .on_exhausted<broken>();
         }},
        {"a timeout",
         [](lamp_builder& b) {
             b.timeout<yellow>(1h, move_on<off>);
         }},
        {"a callback",
         [](lamp_builder& b) {
             b.callback<yellow>("go on", move_on<off>);
         }},
    };
    for (const auto& row : rows)
        BOOST_TEST_CONTEXT(row.name)
        {
            world w;
            const auto program = [&](bool newer) {
                lamp_builder b{"lamps"};
                row.declare(b);
                b.timeout<broken>(1h, move_on<off>);
                b.start<yellow, broken>();
                b.end<off>();
                if (newer)
                    b.upgrade(1, [](boost::json::value&) {});
                return std::move(b).build();
            };
            auto client = w.start(program(true));
            const auto run = begin(w, client, yellow, 7);
            w.stop();
            const auto before = *w.wait_for(w.store->find(run));
            client = w.start(program(false));
            const bool by_callback = row.name == std::string{"a callback"};
            if (by_callback)
                w.wait_for(client.async_send(run, "go on", pawl::bytes{}));
            pass(w, 10h, 10min);
            const auto after = *w.wait_for(w.store->find(run));
            BOOST_TEST(after.version == before.version);
            BOOST_TEST(after.object == before.object);
            BOOST_TEST(after.object_version == 2u);
            BOOST_TEST(after.inbox_pending == (by_callback ? 1u : 0u));
            BOOST_TEST(lines_with(w, "needs a newer program") == 1u);
            w.stop();
            client = w.start(program(true));
            w.settle();
            BOOST_TEST(w.state_of(client, run).status == off);
        }
}

BOOST_AUTO_TEST_CASE(an_older_program_deletes_no_data_of_a_newer_one)
{
    world w;
    const auto program = [&](bool newer) {
        lamp_builder b{"lamps"};
        b.callback<yellow>("go on", move_on<off>);
        b.end<off>();
        b.scrub([](lamp& object) { object.value = -1; });
        if (newer)
            b.upgrade(1, [](boost::json::value&) {});
        return std::move(b).build();
    };
    auto client = w.start(program(true));
    const auto run = begin(w, client, yellow, 7);
    w.wait_for(client.async_cancel(run, ""));
    w.stop();
    client = w.start(program(false));
    const auto sent = [&]() -> asio::awaitable<void> {
        co_await client.async_delete_data(run, "");
    };
    w.wait_for(sent());
    pass(w, 1h);
    BOOST_TEST(w.wait_for(w.store->find(run))->object_version == 2u);
    BOOST_TEST(w.wait_for(w.store->find(run))->object == R"({"value":7,"trail":[]})");
    w.stop();
    client = w.start(program(true));
    w.settle();
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::data_deleted);
    BOOST_TEST(w.state_of(client, run).object.value == -1);
}

BOOST_AUTO_TEST_CASE(an_upgrade_that_fails_leaves_the_object_and_its_version_as_they_were)
{
    world w;
    bool fails = false;
    const auto program = [&](bool newer) {
        lamp_builder b{"lamps"};
        b.step<yellow>(move_on<green>)
            .start_delay(1h)
            .retry({.max_attempts = 1})
            .on_exhausted<broken>();
        b.callback<green, broken>("end", move_on<off>);
        b.timeout<broken>(1h, move_on<off>);
        b.end<off>();
        if (newer)
            b.upgrade(1, [&](boost::json::value& v) {
                if (fails)
                    throw std::runtime_error("a table is missing");
                v.as_object()["value"] = v.as_object().at("value").as_int64() * 1000;
            });
        return std::move(b).build();
    };
    auto client = w.start(program(false));
    const auto run = begin(w, client, yellow, 7);
    w.stop();
    fails = true;
    client = w.start(program(true));
    pass(w, 90min);
    const auto held = *w.wait_for(w.store->find(run));
    BOOST_TEST(held.object_version == 1u);
    BOOST_TEST(held.pause == pawl::pause_kind::by_error);
    BOOST_TEST(held.reason.find("a table is missing") != std::string::npos);
    fails = false;
    BOOST_TEST(w.state_of(client, run).object.value == 7000);
}

BOOST_AUTO_TEST_CASE(a_program_can_write_the_old_version_until_all_engines_are_new)
{
    world w;
    const auto program = [&](bool knows, bool writes) {
        lamp_builder b{"lamps"};
        b.callback<yellow>("again", [](lamp_run& run) -> pawl::step<yellow> {
            ++run.object().value;
            co_await run.checkpoint();
            co_await run.once("effect", [] { return 1; });
            co_return pawl::to<yellow>;
        });
        b.callback<yellow>("go on", move_on<off>);
        b.start<yellow>();
        b.end<off>();
        if (knows)
            b.upgrade(
                1,
                [](boost::json::value& v) {
                    v.as_object()["trail"] = boost::json::array{"from 1"};
                },
                [](boost::json::value& v) { v.as_object()["trail"] = boost::json::array{}; });
        if (knows && !writes)
            b.write_version(1);
        return std::move(b).build();
    };
    auto client = w.start(program(true, false));
    const auto run = begin(w, client, yellow, 1);
    const auto stored = [&] {
        return *w.wait_for(w.store->find(run));
    };
    BOOST_TEST(stored().object_version == 1u);
    w.wait_for(client.async_call(run, "again", pawl::bytes{}));
    BOOST_TEST(stored().object_version == 1u);
    BOOST_TEST(stored().object == R"({"value":2,"trail":[]})");
    BOOST_TEST((w.state_of(client, run).object.trail == std::vector<std::string>{"from 1"}));
    w.stop();
    client = w.start(program(false, false)); // the one of before reads it
    w.wait_for(client.async_call(run, "again", pawl::bytes{}));
    BOOST_TEST(stored().object == R"({"value":3,"trail":[]})");
    w.stop();
    client = w.start(program(true, true));
    w.wait_for(client.async_call(run, "again", pawl::bytes{}));
    BOOST_TEST(stored().object_version == 2u);
    BOOST_TEST(stored().object == R"({"value":4,"trail":["from 1"]})");
}

BOOST_AUTO_TEST_CASE(a_member_that_would_be_lost_is_told_once)
{
    world w;
    pawl::builder<wide_lamp, light> before{"lamps"};
    before.callback<yellow>(
        "again", [](pawl::run<wide_lamp>&) -> pawl::step<off> { co_return pawl::skip(); });
    before.end<off>();
    w.options.store = w.store;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    auto wide = w.engine->add(std::move(before).build());
    w.wait_for(w.engine->async_start());
    std::vector<pawl::run_id> runs;
    for (const auto* id : {"a", "b"})
        runs.push_back(w.wait_for(wide.async_trigger(id, wide_lamp{1, {}, 40})));
    w.stop();
    lamp_builder after{"lamps"};
    after.callback<yellow>("again", stay<off>);
    after.end<off>();
    auto client = w.start(std::move(after).build());
    for (const auto& run : runs)
        w.wait_for(client.async_call(run, "again", pawl::bytes{}));
    BOOST_TEST(lines_with(w, "\"watts\"") == 1u);
}

// Statuses

BOOST_AUTO_TEST_SUITE_END()

namespace {

// The statuses of three programs. The second puts one between, the third at the end.
enum class state_1 { created = 1, checked, sent };
BOOST_DESCRIBE_ENUM(state_1, created, checked, sent)
enum class state_2 { created = 1, screened, checked, sent };
BOOST_DESCRIBE_ENUM(state_2, created, screened, checked, sent)
enum class state_3 { created = 1, reviewed, sent, screened };
BOOST_DESCRIBE_ENUM(state_3, created, reviewed, sent, screened)

template <class State>
struct program {
    world& w;
    std::optional<pawl::client<lamp, State>> client;

    explicit program(world& of) : w(of) {}

    pawl::error_code start(pawl::workflow<lamp, State> workflow)
    {
        w.options.store = w.store;
        w.options.clock = w.clock;
        w.engine.emplace(w.io.get_executor(), w.options);
        client = w.engine->add(std::move(workflow));
        const auto begun = [](world& in) -> asio::awaitable<int> {
            co_await in.engine->async_start(asio::use_awaitable);
            co_return 0;
        };
        return w.error_of(begun(w));
    }
};

template <auto First, auto... Rest>
auto waits_in(std::string renamed = {}, std::string workflow = "parcels")
{
    using state = decltype(First);
    pawl::builder<lamp, state> b{std::move(workflow)};
    b.template callback<First>(
        "go on", [](lamp_run&) -> pawl::step<state::sent> { co_return pawl::to<state::sent>; });
    (b.template callback<Rest>(
         "go on", [](lamp_run&) -> pawl::step<state::sent> { co_return pawl::to<state::sent>; }),
     ...);
    b.template start<First, Rest...>();
    b.template end<state::sent>();
    if constexpr (requires { state::reviewed; })
        if (!renamed.empty())
            b.template renamed<state::reviewed>(renamed);
    return std::move(b).build();
}

} // namespace

BOOST_AUTO_TEST_SUITE(changes)

BOOST_AUTO_TEST_CASE(an_enumerator_put_between_others_is_refused_with_both_labels)
{
    world w;
    program<state_1> first{w};
    BOOST_TEST(!first.start(waits_in<state_1::created, state_1::checked>()));
    for (const auto* id : {"a", "b"})
        w.wait_for(first.client->async_trigger(id, lamp{}, {.start = state_1::checked}));
    w.stop();
    program<state_2> second{w};
    const auto flow = waits_in<state_2::created, state_2::screened, state_2::checked>();
    BOOST_TEST(second.start(flow) == pawl::errc::status_relabeled);
    BOOST_TEST(lines_with(w, "status number 2 of workflow \"parcels\" is now screened, and was "
                             "checked (2 unfinished runs)") == 1u);
    BOOST_TEST(lines_with(w, "status number 3 of workflow \"parcels\" is now checked, and was sent "
                             "(0 unfinished runs)") == 1u);
    const auto plan = w.wait_for(w.engine->async_preview_start());
    BOOST_REQUIRE(plan.size() == 2u);
    BOOST_TEST((plan[0].action == pawl::start_plan::action_kind::relabeled));
    BOOST_TEST(plan[0].label == "screened");
    BOOST_TEST(plan[0].label_before == "checked");
    BOOST_TEST(plan[0].runs == 2u);
    w.stop();
    // The refused program left nothing behind.
    BOOST_TEST(!first.start(waits_in<state_1::created, state_1::checked>()));
}

BOOST_AUTO_TEST_CASE(a_renamed_enumerator_is_taken_when_the_program_says_so)
{
    world w;
    program<state_1> first{w};
    BOOST_TEST(!first.start(waits_in<state_1::created, state_1::checked>()));
    w.wait_for(first.client->async_trigger("a", lamp{}, {.start = state_1::checked}));
    w.stop();
    program<state_3> third{w};
    const auto flow = [](std::string old) {
        return waits_in<state_3::created, state_3::reviewed, state_3::screened>(std::move(old));
    };
    BOOST_TEST(third.start(flow("")) == pawl::errc::status_relabeled);
    w.stop();
    BOOST_TEST(third.start(flow("sent")) == pawl::errc::status_relabeled);
    w.stop();
    BOOST_TEST(!third.start(flow("checked")));
    w.stop();
    // Both go on side by side: neither needs to be told again.
    BOOST_TEST(!first.start(waits_in<state_1::created, state_1::checked>()));
    w.stop();
    BOOST_TEST(!third.start(flow("checked")));
}

BOOST_AUTO_TEST_CASE(labels_are_those_of_the_workflow_alone)
{
    world w;
    program<state_1> first{w};
    BOOST_TEST(!first.start(waits_in<state_1::created, state_1::checked>()));
    w.stop();
    program<state_2> other{w};
    BOOST_TEST(!other.start(
        waits_in<state_2::created, state_2::screened, state_2::checked>("", "letters")));
}

BOOST_AUTO_TEST_CASE(an_older_program_starts_beside_runs_in_a_status_of_a_newer_one)
{
    world w;
    const auto program = [&](bool newer) {
        lamp_builder b{"lamps"};
        b.callback<yellow>("go on", move_on<off>);
        if (newer)
            b.step<green>(move_on<off>).start_delay(1h);
        b.start<yellow>();
        b.end<off>();
        return std::move(b).build();
    };
    auto client = w.start(program(false));
    w.stop();
    client = w.start(program(true));
    const auto run = begin(w, client, green);
    w.stop();
    const auto plan = plan_of(w, program(false));
    BOOST_REQUIRE(plan.size() == 1u);
    BOOST_TEST((plan.front().action == pawl::start_plan::action_kind::left_to_newer));
    client = w.start(program(false));
    pass(w, 2h, 10min);
    w.wait_for(client.async_pause(run, ""));
    w.wait_for(client.async_resume(run));
    pass(w, 2h, 10min);
    BOOST_TEST(w.state_of(client, run).status == green);
    w.stop();
    client = w.start(program(true));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_plan_says_what_a_new_definition_changes_for_runs_under_way)
{
    world w;
    const auto program = [&](bool newer) {
        lamp_builder b{"lamps"};
        b.callback<yellow>(newer ? "move on" : "go on", move_on<off>);
        b.timeout<yellow>(newer ? "close" : "end", 1h, move_on<off>);
        if (newer)
            b.step<yellow>(stay<off>);
        b.end<off>();
        return std::move(b).build();
    };
    auto client = w.start(program(false));
    begin(w, client);
    w.stop();
    auto plan = plan_of(w, program(false));
    BOOST_REQUIRE(plan.size() == 1u);
    BOOST_TEST(plan.front().notes.empty());
    plan = plan_of(w, program(true));
    BOOST_REQUIRE(plan.size() == 1u);
    BOOST_TEST((plan.front().action == pawl::start_plan::action_kind::continues));
    BOOST_REQUIRE(plan.front().notes.size() == 4u);
    BOOST_TEST(plan.front().notes[0].find("its step was added") == 0u);
    BOOST_TEST(plan.front().notes[1].find("its timeout \"close\" was added") == 0u);
    BOOST_TEST(plan.front().notes[2].find("its timeout \"end\" was removed") == 0u);
    BOOST_TEST(plan.front().notes[3].find("its callback \"go on\" was removed") == 0u);
    client = w.start(program(true));
    BOOST_TEST(lines_with(w, "its step was added") == 1u);
    w.stop();
    client = w.start(program(true));
    BOOST_TEST(lines_with(w, "its step was added") == 1u); // said at the first start
}

BOOST_AUTO_TEST_SUITE_END()

// Payloads and effects

namespace {

/// A review as three programs know it: the first one's; renamed without a word; upgraded.
struct review_1 {
    bool approve = false;
};
BOOST_DESCRIBE_STRUCT(review_1, (), (approve))
struct review_2 {
    bool approved = false;
    std::optional<std::string> officer;
};
BOOST_DESCRIBE_STRUCT(review_2, (), (approved, officer))
struct review_3 {
    bool approved = false;
};
BOOST_DESCRIBE_STRUCT(review_3, (), (approved))

void upgrade_review(std::uint32_t from, boost::json::value& document)
{
    BOOST_TEST(from == 1u);
    auto& object = document.as_object();
    boost::json::value approve = object.at("approve");
    object["approved"] = std::move(approve);
    object.erase("approve");
}

} // namespace

template <>
struct pawl::schema<review_3> : pawl::schema_defaults {
    static constexpr std::uint32_t version = 2;
    static void upgrade(std::uint32_t from, boost::json::value& document)
    {
        upgrade_review(from, document);
    }
};

namespace {

template <class Review>
bool approves(const Review& review)
{
    if constexpr (requires { review.approve; })
        return review.approve;
    else
        return review.approved;
}

/// The callback comes early, in red, for yellow.
template <class Review>
pawl::workflow<lamp, light> reviewed(std::function<void(lamp_run&)> on_review = {})
{
    lamp_builder b{"lamps"};
    b.callback<red>("go on", move_on<yellow>);
    b.callback<yellow>("review",
                       [on_review](lamp_run& run, Review review) -> pawl::step<green, broken> {
                           if (on_review)
                               on_review(run);
                           if (approves(review))
                               co_return pawl::to<green>;
                           co_return pawl::to<broken>;
                       });
    b.end<green, broken>();
    return std::move(b).build();
}

/// Records an effect, and decides by it an hour later.
template <class Review>
pawl::workflow<lamp, light> scored(int& asked)
{
    lamp_builder b{"lamps"};
    b.step<yellow>([&asked](lamp_run& run) -> pawl::step<green, broken> {
        const auto score = co_await run.once_per_run("score", [&asked] {
            ++asked;
            Review made;
            if constexpr (requires { made.approve; })
                made.approve = true;
            else
                made.approved = true;
            return made;
        });
        if (run.object().value++ == 0)
            co_return pawl::repeat_after(1h);
        if (approves(score))
            co_return pawl::to<green>;
        co_return pawl::to<broken>;
    });
    b.end<green, broken>();
    return std::move(b).build();
}

} // namespace

BOOST_AUTO_TEST_SUITE(changes)

BOOST_AUTO_TEST_CASE(a_payload_whose_member_was_renamed_is_refused_and_not_read_as_a_default)
{
    world w;
    auto client = w.start(reviewed<review_1>());
    const auto run = begin(w, client, red);
    w.wait_for(client.async_send(run, "review", review_1{true}));
    w.stop();
    client = w.start(reviewed<review_2>());
    w.wait_for(client.async_call(run, "go on", pawl::bytes{}));
    w.settle();
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.status == yellow); // neither approved nor declined
    BOOST_TEST(lines_with(w, "approved: it is missing") >= 1u);
}

BOOST_AUTO_TEST_CASE(a_payload_of_an_older_version_is_upgraded)
{
    world w;
    auto client = w.start(reviewed<review_1>());
    const auto run = begin(w, client, red);
    w.wait_for(client.async_send(run, "review", review_1{true}));
    w.stop();
    client = w.start(reviewed<review_3>());
    w.wait_for(client.async_call(run, "go on", pawl::bytes{}));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == green);
}

BOOST_AUTO_TEST_CASE(a_payload_of_a_newer_version_waits_for_the_newer_program)
{
    world w;
    auto client = w.start(reviewed<review_3>());
    const auto run = begin(w, client, red);
    w.wait_for(client.async_send(run, "review", review_3{true}));
    w.stop();
    client = w.start(reviewed<review_1>());
    w.wait_for(client.async_call(run, "go on", pawl::bytes{}));
    pass(w, 1h);
    BOOST_TEST(w.state_of(client, run).status == yellow);
    BOOST_TEST(w.wait_for(w.store->find(run))->inbox_pending == 1u);
    BOOST_TEST(lines_with(w, "needs a newer program") == 1u);
    w.stop();
    client = w.start(reviewed<review_3>());
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == green);
}

BOOST_AUTO_TEST_CASE(a_recorded_effect_whose_member_was_renamed_pauses_with_the_reason)
{
    world w;
    int asked = 0;
    auto client = w.start(scored<review_1>(asked));
    const auto run = begin(w, client);
    w.stop();
    client = w.start(scored<review_2>(asked));
    pass(w, 1h);
    const auto held = *w.wait_for(w.store->find(run));
    BOOST_TEST(held.pause == pawl::pause_kind::by_error);
    BOOST_TEST(held.attempt == 1); // the same program reads it no better at the next one
    BOOST_TEST(held.reason.find("\"score\"") != std::string::npos);
    BOOST_TEST(held.reason.find("approved: it is missing") != std::string::npos);
    BOOST_TEST(asked == 1);
}

BOOST_AUTO_TEST_CASE(a_recorded_effect_of_an_older_version_is_upgraded)
{
    world w;
    int asked = 0;
    auto client = w.start(scored<review_1>(asked));
    const auto run = begin(w, client);
    w.stop();
    client = w.start(scored<review_3>(asked));
    pass(w, 1h);
    BOOST_TEST(w.state_of(client, run).status == green);
    BOOST_TEST(asked == 1);
}

BOOST_AUTO_TEST_CASE(a_recorded_effect_of_a_newer_version_waits_for_the_newer_program)
{
    world w;
    int asked = 0;
    auto client = w.start(scored<review_3>(asked));
    const auto run = begin(w, client);
    BOOST_TEST(w.wait_for(w.store->find(run))->effects.front().version == 2u);
    w.stop();
    client = w.start(scored<review_1>(asked));
    pass(w, 5h, 10min);
    const auto held = *w.wait_for(w.store->find(run));
    BOOST_TEST(held.state == pawl::run_state::running);
    BOOST_TEST(held.attempt == 0);
    w.stop();
    client = w.start(scored<review_3>(asked));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == green);
    BOOST_TEST(asked == 1);
}

BOOST_AUTO_TEST_SUITE_END()
