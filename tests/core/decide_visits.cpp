// What a run carries through its visits: attempts and their back-off, start_delay and repeats,
// deadlines, and the recorded effects.
#include "core/decide_support.hpp"
#include "printing.hpp"

#include <algorithm>
#include <limits>

using namespace decide_test;
using pawl::pause_kind;
using pawl::run_state;

namespace {

handler_failed step_failed(bool permanent = false)
{
    return {from_step{}, "no", permanent};
}

handler_failed timeout_failed(int timeout, bool permanent = false)
{
    return {from_timeout{timeout}, "no", permanent};
}

/// A run with an effect of its visit and one of the whole run.
pawl::record with_effects(int status)
{
    auto run = run_in(status);
    run.effects = {{"charge", "1", false}, {"number", "2", true}};
    return run;
}

} // namespace

BOOST_AUTO_TEST_SUITE(decide_visits)

BOOST_AUTO_TEST_CASE(failed_attempts_are_counted_and_wait_longer_each_time_until_they_run_out)
{
    auto run = after(run_in(created), step_failed(), t0);
    BOOST_TEST(run.attempt == 1);
    BOOST_TEST(run.last_error == "no");
    BOOST_TEST((run.not_before == t0 + 1s));
    BOOST_TEST((run.wake_at == t0 + 1s));
    run = after(run, step_failed(), t0 + 1s);
    BOOST_TEST(run.attempt == 2);
    BOOST_TEST((run.not_before == t0 + 3s));
    BOOST_TEST(run.state == run_state::running);
    run = after(run, step_failed(), t0 + 3s);
    BOOST_TEST(run.attempt == 3);
    BOOST_TEST(run.state == run_state::paused);
    BOOST_TEST(run.pause == pause_kind::by_error);
    BOOST_TEST(run.reason == "no");
    BOOST_TEST((run.resume_at == t0 + 3s + 1h));
    BOOST_TEST((run.wake_at == run.resume_at));
}

BOOST_AUTO_TEST_CASE(a_permanent_error_uses_the_attempts_up_at_once)
{
    const auto paused = after(run_in(created), step_failed(true));
    BOOST_TEST(paused.attempt == 1);
    BOOST_TEST(paused.pause == pause_kind::by_error);
}

BOOST_AUTO_TEST_CASE(zero_max_attempts_repeat_for_ever)
{
    auto run = run_in(repairing);
    run.attempt = std::numeric_limits<int>::max() / 2;
    run = after(run, step_failed());
    BOOST_TEST(run.state == run_state::running);
    BOOST_TEST((run.not_before.value() <= run.updated_at + 66s));
}

BOOST_AUTO_TEST_CASE(used_up_attempts_go_to_the_declared_status_and_keep_their_error)
{
    auto run = run_in(shipping);
    run.attempt = 2;
    const auto change = decided(run, step_failed(), t0 + 5s);
    BOOST_REQUIRE(change.has_value());
    BOOST_TEST(change->kind == pawl::event_kind::moved);
    BOOST_TEST(change->from == shipping);
    const auto& next = change->next;
    BOOST_TEST(next.status == repairing);
    BOOST_TEST(next.state == run_state::running);
    BOOST_TEST(next.attempt == 0);
    BOOST_TEST(next.visit == run.visit + 1);
    BOOST_TEST(next.last_error == "no");
    BOOST_TEST(next.object == "old");
    // Also at once when the error must not be repeated, and to an end.
    BOOST_TEST(after(run_in(shipping), step_failed(true)).status == repairing);
    auto rules = orders();
    rules.statuses[2].step->exhausted = done;
    const auto ended = decide(run, rules, step_failed(), t0, arm_at(t0));
    BOOST_TEST(ended->kind == pawl::event_kind::completed);
    BOOST_TEST(ended->next.state == run_state::completed);
    BOOST_TEST(ended->next.last_error == "no");
}

