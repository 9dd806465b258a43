// Pauses: which kind, how they end, and what a resumed run begins with.
#include "core/decide_support.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(decide_pauses)

using namespace decide_test;
using pawl::message_kind;
using pawl::pause_kind;
using pawl::run_state;

namespace {

constexpr std::uint64_t asked = 4;

pawl::record paused_by_error(pawl::record run, pawl::time_point now)
{
    return after(run, handler_failed{from_step{}, "no", true}, now);
}

command_received command(message_kind kind)
{
    return {asked, kind, "asked"};
}

} // namespace

BOOST_AUTO_TEST_CASE(an_error_pause_ends_by_itself_a_bounded_number_of_times)
{
    auto now = t0;
    auto run = paused_by_error(run_in(created), now);
    for (int resumes = 1; resumes <= 2; ++resumes) {
        BOOST_TEST((run.resume_at == now + 1h));
        BOOST_TEST((run.wake_at == now + 1h));
        now += 1h;
        run = after(run, pause_elapsed{}, now);
        BOOST_TEST(run.state == run_state::running);
        BOOST_TEST(run.auto_resumes == resumes);
        BOOST_TEST(run.attempt == 0);
        BOOST_TEST((run.wake_at.value() <= now));
        BOOST_TEST(run.last_error == "no"); // not cleared: no progress yet
        run = paused_by_error(run, now);
    }
    BOOST_TEST(run.pause == pause_kind::by_error);
    BOOST_TEST(!run.resume_at.has_value());
    BOOST_TEST(!run.wake_at.has_value());
    // Somebody's resume begins the count anew, and so does progress.
    auto resumed = after(run, command(message_kind::resume), now);
    BOOST_TEST(resumed.auto_resumes == 0);
    BOOST_TEST(paused_by_error(resumed, now).resume_at.has_value());
    resumed.auto_resumes = 2;
    BOOST_TEST(after(resumed, moves_to(waiting), now).auto_resumes == 0);
}

BOOST_AUTO_TEST_CASE(a_workflow_may_leave_error_pauses_alone)
{
    auto rules = orders();
    rules.resume_after = pawl::duration::zero();
    const handler_failed failed{from_step{}, "no", true};
    auto run = decide(run_in(created), rules, failed, t0, arm_at(t0))->next;
    BOOST_TEST(run.pause == pause_kind::by_error);
    BOOST_TEST(!run.resume_at.has_value());
    rules.resume_after = 1h;
    rules.max_auto_resumes = 0;
    run = decide(run_in(created), rules, failed, t0, arm_at(t0))->next;
    BOOST_TEST(!run.resume_at.has_value());
}

BOOST_AUTO_TEST_CASE(an_operators_pause_never_ends_by_itself_and_takes_the_place_of_an_errors)
{
    auto run = after(run_in(created), command(message_kind::pause));
    BOOST_TEST(run.pause == pause_kind::by_request);
    BOOST_TEST(!run.resume_at.has_value());
    BOOST_TEST(!run.wake_at.has_value());
    BOOST_TEST(!decided(run, pause_elapsed{}).has_value());
    run = after(paused_by_error(run_in(created), t0), command(message_kind::pause));
    BOOST_TEST(run.pause == pause_kind::by_request);
    BOOST_TEST(!run.resume_at.has_value());
    BOOST_TEST(run.reason == "asked");
    BOOST_TEST(run.last_error == "no");
    BOOST_TEST(
        (after(run_in(created), returned(next_kind::pause)).pause == pause_kind::by_request));
}

BOOST_AUTO_TEST_CASE(a_resume_ends_the_back_off_and_keeps_lag_and_repeats)
{
    const auto now = t0 + 10min;
    const auto pause_and_resume = [&](const pawl::record& run) {
        return after(after(run, command(message_kind::pause), now), command(message_kind::resume),
                     now + 1min);
    };
    auto run = after(run_in(created), handler_failed{from_step{}, "no", false}, now);
    BOOST_REQUIRE(run.not_before.has_value());
    run = pause_and_resume(run);
    BOOST_TEST(run.attempt == 0);
    BOOST_TEST(!run.not_before.has_value());
    BOOST_TEST((run.wake_at == now + 1min));

    run = pause_and_resume(after(run_in(created), moves_to(shipping), now));
    BOOST_TEST((run.not_before == now + 1h));
    BOOST_TEST((run.wake_at == now + 1h));

    run = pause_and_resume(after(run_in(created), repeats_after(2h), now));
    BOOST_TEST((run.not_before == now + 2h));
}

BOOST_AUTO_TEST_CASE(a_resume_leaves_visit_deadlines_object_and_a_skipped_step_alone)
{
    auto run = run_in(waiting, run_state::paused);
    run.step_done = true;
    run.deadlines[0].attempt = 2;
    run.effects = {{"charge", "1", false}};
    const auto now = t0 + 90min;
    const auto resumed = after(run, command(message_kind::resume), now);
    BOOST_TEST(resumed.visit == run.visit);
    BOOST_TEST((resumed.entered_at == run.entered_at));
    BOOST_TEST(resumed.step_done);
    BOOST_TEST(resumed.object == "old");
    BOOST_TEST(resumed.effects.size() == 1u);
    const std::vector<pawl::deadline> deadlines{{"timeout", t0 + 1h, 0}, {"timeout-2", t0 + 2h, 0}};
    BOOST_TEST((resumed.deadlines == deadlines));
    // The first has passed meanwhile and is due.
    BOOST_TEST((resumed.wake_at == t0 + 1h));
}

BOOST_AUTO_TEST_CASE(a_pause_of_a_step_runs_it_again_after_the_resume)
{
    auto run = after(run_in(created), returned(next_kind::pause));
    BOOST_TEST(run.reason == "because");
    run = after(run, command(message_kind::resume), t0 + 1h);
    BOOST_TEST(!run.step_done);
    BOOST_TEST((run.wake_at == t0 + 1h));
    BOOST_TEST(run.reason == "asked");
    BOOST_TEST((next_action(run, orders(), {}, t0 + 1h).kind == need::step));
}

BOOST_AUTO_TEST_CASE(a_cancelled_pause_leaves_nothing_behind)
{
    auto run = paused_by_error(run_in(shipping), t0);
    run = paused_by_error(run_in(created), t0);
    run = after(run, command(message_kind::cancel));
    BOOST_TEST(run.pause == pause_kind::none);
    BOOST_TEST(!run.resume_at.has_value());
    BOOST_TEST(!run.wake_at.has_value());
}

BOOST_AUTO_TEST_CASE(a_resume_ends_the_back_off_of_a_run_that_a_callback_paused)
{
    auto run = after(run_in(created), handler_failed{from_step{}, "no", false}, t0);
    BOOST_REQUIRE(run.not_before.has_value());
    pawl::detail::next_value pause{pawl::detail::next_kind::pause, 0, {}, "to look"};
    run = after(run, handler_returned{from_callback{1}, std::move(pause), run.object}, t0);
    BOOST_TEST_REQUIRE(run.state == run_state::paused);
    run = after(run, command(message_kind::resume), t0);
    BOOST_TEST(!run.not_before.has_value());
    BOOST_TEST((run.wake_at == t0));
}

BOOST_AUTO_TEST_SUITE_END()
