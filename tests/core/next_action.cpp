// What a run needs next, in which order, and when it needs an engine at all. The two must agree: a
// run that is due has something to do, or is told apart by message_deferred.
#include "core/decide_support.hpp"

using namespace decide_test;
using pawl::message_kind;
using pawl::pause_kind;
using pawl::run_state;

namespace {

action needed(const pawl::record& run, std::vector<pawl::message> inbox = {},
              pawl::time_point now = t0 + 1min)
{
    return next_action(run, orders(), inbox, now);
}

std::optional<pawl::time_point> wake_of(const pawl::record& run, pawl::time_point now = t0 + 1min,
                                        std::optional<pawl::time_point> next_expiry = {})
{
    return wake_time(run, orders(), now, next_expiry);
}

const action nothing{};

} // namespace

BOOST_AUTO_TEST_SUITE(next_actions)

BOOST_AUTO_TEST_CASE(a_runnable_step_runs_unless_it_must_wait_or_was_skipped)
{
    auto run = run_in(created);
    BOOST_TEST((needed(run) == action{need::step}));
    BOOST_TEST((needed(run_in(created, run_state::initiated)) == action{need::step}));
    run.not_before = t0 + 2min;
    BOOST_TEST((needed(run) == nothing));
    BOOST_TEST((needed(run, {}, t0 + 2min) == action{need::step}));
    run.not_before.reset();
    run.step_done = true;
    BOOST_TEST((needed(run) == nothing));
    BOOST_TEST((needed(run_in(waiting)) == nothing)); // it has no step
    BOOST_TEST((needed(run_in(unknown)) == action{need::newer_program}));
}

BOOST_AUTO_TEST_CASE(paused_and_finished_runs_need_nothing)
{
    for (const auto state :
         {run_state::paused, run_state::cancelled, run_state::completed, run_state::data_deleted}) {
        auto run = run_in(created, state);
        run.deadlines = {{"timeout", t0, 0}};
        BOOST_TEST((needed(run, {callback_of(1, "paid")}) == nothing));
    }
}

BOOST_AUTO_TEST_CASE(passed_deadlines_go_before_the_step_the_earliest_first)
{
    auto run = run_in(waiting);
    BOOST_TEST((needed(run, {}, t0 + 1h - 1us) == nothing));
    BOOST_TEST((needed(run, {}, t0 + 1h) == action{need::timeout, 0}));
    BOOST_TEST((needed(run, {}, t0 + 3h) == action{need::timeout, 0}));
    run.deadlines[0].at = t0 + 2h + 1s;
    BOOST_TEST((needed(run, {}, t0 + 3h) == action{need::timeout, 1}));
    run.deadlines.push_back({"escalate", t0 + 3h, 0}); // of another program
    BOOST_TEST((needed(run, {}, t0 + 3h) == action{need::timeout, 1}));
    run.deadlines.erase(run.deadlines.begin(), run.deadlines.begin() + 2);
    BOOST_TEST((needed(run, {}, t0 + 3h) == action{need::unknown_timeout, 0}));
    BOOST_TEST((needed(run, {}, t0 + 2h) == nothing));
}

BOOST_AUTO_TEST_CASE(commands_go_before_callbacks_each_in_their_order)
{
    const auto pause = message_of(2, message_kind::pause);
    const auto paid = callback_of(1, "paid");
    auto run = run_in(waiting);
    run.deadlines[0].at = t0;
    BOOST_TEST((needed(run, {paid, callback_of(2, "note")}) == action{need::callback, 0, 0}));
    BOOST_TEST((needed(run, {paid, pause}) == action{need::command, 0, 1}));
    BOOST_TEST((needed(run, {pause, paid}) == action{need::command, 0, 0}));
    BOOST_TEST(
        (needed(run, {pause, message_of(3, message_kind::resume)}) == action{need::command, 0, 0}));
    BOOST_TEST((needed(run_in(created), {message_of(1, message_kind::cancel)}) ==
                action{need::command, 0, 0}));
}

