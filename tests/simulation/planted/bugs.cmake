# The planted bugs: places in the library's sources, and how each is changed.
#
# As a script (cmake -DSOURCES=src -DCOPIES=folder -P bugs.cmake) it writes changed copies of the sources.
# Included, it only sets planted_files to their names.
cmake_policy(VERSION 3.25)
set(planted_files)

# plant(bug file original changed): the file must have the original text once. In the changed text, PLANTED
# stands for the question whether the bug is active in the process.
function(plant bug file original changed)
    if(NOT file IN_LIST planted_files)
        list(APPEND planted_files ${file})
        set(planted_files ${planted_files} PARENT_SCOPE)
        if(COPIES)
            file(READ ${SOURCES}/${file} text)
            file(WRITE ${COPIES}/${file} "#include \"simulation/planted/bug.hpp\"\n${text}")
        endif()
    endif()
    if(NOT COPIES)
        return()
    endif()
    file(READ ${COPIES}/${file} text)
    string(FIND "${text}" "${original}" first)
    string(FIND "${text}" "${original}" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
        message(FATAL_ERROR "src/${file} must have this text once, for the planted bug ${bug} in "
            "tests/simulation/planted/bugs.cmake; adapt the bug to the source:\n${original}\n")
    endif()
    string(REPLACE "PLANTED" "::simulation_test::is_planted(\"${bug}\")" changed "${changed}")
    string(REPLACE "${original}" "${changed}" text "${text}")
    file(WRITE ${COPIES}/${file} "${text}")
endfunction()

# What the store accepts.

plant(version_not_checked stores/memory/apply.cpp
    [[if (!fits)]]
    [[if (!fits && !PLANTED)]])
plant(epoch_not_checked stores/memory/apply.cpp
    [[return epoch != 0 && epoch != shards_[shard].epoch;]]
    [[return !PLANTED && epoch != 0 && epoch != shards_[shard].epoch;]])
plant(start_key_not_checked stores/memory/apply.cpp
    [[if (!next.start_key.empty())
        if (const auto same]]
    [[if (!next.start_key.empty() && !PLANTED)
          if (const auto same]])
plant(second_run_not_refused stores/memory/apply.cpp
    [[core::start_refusal(change.start, foreign.unfinished != nullptr, !foreign.runs.empty()))]]
    [[core::start_refusal(change.start, foreign.unfinished != nullptr, !foreign.runs.empty()); refusal && !PLANTED)]])
plant(message_consumed_alone stores/memory/apply.cpp
    [[for (; box.first_pending < box.messages.size(); ++box.first_pending) {]]
    [[if (PLANTED && change.kind == event_kind::repeated && run.data.inbox_pending > 0) {
          settle(box.messages[box.first_pending], message_outcome::handled, {});
          --run.data.inbox_pending;
      }
      for (; box.first_pending < box.messages.size(); ++box.first_pending) {]])
plant(event_lost stores/memory/apply.cpp
    [[erase_texts(run, shards_[run.shard]);
    return {.sequence = append_event(change, run)};]]
    [[erase_texts(run, shards_[run.shard]);
      if (PLANTED && change.kind == event_kind::checkpointed)
          return {.sequence = shards_[run.shard].end() - 1};
      return {.sequence = append_event(change, run)};]])

# What a run does next.

plant(timeout_lost_on_repeat core/decide.cpp
    [[change_.kind = event_kind::repeated;
    } else if (]]
    [[change_.kind = event_kind::repeated;
      if (again && PLANTED)
          next().deadlines.clear();
    } else if (]])
plant(attempt_not_counted core/decide.cpp
    [[next().attempt = failures;]]
    [[next().attempt = PLANTED ? current_.attempt : failures;]])
plant(callback_not_retried core/decide.cpp
    [[if (known && !failure.permanent && !exhausted) {]]
    [[if (known && !failure.permanent && !exhausted && !PLANTED) {]])
plant(old_deadlines_kept core/transition_builder.cpp
    [[next().deadlines = arm_(status);]]
    [[auto armed = arm_(status);
      if (PLANTED)
          armed.insert(armed.end(), next().deadlines.begin(), next().deadlines.end());
      next().deadlines = std::move(armed);]])
plant(timeout_early core/next_action.cpp
    [[first->at <= now;]]
    [[first->at <= now + (PLANTED ? duration{1'000'000} : duration{});]])
plant(step_of_newer_forgotten core/next_action.cpp
    [[if (may_step && step_needs_newer_program(current, *rules, outdated))]]
    [[if (may_step && step_needs_newer_program(current, *rules, outdated) && !PLANTED)]])
plant(step_of_newer_forgotten core/next_action.cpp
    [[const bool kept = step_needs_newer_program(current, *rules, outdated);]]
    [[const bool kept = step_needs_newer_program(current, *rules, outdated) && !PLANTED;]])
plant(key_of_the_attempt core/run.cpp
    [[key += scope_of(run, context.handler_number());
    key += '/';
    key += name;]]
    [[key += scope_of(run, context.handler_number());
      key += '/';
      key += name;
      if (PLANTED)
          key += std::to_string(run.attempt);]])

# What the engine stores, and what it tells.

plant(once_not_recorded engine/run/handler_context.cpp
    [[std::move(added)};]]
    [[std::move(added)};
      if (PLANTED)
          wanted.added.reset();]])
plant(answered_without_commit engine/api/engine_calls.cpp
    [[std::rethrow_exception(item.failure);]]
    [[if (PLANTED)
          return item.result;
      std::rethrow_exception(item.failure);]])
plant(await_told_of_failed_commit engine/api/engine_core.cpp
    [[if (result)
        watchers_->offer_transition(*stored, is_present);]]
    [[if (result || PLANTED)
          watchers_->offer_transition(*stored, is_present);]])
plant(store_clock_ignored engine/run/engine_clock.cpp
    [[if (!read)
        co_return;]]
    [[if (!read || PLANTED)
          co_return;]])
plant(crash_not_counted engine/run/crash_suspects.cpp
    [[if (!was_abandoned && current.suspicion == 0)]]
    [[if (PLANTED || (!was_abandoned && current.suspicion == 0))]])

plant(effects_side_by_side engine/run/handler_context.cpp
    [[if (std::ranges::any_of(effects_under_way_, is_same))]]
    [[if (std::ranges::any_of(effects_under_way_, is_same) && !PLANTED)]])
plant(size_not_checked engine/run/loaded_run.cpp
    [[if (size > shared.max_object_size)]]
    [[if (size > shared.max_object_size && !PLANTED)]])
plant(stop_is_failure engine/run/attempt.cpp
    [[if (run_.abandoned || cancel_reason_ != cancel_reason::timeout) {]]
    [[if (run_.abandoned || (cancel_reason_ != cancel_reason::timeout &&
                             !(PLANTED && cancel_reason_ == cancel_reason::engine_stop))) {]])
plant(command_waits_for_handler engine/run/activation.cpp
    [[attempt_.cancel(attempt::cancel_reason::command);]]
    [[if (!PLANTED)
          attempt_.cancel(attempt::cancel_reason::command);]])

# When a run gets its turn.

plant(wake_up_lost engine/run/due_scanner.cpp
    [[const auto now = shared_.clock.now();
        const bool far_back]]
    [[if (scan.next && PLANTED)
            return;
        const auto now = shared_.clock.now();
        const bool far_back]])
plant(turn_lost engine/run/due_scanner.cpp
    [[shared_.active->begin(std::move(run), noted, inside_call, from_backlog);]]
    [[shared_.active->begin(std::move(run), noted, inside_call, from_backlog && !PLANTED);]])
plant(shard_overtakes engine/run/due_scanner.cpp
    [[first->first < position;]]
    [[first->first < position && !PLANTED;]])
plant(place_in_line_lost engine/run/due_scanner.cpp
    [[shared_.active->contains(run.id))
            continue;]]
    [[shared_.active->contains(run.id) || (PLANTED && active_runs::is_urgent(run, now)))
            continue;]])

plant(limit_counts_paused_run engine/run/handler_admission.cpp
    [[if (permit_)]]
    [[if (permit_ && !(PLANTED && run_.stored.state == run_state::paused))]])

# What hooks get.

plant(hook_cursor_before_work engine/background/log_follower.cpp
    [[shared_.running.spawn(strand_, process_lane(lane));]]
    [[shared_.running.spawn(strand_, process_lane(lane));
      if (PLANTED)
          progress.processed = true;]])
plant(hook_cursor_before_work engine/background/log_follower.cpp
    [[const auto position = processed_up_to(progress);
    progress.processed = false;]]
    [[const auto position = PLANTED ? progress.read : processed_up_to(progress);
    progress.processed = false;]])
plant(hook_twice engine/background/log_follower.cpp
    [[const bool done = co_await process_(*lane, current);]]
    [[bool done = co_await process_(*lane, current);
      if (done && current.version % 4 == 0 && PLANTED)
          done = co_await process_(*lane, current);]])