BOOST_AUTO_TEST_CASE(progress_resets_the_count_and_the_error)
{
    auto run = run_in(created);
    run.attempt = 2;
    run.last_error = "before";
    run.auto_resumes = 1;
    run.not_before = t0;
    for (const auto& progress : {moves_to(waiting), repeats_after(5s), returned(next_kind::skip),
                                 returned(next_kind::pause), returned(next_kind::finish)}) {
        const auto next = after(run, progress);
        BOOST_TEST(next.attempt == 0);
        BOOST_TEST(next.last_error == "");
        BOOST_TEST(next.auto_resumes == 0);
    }
    // What a step saves in its middle is none: the attempt may still fail.
    const auto saved = after(run, checkpoint_wanted{"new", {}});
    BOOST_TEST(saved.attempt == 2);
    BOOST_TEST(saved.last_error == "before");
    BOOST_TEST(saved.auto_resumes == 1);
}

BOOST_AUTO_TEST_CASE(a_move_begins_a_visit)
{
    auto run = run_in(created);
    run.step_done = true;
    run.not_before = t0;
    const auto now = t0 + 1min;
    auto next = after(run, moves_to(shipping), now);
    BOOST_TEST(next.status == shipping);
    BOOST_TEST(next.visit == run.visit + 1);
    BOOST_TEST((next.entered_at == now));
    BOOST_TEST(!next.step_done);
    BOOST_TEST((next.not_before == now + 1h)); // its start_delay
    BOOST_TEST((next.wake_at == now + 1h));
    // Also one to the status where it is.
    next = after(run, moves_to(created), now);
    BOOST_TEST(next.visit == run.visit + 1);
    BOOST_TEST((next.entered_at == now));
    BOOST_TEST(!next.step_done);
    BOOST_TEST(!next.not_before.has_value());
    // A repeat, a failure and a saved object stay in theirs.
    for (const stimulus& stays : {stimulus{repeats_after(5s)}, stimulus{step_failed()},
                                  stimulus{checkpoint_wanted{"new", {}}}}) {
        BOOST_TEST(after(run, stays, now).visit == run.visit);
        BOOST_TEST((after(run, stays, now).entered_at == t0));
    }
}

BOOST_AUTO_TEST_CASE(a_start_waits_for_its_lag)
{
    const auto rules = orders();
    start_request request;
    request.status = shipping;
    const auto first = start(rules, request, t0, arm_at(t0)).next;
    BOOST_TEST((first.not_before == t0 + 1h));
    BOOST_TEST((first.wake_at == t0 + 1h));
    request.status = created;
    const auto at_once = start(rules, request, t0, arm_at(t0)).next;
    BOOST_TEST(!at_once.not_before.has_value());
    BOOST_TEST((at_once.wake_at == t0));
}

BOOST_AUTO_TEST_CASE(a_repeat_waits_and_a_skip_waits_for_others)
{
    const auto now = t0 + 1min;
    auto next = after(run_in(created), repeats_after(5s), now);
    BOOST_TEST((next.not_before == now + 5s));
    BOOST_TEST((next.wake_at == now + 5s));
    BOOST_TEST(!next.step_done);
    next = after(run_in(created), returned(next_kind::skip), now);
    BOOST_TEST(next.step_done);
    BOOST_TEST(!next.wake_at.has_value());
    next = after(run_in(created), repeats_after(-5s), now);
    BOOST_TEST((next.not_before == now - 5s));
}

BOOST_AUTO_TEST_CASE(a_span_that_means_never_does_not_come_round_to_the_past)
{
    constexpr auto never = pawl::duration::max();
    BOOST_TEST(
        (after(run_in(created), repeats_after(never)).not_before == pawl::time_point::max()));
    BOOST_TEST((after(run_in(created), repeats_after(pawl::duration::min())).not_before < t0));
    const auto next = after(run_in(waiting), repeats_after(never, from_timeout{0}));
    BOOST_TEST((next.deadlines.at(0).at == pawl::time_point::max()));
    auto rules = orders();
    rules.statuses[2].step->start_delay = never;
    rules.resume_after = never;
    auto change = decide(run_in(created), rules, moves_to(shipping), t0, arm_at(t0));
    BOOST_TEST((change->next.not_before == pawl::time_point::max()));
    change = decide(run_in(created), rules, step_failed(true), t0, arm_at(t0));
    BOOST_TEST((change->next.resume_at == pawl::time_point::max()));
}

