// A run without an engine: what a single handler does, and what its second attempt finds.
#include "pawl/testing/test_run.hpp"
#include "doors.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

BOOST_AUTO_TEST_SUITE(test_runs)

using namespace testing_test;
namespace asio = boost::asio;

namespace {

using test_run = pawl::testing::test_run<door>;

pawl::step<state::open> pays_once(door_run& run, int* payments)
{
    const auto receipt = co_await run.once("pay", [payments] { return ++*payments; });
    run.object().visitors.push_back("paid " + std::to_string(receipt));
    co_await run.checkpoint();
    if (run.attempt() == 1)
        throw std::runtime_error("the bell is broken");
    co_return pawl::to<state::open>;
}

constexpr pawl::workflow_handle<door, state> neighbors{"neighbors"};
constexpr pawl::callback<std::string> greet{"greet"};

pawl::step<state::open> greets_the_neighbor(door_run& run)
{
    co_await run.send(neighbors, "back door", greet, "hello");
    if (run.attempt() == 1)
        throw std::runtime_error("nobody looks");
    co_return pawl::to<state::open>;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_sent_callback_is_told_once_for_all_attempts)
{
    test_run run;
    BOOST_TEST(run.call(greets_the_neighbor).threw());
    BOOST_TEST(run.call(greets_the_neighbor).moved_to<state::open>());
    BOOST_REQUIRE(run.sent().size() == 1u);
    const auto& sent = run.sent().front();
    BOOST_TEST(sent.workflow == "neighbors");
    BOOST_TEST(std::get<std::string>(sent.receiver) == "back door");
    BOOST_TEST(sent.name == "greet");
    BOOST_TEST(sent.payload_as<std::string>() == "hello");
}

namespace {

constexpr pawl::callback<pawl::child_end<door, state>> inner_ended{"inner-ended"};

pawl::step<state::open> opens_an_inner_door(door_run& run)
{
    const auto counts = co_await run.children();
    co_await run.start(neighbors, "inner", {.name = "inner"}, {.on_end = inner_ended});
    if (run.attempt() == 1)
        throw std::runtime_error("it sticks");
    run.object().name = std::to_string(counts.unfinished());
    co_return pawl::to<state::open>;
}

pawl::step<state::open> counts_the_inner_door(door_run& run, pawl::child_end<door, state> end)
{
    run.object().name = end.object.name;
    co_return pawl::to<state::open>;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_started_child_is_told_once_for_all_attempts)
{
    test_run run;
    run.children({{0, 2, 3}});
    BOOST_TEST(run.call(opens_an_inner_door).threw());
    BOOST_TEST(run.call(opens_an_inner_door).moved_to<state::open>());
    BOOST_TEST(run.object().name == "5");
    BOOST_REQUIRE(run.started().size() == 1u);
    const auto& child = run.started().front();
    BOOST_TEST(child.workflow == "neighbors");
    BOOST_TEST(child.foreign_id == "inner");
    BOOST_TEST(child.object_as<door>().name == "inner");
    BOOST_TEST(child.on_end == "inner-ended");
    run.call(counts_the_inner_door,
             pawl::child_end<door, state>{child.run, "inner", state::open, {}, "", {.name = "x"}});
    BOOST_TEST(run.object().name == "x");
}

BOOST_AUTO_TEST_CASE(every_way_to_end)
{
    test_run run;
    BOOST_TEST(run.attempt(3).call(knock).moved_to<state::knocking>());
    BOOST_TEST(!run.call(knock).moved_to<state::open>());
    const auto threw = run.attempt(1).call(knock);
    BOOST_TEST(threw.threw());
    BOOST_TEST(!threw.skipped());
    BOOST_CHECK_EXCEPTION(threw.rethrow(), std::runtime_error,
                          [](const auto& e) { return std::string{e.what()} == "nobody hears"; });
    using step = pawl::step<state::open>;
    const auto repeats = run.call([](door_run&) -> step { co_return pawl::repeat_after(5s); });
    BOOST_TEST(repeats.repeats());
    BOOST_TEST((repeats.delay() == 5s));
    BOOST_TEST(run.call([](door_run&) -> step { co_return pawl::skip(); }).skipped());
    const auto paused = run.call([](door_run&) -> step { co_return pawl::pause("why"); });
    BOOST_TEST(paused.paused());
    BOOST_TEST(paused.reason() == "why");
    BOOST_TEST(run.call([](door_run&) -> step { co_return pawl::cancel("no"); }).cancelled());
    BOOST_TEST(run.call([](door_run&) -> step { co_return pawl::finish("yes"); }).finished());
}

BOOST_AUTO_TEST_CASE(a_callback_takes_its_payload)
{
    test_run run{{.name = "front"}};
    BOOST_TEST(run.call(let_in, std::string{"ada"}).moved_to<state::open>());
    BOOST_TEST(run.object().visitors == std::vector<std::string>{"ada"},
               boost::test_tools::per_element());
    BOOST_TEST(run.call(let_in, std::string{}).threw());
}

BOOST_AUTO_TEST_CASE(a_second_attempt_finds_the_effects_of_the_first)
{
    int payments = 0;
    const auto step = [&](door_run& run) {
        return pays_once(run, &payments);
    };
    test_run run;
    BOOST_TEST(!run.saved().has_value());
    BOOST_TEST(run.call(step).threw());
    BOOST_TEST(run.saves() == 2);
    BOOST_TEST(run.effects().size() == 1u);
    BOOST_TEST(run.saved()->visitors.size() == 1u);
    BOOST_TEST(run.call(step).moved_to<state::open>());
    BOOST_TEST(payments == 1);
}

BOOST_AUTO_TEST_CASE(a_failed_attempt_leaves_the_object_as_it_was)
{
    const auto fails = [](door_run& run, std::string visitor) -> pawl::step<state::open> {
        run.object().visitors.push_back(visitor);
        throw std::runtime_error("nobody hears");
        co_return pawl::to<state::open>;
    };
    test_run run{{.name = "front"}};
    run.object().visitors = {"ada"};
    BOOST_TEST(run.call(fails, std::string{"grace"}).threw());
    BOOST_TEST(run.object().name == "front");
    BOOST_TEST(run.object().visitors == std::vector<std::string>{"ada"},
               boost::test_tools::per_element());
    BOOST_TEST(!run.saved().has_value());
}

BOOST_AUTO_TEST_CASE(a_failed_attempt_keeps_what_a_checkpoint_saved)
{
    const auto fails = [](door_run& run) -> pawl::step<state::open> {
        run.object().visitors.push_back("ada");
        co_await run.checkpoint();
        run.object().visitors.push_back("grace");
        throw std::runtime_error("nobody hears");
        co_return pawl::to<state::open>;
    };
    test_run run;
    BOOST_TEST(run.call(fails).threw());
    BOOST_TEST(run.object().visitors == std::vector<std::string>{"ada"},
               boost::test_tools::per_element());
    run.object().visitors.clear(); // the test may change it: the next attempt begins from here
    BOOST_TEST(run.fail_commits().call(fails).threw());
    BOOST_TEST(run.object().visitors.empty());
}

BOOST_AUTO_TEST_CASE(skip_discards_changes_of_the_object)
{
    const auto skips = [](door_run& run) -> pawl::step<state::open> {
        run.object().name = "back";
        co_return pawl::skip();
    };
    test_run run{{.name = "front"}};
    BOOST_TEST(run.call(skips).skipped());
    BOOST_TEST(run.object().name == "front");
}

BOOST_AUTO_TEST_CASE(attempts_are_counted_until_one_succeeds)
{
    test_run run;
    BOOST_TEST(run.call(knock).threw());
    BOOST_TEST(run.call(knock).threw());
    BOOST_TEST(run.call(knock).moved_to<state::knocking>()); // its third attempt
    BOOST_TEST(run.call(knock).threw());
    BOOST_TEST(run.attempt(3).call(knock).moved_to<state::knocking>());
}

BOOST_AUTO_TEST_CASE(each_scope_has_its_own_effects)
{
    int calls = 0;
    std::vector<std::string> keys;
    const auto polls = [&](door_run& run) -> pawl::step<state::open> {
        co_await run.once("poll", [&] { return ++calls; });
        keys.push_back(run.idempotency_key("poll").substr(to_string(run.id()).size()));
        co_return pawl::repeat_after(1s);
    };
    const auto takes = [&](door_run& run, int) -> pawl::step<state::open> {
        co_await run.once("poll", [&] { return ++calls; });
        co_await run.once_per_run("count", [&] { return ++calls; });
        keys.push_back(run.idempotency_key("poll").substr(to_string(run.id()).size()));
        co_return pawl::skip();
    };
    test_run run;
    run.status(state::closed);
    BOOST_TEST(run.call(polls).repeats());
    BOOST_TEST(run.effects().size() == 1u);
    BOOST_TEST(run.call(polls).repeats()); // another round
    BOOST_TEST(calls == 2);
    run.status(state::knocking); // another visit
    BOOST_TEST(run.call(polls).repeats());
    BOOST_TEST(calls == 3);
    BOOST_TEST(run.call(takes, 1).skipped()); // a message
    BOOST_TEST(run.call(takes, 2).skipped()); // another message
    BOOST_TEST(calls == 6);
    BOOST_TEST(keys == (std::vector<std::string>{"/1.1/poll", "/1.1.1/poll", "/2.2/poll",
                                                 "/m1/poll", "/m2/poll"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_commit_that_fails_makes_the_effect_again)
{
    int payments = 0;
    const auto step = [&](door_run& run) {
        return pays_once(run, &payments);
    };
    test_run run;
    BOOST_TEST(run.fail_commits().call(step).threw());
    BOOST_TEST(run.effects().empty());
    BOOST_TEST(run.fail_commits(false).attempt(2).call(step).moved_to<state::open>());
    BOOST_TEST(payments == 2);
}

BOOST_AUTO_TEST_CASE(the_handler_sees_what_the_test_says)
{
    test_run run;
    const pawl::time_point at{1h};
    run.foreign_id("back").status(state::knocking).attempt(4).now(at);
    run.trace_parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    const auto outcome = run.call([&](door_run& seen) -> pawl::step<state::open> {
        BOOST_TEST(seen.foreign_id() == "back");
        BOOST_TEST((seen.status<state>() == state::knocking));
        BOOST_TEST(seen.attempt() == 4);
        BOOST_TEST((seen.now() == at));
        BOOST_TEST(seen.idempotency_key("x") == to_string(seen.id()) + "/2.1/x");
        BOOST_TEST(seen.trace_parent().find("4bf92f3577b34da6a3ce929d0e0e4736") == 3u);
        seen.log(pawl::log_level::info, "hello");
        asio::steady_timer timer{co_await asio::this_coro::executor, 0s};
        co_await timer.async_wait(asio::use_awaitable);
        co_return pawl::to<state::open>;
    });
    outcome.rethrow();
    BOOST_TEST(outcome.moved_to<state::open>());
    BOOST_TEST(run.log_lines() == std::vector<std::string>{"hello"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