BOOST_AUTO_TEST_CASE(a_passed_deadline_goes_before_callbacks_that_were_sent_after_it)
{
    auto run = run_in(waiting);
    const auto in_time = callback_of(1, "paid");
    auto late = in_time;
    late.sent_at = t0 + 1us;
    run.deadlines[0].at = t0;
    BOOST_TEST((needed(run, {in_time}) == action{need::callback, 0, 0}));
    BOOST_TEST((needed(run, {late}) == action{need::timeout, 0}));
    BOOST_TEST((needed(run, {late}, t0 - 1us) == action{need::callback, 0, 0}));
}

BOOST_AUTO_TEST_CASE(many_callbacks_in_a_row_let_deadlines_and_the_step_go_first)
{
    auto rules = orders();
    rules.statuses[1].step.emplace(); // of waiting
    auto run = run_in(waiting);
    const std::vector<pawl::message> paid{callback_of(1, "paid")};
    const auto after_callbacks = [&](int callbacks) {
        return next_action(run, rules, paid, t0 + 1min, callbacks);
    };
    const action callback{need::callback, 0, 0};
    BOOST_TEST((after_callbacks(max_callbacks_in_a_row - 1) == callback));
    BOOST_TEST((after_callbacks(max_callbacks_in_a_row) == action{need::step}));
    run.deadlines[0].at = t0 + 1s;
    BOOST_TEST((after_callbacks(max_callbacks_in_a_row - 1) == callback));
    BOOST_TEST((after_callbacks(max_callbacks_in_a_row) == action{need::timeout, 0}));
    run.deadlines.clear();
    run.not_before = t0 + 1h;
    BOOST_TEST((after_callbacks(max_callbacks_in_a_row) == callback));
}

BOOST_AUTO_TEST_CASE(a_step_waits_for_a_timeout_that_is_failing)
{
    auto rules = orders();
    rules.statuses[1].step.emplace(); // of waiting
    auto run = run_in(waiting);
    run.deadlines = {{"timeout", t0 + 1h, 1}};
    BOOST_TEST((next_action(run, rules, {}, t0) == nothing));
    BOOST_TEST((wake_time(run, rules, t0) == t0 + 1h));
    BOOST_TEST((next_action(run, rules, {}, t0 + 1h) == action{need::timeout, 0}));
    run.deadlines[0].attempt = 0;
    BOOST_TEST((next_action(run, rules, {}, t0) == action{need::step}));
    // One that is kept for a newer program holds up nothing.
    run.deadlines = {{"of a newer program", t0 + 1h, 1}};
    BOOST_TEST((next_action(run, rules, {}, t0) == action{need::step}));
}

BOOST_AUTO_TEST_CASE(a_step_of_a_newer_program_keeps_its_run_due)
{
    auto run = run_in(waiting); // which has no step here
    run.deadlines.clear();
    run.step_done = false;
    run.not_before = t0 + 1h;
    const auto need_of = [&](pawl::time_point now) {
        return next_action(run, orders(), {}, now, 0, true);
    };
    BOOST_TEST((need_of(t0) == nothing));
    BOOST_TEST((wake_time(run, orders(), t0, {}, true) == t0 + 1h));
    BOOST_TEST((need_of(t0 + 1h) == action{need::newer_program}));
    // Without a newer program it is this one's step that was removed.
    BOOST_TEST((next_action(run, orders(), {}, t0 + 1h) == nothing));
    BOOST_TEST((wake_time(run, orders(), t0) != t0 + 1h));
    run.step_done = true;
    BOOST_TEST((need_of(t0 + 1h) == nothing));
    BOOST_TEST((wake_time(run, orders(), t0, {}, true) != t0 + 1h));
}

BOOST_AUTO_TEST_CASE(a_callback_that_the_status_does_not_take_is_passed_over_and_stays)
{
    const auto paid = callback_of(1, "paid");
    BOOST_TEST((needed(run_in(created), {paid}) == action{need::step}));
    BOOST_TEST((needed(run_in(created), {paid, message_of(2, message_kind::cancel)}) ==
                action{need::command, 0, 1}));
    BOOST_TEST((needed(run_in(waiting), {callback_of(1, "other"), callback_of(2, "note")}) ==
                action{need::callback, 0, 1}));
    BOOST_TEST((needed(run_in(unknown), {paid}) == action{need::newer_program}));
}