BOOST_AUTO_TEST_CASE(deadlines_are_armed_on_entry_and_fall_away_on_leaving)
{
    const auto now = t0 + 10min;
    auto run = after(run_in(created), moves_to(waiting), now);
    const std::vector<pawl::deadline> armed{{"timeout", now + 1h, 0}, {"timeout-2", now + 2h, 0}};
    BOOST_TEST((run.deadlines == armed));
    BOOST_TEST((run.wake_at == now + 1h));
    // Callbacks that stay, failures and pauses leave them alone.
    for (const stimulus& stays : {stimulus{repeats_after(5s, from_callback{4})},
                                  stimulus{returned(next_kind::skip, from_callback{4})},
                                  stimulus{returned(next_kind::pause, from_callback{4})},
                                  stimulus{handler_failed{from_callback{4}, "no", false}},
                                  stimulus{command_received{4, pawl::message_kind::pause, {}}},
                                  stimulus{message_deferred{}}})
        BOOST_TEST((after(run, stays, now + 1min).deadlines == armed));
    BOOST_TEST(after(run, moves_to(shipping, from_callback{4}), now).deadlines.empty());
    BOOST_TEST(after(run, returned(next_kind::finish, from_callback{4}), now).deadlines.empty());
    BOOST_TEST(
        after(run, command_received{4, pawl::message_kind::cancel, {}}, now).deadlines.empty());
}

BOOST_AUTO_TEST_CASE(a_timeout_is_done_armed_again_or_tried_again_and_leaves_the_others)
{
    const auto now = t0 + 1h;
    const auto run = run_in(waiting);
    const pawl::deadline other{"timeout-2", t0 + 2h, 0};
    const auto deadlines_after = [&](stimulus event) {
        return after(run, std::move(event), now).deadlines;
    };
    using list = std::vector<pawl::deadline>;
    const from_timeout by{0};
    BOOST_TEST((deadlines_after(returned(next_kind::skip, by)) == list{other}));
    BOOST_TEST((deadlines_after(returned(next_kind::pause, by)) == list{other}));
    BOOST_TEST(
        (deadlines_after(repeats_after(5min, by)) == list{{"timeout", now + 5min, 0, 1}, other}));
    BOOST_TEST((deadlines_after(timeout_failed(0)) == list{{"timeout", now + 1s, 1}, other}));
    BOOST_TEST((deadlines_after(moves_to(created, by)).empty()));
    BOOST_TEST((after(run, returned(next_kind::skip, by), now).wake_at == t0 + 2h));
    BOOST_TEST((after(run, timeout_failed(0), now).wake_at == now + 1s));
    // Armed again, it begins to count anew.
    auto failed = run;
    failed.deadlines[0].attempt = 2;
    BOOST_TEST(after(failed, repeats_after(5min, by), now).deadlines[0].attempt == 0);
}

BOOST_AUTO_TEST_CASE(a_timeout_that_fails_too_often_pauses_and_is_due_again_after_the_resume)
{
    auto run = run_in(waiting);
    run.attempt = 1; // of the step: none of the timeout's business
    run = after(run, timeout_failed(0), t0 + 1h);
    BOOST_TEST((run.deadlines[0] == pawl::deadline{"timeout", t0 + 1h + 1s, 1}));
    run = after(run, timeout_failed(0), t0 + 1h + 1s);
    BOOST_TEST((run.deadlines[0] == pawl::deadline{"timeout", t0 + 1h + 3s, 2}));
    run = after(run, timeout_failed(0), t0 + 1h + 3s);
    BOOST_TEST(run.pause == pause_kind::by_error);
    BOOST_TEST(run.attempt == 1);
    BOOST_TEST(run.deadlines.size() == 2u);
    run = after(run, pause_elapsed{}, t0 + 3h);
    BOOST_TEST(run.state == run_state::running);
    BOOST_TEST(run.deadlines[0].attempt == 0);
    BOOST_TEST((run.deadlines[0].at <= t0 + 3h));
    // One without a limit goes on for ever, at its own pace.
    auto other = run_in(waiting);
    other.deadlines[1].attempt = 1000;
    other = after(other, timeout_failed(1), t0 + 2h);
    BOOST_TEST((other.deadlines[1] == pawl::deadline{"timeout-2", t0 + 2h + 5s, 1001}));
    // A permanent error does not.
    BOOST_TEST(after(run_in(waiting), timeout_failed(1, true)).pause == pause_kind::by_error);
}

