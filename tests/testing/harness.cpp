// The harness: an engine in one line, time in the test's hands, and failures that say what was.
#include "pawl/testing/harness.hpp"
#include "doors.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <optional>

#ifdef PAWL_HAS_SQLITE
#include "pawl/sqlite.hpp"
#include "printing.hpp"
#endif

BOOST_AUTO_TEST_SUITE(harness_)

using namespace testing_test;

namespace {

using harness = pawl::testing::harness<door, state>;

bool says(const std::exception& thrown, const std::string& words)
{
    return std::string{thrown.what()}.find(words) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_whole_life)
{
    pawl::testing::harness test{doors()};
    const auto begun = test.now();
    const auto run = test.trigger("front", {.name = "front"});
    BOOST_TEST((test.find(run).attempt == 1));
    BOOST_TEST((test.await(run, {state::knocking}).status == state::knocking));
    BOOST_TEST((test.now() - begun == 2min));
    BOOST_TEST((test.callback(run, "enter", std::string{"ada"}).outcome ==
                pawl::message_outcome::handled));
    test.advance(59min);
    BOOST_TEST((test.find(run).status == state::open));
    test.advance(1min);
    const auto end = test.find(run);
    BOOST_TEST((end.status == state::shut));
    BOOST_TEST(end.object.visitors == std::vector<std::string>{"ada"},
               boost::test_tools::per_element());
    BOOST_TEST(test.history(run).size() == 6u);
}

BOOST_AUTO_TEST_CASE(a_callback_when_its_status_has_come)
{
    harness test{doors()};
    const auto run = test.trigger("front");
    test.callback_on(run, state::knocking, "enter", std::string{"ada"});
    BOOST_TEST((test.await_finished(run).status == state::shut));
}

BOOST_AUTO_TEST_CASE(waits_that_end_on_the_way_end_in_their_order)
{
    harness test{doors()};
    const auto run = test.trigger("front");
    test.advance(24h); // a retry after a minute, another one after that
    BOOST_TEST((test.find(run).status == state::knocking));
}

BOOST_AUTO_TEST_CASE(what_cannot_come_is_a_failure_that_tells_where_the_run_stands)
{
    harness test{doors()};
    const auto run = test.trigger("front");
    BOOST_CHECK_EXCEPTION(
        test.await(run, {state::open}), pawl::testing::failure, [](const auto& e) {
            return says(e, "\"front\"") && says(e, "Running in status knocking") &&
                   says(e, "attempt_failed") && says(e, "nobody hears");
        });
    BOOST_CHECK_EXCEPTION(test.await_finished(run), pawl::testing::failure,
                          [](const auto& e) { return says(e, "did not finish"); });
    test.callback(run, "enter", std::string{"ada"});
    BOOST_CHECK_EXCEPTION(test.await(run, {state::closed}), pawl::testing::failure,
                          [](const auto& e) { return says(e, "Completed in status shut"); });
    BOOST_CHECK_EXCEPTION(test.find(pawl::run_id{}), pawl::testing::failure,
                          [](const auto& e) { return says(e, "there is no run"); });
}

BOOST_AUTO_TEST_CASE(an_operation_that_waits_for_time_does_not_hang)
{
    harness test{doors()};
    const auto run = test.trigger("front");
    // The callback waits in the inbox until the run knocks.
    BOOST_CHECK_EXCEPTION(test.callback(run, "enter", std::string{"ada"}), pawl::testing::failure,
                          [](const auto& e) { return says(e, "call advance()"); });
    test.advance(2min); // the message was stored all the same
    BOOST_TEST((test.find(run).status == state::open));
}

BOOST_AUTO_TEST_CASE(errors_of_pawl_are_thrown)
{
    harness test{doors()};
    const auto run = test.trigger("front");
    BOOST_CHECK_EXCEPTION(test.trigger("front"), pawl::system_error,
                          [](const auto& e) { return e.code() == pawl::errc::already_running; });
    BOOST_CHECK_EXCEPTION(test.callback_on(run, state::knocking, "enter", std::string{}),
                          pawl::system_error,
                          [](const auto& e) { return e.code() == pawl::errc::callback_failed; });
}

BOOST_AUTO_TEST_CASE(a_restart_goes_on_where_the_store_is)
{
    harness test{doors()};
    const auto run = test.trigger("front");
    test.restart();
    BOOST_TEST((test.await(run, {state::knocking}).status == state::knocking));
    test.restart();
    test.callback(run, "enter", std::string{"ada"});
    test.restart();
    BOOST_TEST((test.await_finished(run).status == state::shut));
}

BOOST_AUTO_TEST_CASE(the_log_is_kept)
{
    harness test{doors()};
    test.trigger("front");
    BOOST_REQUIRE(test.log().size() == 1u);
    BOOST_TEST(test.log().front().find("warning: a handler failed") == 0u);
    BOOST_TEST(test.log().front().find("nobody hears") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(patience_and_the_engines_options_may_be_set)
{
    pawl::testing::harness_options options;
    options.max_simulated_time = 90s;
    options.engine.max_active_runs = 1;
    harness test{doors(), options};
    const auto run = test.trigger("front");
    BOOST_CHECK_THROW(test.await(run, {state::knocking}), pawl::testing::failure);
}

#ifdef PAWL_HAS_SQLITE
BOOST_AUTO_TEST_CASE(a_store_with_threads_will_do)
{
    pawl::testing::harness_options options;
    options.engine.store = pawl::open_sqlite(":memory:");
    options.real_time_timeout = 10s;
    harness test{doors(), options};
    const auto run = test.trigger("front");
    BOOST_TEST(test.find(run).state != pawl::run_state::completed);
}
#endif

BOOST_AUTO_TEST_CASE(a_run_that_never_waits_is_a_failure_that_names_it)
{
    const auto spins = [](door_run&) -> pawl::step<state::shut> {
        co_return pawl::repeat_after(0s);
    };
    pawl::builder<door, state> b{"spinning"};
    b.step<state::closed>(spins);
    b.end<state::shut>();
    harness test{std::move(b).build()};
    const auto names_it = [](const pawl::testing::failure& e) {
        return says(e, "spinning") && says(e, "\"front\"") && says(e, "max_commits");
    };
    BOOST_CHECK_EXCEPTION(test.trigger("front"), pawl::testing::failure, names_it);
    BOOST_CHECK_EXCEPTION(test.advance(1min), pawl::testing::failure, names_it);
}

BOOST_AUTO_TEST_CASE(many_commits_over_time_are_no_endless_loop)
{
    const auto polls = [](door_run&) -> pawl::step<state::shut> {
        co_return pawl::repeat_after(1min);
    };
    pawl::builder<door, state> b{"polling"};
    b.step<state::closed>(polls);
    b.end<state::shut>();
    harness test{std::move(b).build(), {.max_commits = 10}};
    const auto run = test.trigger("front");
    test.advance(1h);
    BOOST_TEST(test.history(run).size() > 50u);
}

BOOST_AUTO_TEST_CASE(handlers_that_never_end_are_a_failure)
{
    std::function<void()> again; // outlives the harness, which runs what is left
    harness test{doors(), {.max_turns = 1000}};
    again = [&] {
        boost::asio::post(test.context(), again);
    };
    again();
    BOOST_CHECK_EXCEPTION(test.run_until_idle(), pawl::testing::failure,
                          [](const auto& e) { return says(e, "max_turns"); });
    again = [] {
    };
}

namespace {

std::vector<std::string> kept_lines;

void keep_line(const pawl::log_entry& entry)
{
    kept_lines.push_back(to_string(entry));
}

pawl::step<state::shut> never(door_run&,
                              std::optional<boost::asio::any_completion_handler<void()>>* held)
{
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
        [](auto handler, auto* to) { to->emplace(std::move(handler)); }, boost::asio::use_awaitable,
        held);
    co_return pawl::to<state::shut>;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_log_sink_of_the_tests_own_is_kept)
{
    kept_lines.clear();
    harness test{doors(), {.engine = {.log = keep_line}}};
    test.trigger("front"); // fails at first
    BOOST_TEST(!kept_lines.empty());
    BOOST_TEST(test.log().empty());
}

BOOST_AUTO_TEST_CASE(a_handler_that_never_ends_does_not_end_the_program)
{
    // Of the test, so that it outlives the harness. The rest is left where it is.
    static auto* const held = new std::optional<boost::asio::any_completion_handler<void()>>;
    pawl::builder<door, state> b{"stuck"};
    b.step<state::closed>([](door_run& run) { return never(run, held); });
    b.end<state::shut>();
    {
        harness test{std::move(b).build()};
        test.trigger("front");
    }
    BOOST_TEST(held->has_value());
}

BOOST_AUTO_TEST_SUITE_END()