BOOST_AUTO_TEST_CASE(a_callback_that_waits_for_its_next_attempt_holds_up_callbacks_only)
{
    auto run = run_in(waiting);
    run.callback_retries = {{2, 1, t0 + 5min}};
    const std::vector<pawl::message> inbox{callback_of(1, "other"), callback_of(2, "paid"),
                                           callback_of(3, "note"),
                                           message_of(4, message_kind::pause)};
    BOOST_TEST((needed(run, inbox) == action{need::command, 0, 3}));
    BOOST_TEST((needed(run, {inbox[1], inbox[2]}) == nothing));
    BOOST_TEST((needed(run, {inbox[1], inbox[2]}, t0 + 5min) == action{need::callback, 0, 0}));
    // Those before it do not wait, nor do those behind one that the status does not take.
    BOOST_TEST((needed(run, {callback_of(1, "note"), inbox[1]}) == action{need::callback, 0, 0}));
    BOOST_TEST((needed(run, {callback_of(2, "other"), inbox[2]}) == action{need::callback, 0, 1}));
    run.deadlines[0].at = t0;
    BOOST_TEST((needed(run, {inbox[1]}) == action{need::timeout, 0}));
    auto stepping = run_in(created);
    stepping.callback_retries = run.callback_retries;
    BOOST_TEST((needed(stepping, {inbox[1]}) == action{need::step}));
}

BOOST_AUTO_TEST_CASE(a_paused_run_takes_commands_and_expiries_only)
{
    const auto run = run_in(waiting, run_state::paused);
    const auto paid = callback_of(1, "paid", t0 + 1h);
    const auto resume = message_of(2, message_kind::resume);
    BOOST_TEST((needed(run, {paid}) == nothing));
    BOOST_TEST((needed(run, {paid, resume}) == action{need::command, 0, 1}));
    BOOST_TEST((needed(run, {paid}, t0 + 1h) == action{need::expire_message, 0, 0}));
}

BOOST_AUTO_TEST_CASE(an_expired_message_is_not_handled_any_more)
{
    const auto late = callback_of(1, "paid", t0 + 1min);
    BOOST_TEST((needed(run_in(waiting), {late}, t0 + 1min - 1us) == action{need::callback, 0, 0}));
    BOOST_TEST((needed(run_in(waiting), {late}, t0 + 1min) == action{need::expire_message, 0, 0}));
    // Also behind one that must wait.
    BOOST_TEST((needed(run_in(created), {callback_of(1, "paid"), callback_of(2, "paid", t0)}) ==
                action{need::expire_message, 0, 1}));
}

BOOST_AUTO_TEST_CASE(a_finished_run_takes_commands_and_is_scrubbed_when_asked)
{
    const auto again = message_of(1, message_kind::delete_data);
    BOOST_TEST(
        (needed(run_in(done, run_state::completed), {again}) == action{need::command, 0, 0}));
    const auto asked = run_in(done, run_state::requested_data_deleted);
    BOOST_TEST((needed(asked, {again}) == action{need::command, 0, 0}));
    BOOST_TEST((needed(asked) == action{need::scrub}));
    BOOST_TEST((needed(run_in(unknown, run_state::requested_data_deleted)) == action{need::scrub}));
}