BOOST_AUTO_TEST_CASE(a_deadline_of_no_timeout_is_dropped_or_kept_for_a_newer_program)
{
    auto run = run_in(waiting);
    const auto known = run.deadlines;
    run.deadlines.push_back({"escalate", t0, 0});
    const auto dropped = after(run, timeout_unknown{"escalate", false});
    BOOST_TEST((dropped.deadlines == known));
    BOOST_TEST(dropped.state == run_state::running);
    BOOST_TEST((dropped.wake_at == t0 + 1h));
    // Looked at again when the visit is twice as old, after a second at least and an hour at most.
    using list = std::vector<pawl::duration>;
    for (const pawl::duration age : list{0s, 5min, 100h}) {
        const auto kept = after(run, timeout_unknown{"escalate", true}, t0 + age);
        BOOST_REQUIRE(kept.deadlines.size() == 3u);
        BOOST_TEST((kept.deadlines[2].at == t0 + age + std::clamp<pawl::duration>(age, 1s, 1h)));
        BOOST_TEST(kept.deadlines[2].attempt == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_status_without_a_step_is_entered_as_if_it_had_one_that_is_done)
{
    BOOST_TEST(after(run_in(created), moves_to(waiting)).step_done);
    BOOST_TEST(!after(run_in(waiting), moves_to(shipping, from_callback{4})).step_done);
}

BOOST_AUTO_TEST_CASE(a_transition_that_cannot_be_made_pauses_and_keeps_the_stored_object)
{
    auto run = run_in(created);
    run.object_version = 4;
    const auto paused = after(run, transition_failed{"no such hour"});
    BOOST_TEST(paused.pause == pause_kind::by_error);
    BOOST_TEST(paused.reason == "no such hour");
    BOOST_TEST(paused.object == "old");
    BOOST_TEST(paused.object_version == 4u);
}

BOOST_AUTO_TEST_CASE(effects_of_a_visit_end_with_it_and_those_of_the_run_stay)
{
    const auto names = [](const pawl::record& run) {
        std::vector<std::string> found;
        for (const auto& each : run.effects)
            found.push_back(each.name);
        return found;
    };
    const std::vector<std::string> both{"charge", "number"};
    const std::vector<std::string> of_run{"number"};
    const auto run = with_effects(created);
    for (const stimulus& stays :
         {stimulus{step_failed()}, stimulus{step_failed(true)}, stimulus{returned(next_kind::skip)},
          stimulus{returned(next_kind::pause)},
          stimulus{command_received{4, pawl::message_kind::pause, {}}}})
        BOOST_TEST(names(after(run, stays)) == both, boost::test_tools::per_element());
    BOOST_TEST(names(after(run, moves_to(waiting))) == of_run, boost::test_tools::per_element());
    BOOST_TEST(names(after(run, moves_to(created))) == of_run, boost::test_tools::per_element());
    BOOST_TEST(names(after(with_effects(shipping), step_failed(true))) == of_run,
               boost::test_tools::per_element());
    // Results may hold personal data too.
    auto deleting = with_effects(done);
    deleting.state = run_state::requested_data_deleted;
    BOOST_TEST(after(deleting, data_scrubbed{""}).effects.empty());
}

BOOST_AUTO_TEST_CASE(effects_belong_to_a_round_a_firing_or_a_message)
{
    const auto names = [](const pawl::record& run) {
        std::string all;
        for (const auto& each : run.effects)
            all += each.name;
        return all;
    };
    auto run = run_in(waiting);
    run.effects = {{"s", "", false, 1, step_handler_number},
                   {"t", "", false, 1, timeout_handler_number("timeout-2")},
                   {"m", "", false, 1, callback_handler_number(4)},
                   {"n", "", false, 1, callback_handler_number(5)},
                   {"r", "", true}};
    auto next = after(run, repeats_after(1min));
    BOOST_TEST(names(next) == "tmnr");
    BOOST_TEST(next.round == 1u);
    next = after(run, repeats_after(1min, from_timeout{1}));
    BOOST_TEST(names(next) == "smnr");
    BOOST_TEST(next.round == 0u);
    BOOST_TEST(next.deadlines[1].round == 1u);
    BOOST_TEST(names(after(run, returned(next_kind::skip, from_timeout{1}))) == "smnr");
    BOOST_TEST(names(after(run, repeats_after(1min, from_callback{4}))) == "stnr");
    BOOST_TEST(names(after(run, message_expired{5})) == "stmr");
    BOOST_TEST(names(after(run, moves_to(shipping, from_callback{4}))) == "nr");
    // A failed attempt begins no other scope.
    next = after(run, handler_failed{from_timeout{1}, "no", false});
    BOOST_TEST(names(next) == "stmnr");
    BOOST_TEST(next.deadlines[1].round == 0u);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_adds_its_effect)
{
    const auto run = with_effects(created);
    auto next = after(run, checkpoint_wanted{"new", pawl::effect{"mail", "3", false}});
    BOOST_REQUIRE(next.effects.size() == 3u);
    BOOST_TEST((next.effects[2] == pawl::effect{"mail", "3", false}));
    BOOST_TEST((next.wake_at == next.updated_at)); // still runnable
    // An effect is progress, which an object that is saved need not be.
    auto suspect = run;
    suspect.suspicion = 4;
    BOOST_TEST(after(suspect, checkpoint_wanted{"new", {}}).suspicion == 4u);
    BOOST_TEST(
        after(suspect, checkpoint_wanted{"new", pawl::effect{"mail", "3", false}}).suspicion == 0u);
    // The names of visits and of the run are apart.
    next = after(run, checkpoint_wanted{"new", pawl::effect{"charge", "3", true}});
    BOOST_TEST(next.effects.size() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(back_off_times)

BOOST_AUTO_TEST_CASE(grows_up_to_its_limit)
{
    const pawl::retry_policy policy{
        .initial = 100ms, .multiplier = 3, .max_interval = 2s, .jitter = 0};
    const std::vector<pawl::duration> expected{100ms, 300ms, 900ms, 2s, 2s};
    for (int failures = 1; failures <= 5; ++failures)
        BOOST_TEST(
            (retry_delay(policy, failures, 1) == expected[static_cast<std::size_t>(failures) - 1]));
    BOOST_TEST((retry_delay(policy, std::numeric_limits<int>::max(), 1) == 2s));
}

BOOST_AUTO_TEST_CASE(a_multiplier_of_one_keeps_it_whatever_the_limit)
{
    const pawl::retry_policy policy{.initial = 5min, .multiplier = 1, .jitter = 0};
    BOOST_TEST((retry_delay(policy, 1, 1) == 5min));
    BOOST_TEST((retry_delay(policy, 100, 1) == 5min));
}

BOOST_AUTO_TEST_CASE(jitter_makes_it_longer_by_its_fraction_at_most)
{
    const pawl::retry_policy policy{.initial = 10s, .multiplier = 1, .jitter = 0.5};
    auto shortest = pawl::duration::max();
    auto longest = pawl::duration::zero();
    std::uint64_t entropy = 1;
    for (int i = 0; i < 1000; ++i) {
        entropy = entropy * 6364136223846793005ull + 1442695040888963407ull;
        const auto wait = retry_delay(policy, 1, entropy);
        shortest = std::min(shortest, wait);
        longest = std::max(longest, wait);
    }
    BOOST_TEST((shortest >= 10s));
    BOOST_TEST((shortest < 10500ms));
    BOOST_TEST((longest <= 15s));
    BOOST_TEST((longest > 14500ms));
    BOOST_TEST((retry_delay(policy, 1, 0) == 10s));
    BOOST_TEST((retry_delay(policy, 1, std::numeric_limits<std::uint64_t>::max()) <= 15s));
}

BOOST_AUTO_TEST_CASE(the_longest_policy_there_is_fits_into_time)
{
    const pawl::retry_policy policy{
        .initial = 1us, .multiplier = 1e9, .max_interval = pawl::duration::max(), .jitter = 1};
    const auto wait = retry_delay(policy, std::numeric_limits<int>::max(),
                                  std::numeric_limits<std::uint64_t>::max());
    BOOST_TEST((wait > pawl::duration::zero()));
    BOOST_TEST((t0 + wait > t0));
}

BOOST_AUTO_TEST_CASE(runs_that_fail_together_do_not_come_back_together)
{
    auto rules = orders();
    rules.statuses[0].step->retry.jitter = 0.5;
    auto one = run_in(created);
    auto other = one;
    other.id.bytes[15] ^= 1;
    const handler_failed failed{from_step{}, "no", false};
    const auto first = decide(one, rules, failed, t0, arm_at(t0))->next.not_before;
    const auto second = decide(other, rules, failed, t0, arm_at(t0))->next.not_before;
    BOOST_TEST((first != second));
    one.version += 1;
    BOOST_TEST((decide(one, rules, failed, t0, arm_at(t0))->next.not_before != first));
}

BOOST_AUTO_TEST_CASE(a_failed_callback_is_repeated_until_its_attempts_run_out)
{
    auto rules = orders();
    rules.statuses[1].callback_policies.resize(2);
    rules.statuses[1].callback_policies[0].retry = {
        .initial = 1s, .multiplier = 2, .jitter = 0, .max_attempts = 3};
    const std::vector<pawl::message> inbox{callback_of(4, "paid")};
    auto run = run_in(waiting);
    const auto fail = [&](bool permanent) {
        return decide(run, rules, handler_failed{from_callback{4}, "no", permanent}, t0, arm_at(t0),
                      {4, inbox});
    };
    for (const auto& wait : {1s, 2s}) {
        const auto change = fail(false);
        BOOST_TEST(to_string(change->kind) == "attempt_failed");
        BOOST_TEST(change->settled.empty());
        run = change->next;
        BOOST_REQUIRE(run.callback_retries.size() == 1u);
        BOOST_TEST(run.callback_retries[0].message == 4u);
        BOOST_TEST((run.callback_retries[0].not_before == t0 + wait));
        BOOST_TEST(run.last_error == "no");
        BOOST_TEST(run.attempt == 0); // the step's
        BOOST_TEST((run.deadlines == run_in(waiting).deadlines));
    }
    const auto handled =
        decide(run, rules, repeats_after(0s, from_callback{4}), t0, arm_at(t0), {4, inbox});
    BOOST_TEST(handled->next.callback_retries.empty());
    BOOST_TEST(handled->next.last_error.empty());
    for (const bool permanent : {false, true}) {
        if (permanent)
            run = run_in(waiting);
        const auto last = fail(permanent);
        BOOST_REQUIRE(last->settled.size() == 1u);
        BOOST_TEST(last->settled[0].outcome == pawl::message_outcome::failed);
        BOOST_TEST(last->settled[0].detail == "no");
        BOOST_TEST(last->next.callback_retries.empty());
        BOOST_TEST(last->next.status == waiting);
    }
    rules.statuses[1].callback_policies[0].exhausted = shipping;
    const auto moved = fail(true);
    BOOST_TEST(moved->settled.at(0).outcome == pawl::message_outcome::failed);
    BOOST_TEST(moved->next.status == shipping);
    BOOST_TEST(moved->next.last_error == "no");
}

BOOST_AUTO_TEST_CASE(a_failed_callback_keeps_its_attempts_while_others_are_handled)
{
    auto run = run_in(waiting);
    run.callback_retries = {{4, 2, t0 + 1h}};
    const std::vector<pawl::message> inbox{callback_of(3, "note"), callback_of(4, "paid")};
    const auto settled = after(run, repeats_after(0s, from_callback{3}), t0, {4, inbox});
    BOOST_TEST((settled.callback_retries == run.callback_retries));
    BOOST_TEST(
        (after(run, moves_to(created, from_timeout{0})).callback_retries == run.callback_retries));
    BOOST_TEST(after(run, message_expired{4}).callback_retries.empty());
    BOOST_TEST(after(run, returned(next_kind::finish, from_timeout{0})).callback_retries.empty());
}

BOOST_AUTO_TEST_SUITE_END()