BOOST_AUTO_TEST_CASE(an_error_pause_ends_at_its_time)
{
    auto run = run_in(created, run_state::paused);
    run.pause = pause_kind::by_error;
    run.resume_at = t0 + 1h;
    BOOST_TEST((needed(run, {}, t0 + 1h - 1us) == nothing));
    BOOST_TEST((needed(run, {}, t0 + 1h) == action{need::resume}));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(wake_times)

BOOST_AUTO_TEST_CASE(a_runnable_step_is_due_now_or_when_it_may_run)
{
    auto run = run_in(created);
    BOOST_TEST((wake_of(run) == t0 + 1min));
    run.not_before = t0 + 1h;
    BOOST_TEST((wake_of(run) == t0 + 1h));
    run.step_done = true;
    BOOST_TEST(!wake_of(run).has_value());
    run.deadlines = {{"timeout", t0 + 5h, 0}, {"timeout-2", t0 + 3h, 0}};
    BOOST_TEST((wake_of(run) == t0 + 3h));
    run.step_done = false;
    BOOST_TEST((wake_of(run) == t0 + 1h));
}

BOOST_AUTO_TEST_CASE(a_message_that_expires_counts_while_the_run_is_unfinished)
{
    BOOST_TEST((wake_of(run_in(waiting), t0, t0 + 5min) == t0 + 5min));
    BOOST_TEST((wake_of(run_in(waiting), t0, t0 + 5h) == t0 + 1h));
    BOOST_TEST((wake_of(run_in(waiting, run_state::paused), t0, t0 + 5min) == t0 + 5min));
    BOOST_TEST((wake_of(run_in(unknown), t0, t0 + 5min) == t0));
    BOOST_TEST(!wake_of(run_in(done, run_state::completed), t0).has_value());
}

BOOST_AUTO_TEST_CASE(a_command_keeps_a_finished_run_due_but_not_one_that_finishes)
{
    const std::vector<pawl::message> inbox{message_of(4, message_kind::delete_data)};
    auto child = run_in(done, run_state::completed);
    child.parent = pawl::parent_link{child.id, "ended"};
    BOOST_TEST((after(child, parent_notified{}, t0, {4, inbox}).wake_at == t0));
    const auto ended = after(run_in(created), moves_to(done), t0, {4, inbox});
    BOOST_TEST(!ended.wake_at.has_value());
}

BOOST_AUTO_TEST_CASE(a_message_that_the_transition_settles_does_not_count)
{
    const std::vector<pawl::message> inbox{callback_of(4, "other", t0 + 5min),
                                           callback_of(5, "other", t0 + 7min),
                                           callback_of(6, "other")};
    auto run = after(run_in(waiting), handler_failed{from_callback{4}, "no", true}, t0, {6, inbox});
    BOOST_TEST((run.wake_at == t0 + 7min));
    run = after(run_in(waiting), message_expired{5}, t0 + 1min, {6, inbox});
    BOOST_TEST((run.wake_at == t0 + 5min));
    const std::vector<pawl::message> only{callback_of(4, "other", t0 + 5min)};
    run = after(run_in(waiting), message_expired{4}, t0 + 5min, {4, only});
    BOOST_TEST((run.wake_at == t0 + 1h));
}

BOOST_AUTO_TEST_CASE(a_run_is_due_when_its_failed_callback_is_called_again_or_expires)
{
    const std::vector<pawl::message> paid{callback_of(4, "paid"), callback_of(5, "note")};
    const handler_failed failed{from_callback{4}, "no", false};
    auto run = after(run_in(waiting), failed, t0, {5, paid});
    BOOST_TEST((run.callback_retries.at(0).not_before > t0));
    BOOST_TEST((run.wake_at == run.callback_retries.at(0).not_before));
    const std::vector<pawl::message> late{callback_of(4, "paid"), callback_of(5, "note", t0 + 1us)};
    run = after(run_in(waiting), failed, t0, {5, late});
    BOOST_TEST((run.wake_at == t0 + 1us));
}

BOOST_AUTO_TEST_CASE(a_run_that_can_take_a_waiting_message_now_is_due)
{
    // Known to the maker of the transition, who may end before the next one.
    const auto now = t0 + 1min;
    const std::vector<pawl::message> paid{callback_of(4, "paid", t0 + 5min)};
    auto run = after(run_in(created), moves_to(waiting), now, {4, paid});
    BOOST_TEST((run.wake_at == now));
    run = after(run_in(waiting, run_state::paused), command_received{5, message_kind::resume, {}},
                now, {5, paid});
    BOOST_TEST((run.wake_at == now));
    // Still held up, or never to be taken.
    run = after(run_in(waiting), command_received{5, message_kind::pause, {}}, now, {5, paid});
    BOOST_TEST((run.wake_at == t0 + 5min));
    run = after(run_in(created), moves_to(shipping), now, {4, paid});
    BOOST_TEST((run.wake_at == t0 + 5min));
    run = after(run_in(created), moves_to(done), now, {4, paid});
    BOOST_TEST(!run.wake_at.has_value());
    // A command behind the one that is settled.
    const std::vector<pawl::message> both{message_of(4, message_kind::pause),
                                          message_of(5, message_kind::resume)};
    run = after(run_in(waiting), command_received{4, message_kind::pause, {}}, now, {5, both});
    BOOST_TEST((run.wake_at == now));
}

BOOST_AUTO_TEST_CASE(pauses_and_ends)
{
    auto run = run_in(waiting, run_state::paused);
    BOOST_TEST(!wake_of(run).has_value()); // its deadlines wait for the resume
    run.pause = pause_kind::by_error;
    run.resume_at = t0 + 2h;
    BOOST_TEST((wake_of(run) == t0 + 2h));
    for (const auto state : {run_state::cancelled, run_state::completed, run_state::data_deleted})
        BOOST_TEST(!wake_of(run_in(created, state)).has_value());
    BOOST_TEST((wake_of(run_in(done, run_state::requested_data_deleted)) == t0 + 1min));
    BOOST_TEST((wake_of(run_in(unknown)) == t0 + 1min)); // for a program that has the status
}

BOOST_AUTO_TEST_CASE(a_run_that_stays_runnable_keeps_its_place)
{
    auto run = run_in(created);
    run.wake_at = t0 - 5min;
    BOOST_TEST((wake_of(run) == t0 - 5min));
    BOOST_TEST((after(run, moves_to(created)).wake_at == t0 - 5min));
    BOOST_TEST((after(run, checkpoint_wanted{"new", {}}).wake_at == t0 - 5min));
    // One that was not due, or is not any more, gets a new one.
    run.wake_at = t0 + 5min;
    BOOST_TEST((wake_of(run) == t0 + 1min));
    run.wake_at.reset();
    BOOST_TEST((wake_of(run) == t0 + 1min));
    run.wake_at = t0 - 5min;
    BOOST_TEST((after(run, moves_to(shipping), t0).wake_at == t0 + 1h));
    BOOST_TEST(!after(run, moves_to(done)).wake_at.has_value());
}

BOOST_AUTO_TEST_CASE(a_run_that_is_due_has_something_to_do)
{
    // Each way to be due, against the choice of what to do at that time.
    std::vector<pawl::record> runs{run_in(created),
                                   run_in(created, run_state::initiated),
                                   run_in(waiting),
                                   run_in(shipping),
                                   run_in(unknown),
                                   run_in(done, run_state::requested_data_deleted),
                                   run_in(created, run_state::cancelled)};
    auto error_pause = run_in(created, run_state::paused);
    error_pause.pause = pause_kind::by_error;
    error_pause.resume_at = t0 + 1h;
    runs.push_back(error_pause);
    auto backing_off = run_in(created);
    backing_off.not_before = t0 + 30s;
    runs.push_back(backing_off);
    auto skipped = backing_off;
    skipped.step_done = true;
    runs.push_back(skipped);
    const std::vector<pawl::message> inbox{callback_of(1, "other", t0 + 45min)};
    for (const auto& run : runs) {
        const auto expiry = inbox[0].expires_at;
        const auto wake = wake_time(run, orders(), t0, expiry);
        if (!wake)
            continue;
        BOOST_TEST((next_action(run, orders(), inbox, *wake) != nothing));
        if (*wake > t0)
            BOOST_TEST((next_action(run, orders(), inbox, *wake - 1us) == nothing));
    }
}

BOOST_AUTO_TEST_SUITE_END()
