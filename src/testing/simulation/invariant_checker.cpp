#include "testing/simulation/invariant_checker.hpp"

#include "core/stimulus.hpp"
#include "pawl/error.hpp"

#include <boost/asio/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace pawl::testing::detail {

namespace {

/// Further violations are dropped.
constexpr std::size_t max_violations = 50;

std::string name_of(const record& run)
{
    return fmt::format("run {} ({} \"{}\")", to_string(run.id), run.workflow, run.foreign_id);
}

std::string name_of(const event& entry)
{
    return fmt::format("run {} ({} \"{}\")", to_string(entry.run), entry.workflow,
                       entry.foreign_id);
}

std::string_view name_of(message_outcome outcome)
{
    constexpr std::array<std::string_view, 5> names{"pending", "handled", "rejected", "failed",
                                                    "expired"};
    return names.at(static_cast<std::size_t>(outcome));
}

int attempts_of(const record& run)
{
    int attempts = run.attempt;
    for (const auto& armed : run.deadlines)
        attempts += armed.attempt;
    for (const auto& retried : run.callback_retries)
        attempts += retried.attempt;
    return attempts;
}

/// Whether a recorded effect must still be in the record after a change. A step's effects stay
/// until its round ends, a callback's until its message is settled. A timeout's are not checked.
bool must_remain(const effect& recorded, const transition& change, const record& before)
{
    if (recorded.for_run)
        return true;
    if (change.next.visit != before.visit)
        return false;
    if (recorded.handler == 0)
        return change.next.round == before.round;
    return recorded.handler >= core::callback_handler_number(0) &&
           std::ranges::none_of(change.settled, [&](const settlement& ended) {
               return core::callback_handler_number(ended.sequence) == recorded.handler;
           });
}

} // namespace

void invariant_checker::add_workflow(std::shared_ptr<const workflow_impl> workflow)
{
    for (const auto& status : workflow->rules.statuses)
        for (const auto& move : status.edges)
            declared_moves_.emplace(workflow->rules.name, status.id, move.to);
    for (const auto& [from, to] : workflow->rules.retired)
        declared_moves_.emplace(workflow->rules.name, from, to);
    auto& known = workflows_[workflow->rules.name];
    known = std::move(workflow);
}

bool invariant_checker::is_declared_move(const std::string& workflow, int from, int to) const
{
    return !workflows_.contains(workflow) || declared_moves_.contains({workflow, from, to});
}

void invariant_checker::expect_punctuality(std::shared_ptr<const pawl::clock> clock,
                                           duration allowed)
{
    faults_ended_at_ = clock->now();
    allowed_lateness_ = allowed;
    clock_ = std::move(clock);
}

std::string invariant_checker::status_text(const std::string& workflow, int status) const
{
    const auto number = std::to_string(status);
    const auto known = workflows_.find(workflow);
    const auto label = known == workflows_.end() ? number : known->second->rules.label(status);
    return label == number ? number : fmt::format("{} ({})", label, number);
}

std::string invariant_checker::describe(const record& run) const
{
    return fmt::format("{} is {} in status {} at version {}", name_of(run), to_string(run.state),
                       status_text(run.workflow, run.status), run.version);
}

/// Lateness is measured from the end of the fault phase or of the run's last pause.
void invariant_checker::check_punctuality(const record& run, const std::string& subject,
                                          time_point due)
{
    if (!clock_)
        return;
    auto since = std::max(due, faults_ended_at_);
    if (const auto resumed = resumed_at_.find(run.id); resumed != resumed_at_.end())
        since = std::max(since, resumed->second);
    const auto late = clock_->now() - since;
    if (late > allowed_lateness_)
        report_violation(fmt::format("{}: {} was processed {} s late; expected at most {} s",
                                     describe(run), subject, late.count() / 1'000'000,
                                     allowed_lateness_.count() / 1'000'000));
}

/// Commands are due when they are sent, callbacks when they expire.
void invariant_checker::check_message_punctuality(const record& run, const message& sent,
                                                  bool was_handled)
{
    if (sent.kind != message_kind::callback)
        check_punctuality(run, fmt::format("command {}", static_cast<int>(sent.kind)),
                          sent.sent_at);
    else if (!was_handled && sent.expires_at)
        check_punctuality(run, fmt::format("the expiry of callback \"{}\"", sent.name),
                          *sent.expires_at);
}

/// A handler that ended because its engine stopped has not failed.
void invariant_checker::check_not_stopped(const record& run, std::string_view failure)
{
    for (const auto& stop :
         {make_error_code(errc::not_running), error_code{boost::asio::error::operation_aborted}})
        if (failure.find(stop.message()) != std::string_view::npos)
            report_violation(fmt::format("{}: the stop of an engine was counted as a failure: {}",
                                         describe(run), failure));
}

void invariant_checker::report_violation(std::string sentence)
{
    if (violations_.size() < max_violations)
        violations_.push_back(std::move(sentence));
}

bool invariant_checker::is_owner(const std::string& process, std::string_view workflow,
                                 std::string_view foreign_id) const
{
    const auto owner = owners_.find(shard_for(workflow, foreign_id));
    return owner != owners_.end() && owner->second == process;
}

void invariant_checker::set_first_shard(std::string workflow, std::uint32_t first)
{
    first_shards_[std::move(workflow)] = first;
}

std::uint32_t invariant_checker::shard_for(std::string_view workflow,
                                           std::string_view foreign_id) const
{
    const auto known = first_shards_.find(std::string{shard_home(workflow, foreign_id)});
    return (known == first_shards_.end() ? 0 : known->second) + shard_of(foreign_id, shards_);
}

void invariant_checker::shard_claimed(const std::string& process, std::uint32_t shard,
                                      std::uint64_t epoch)
{
    owners_[shard] = process;
    auto& newest = epochs_[shard];
    if (epoch < newest)
        report_violation(
            fmt::format("shard {}: {} claimed epoch {}; expected at least the epoch {} of an "
                        "earlier claim",
                        shard, process, epoch, newest));
    newest = std::max(newest, epoch);
}

void invariant_checker::batch_applied(const std::string& process, std::span<const change> batch,
                                      const std::vector<apply_result>& results)
{
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (results[i].status != apply_status::accepted)
            continue;
        if (const auto* moved = std::get_if<transition>(&batch[i])) {
            transition_accepted(process, *moved);
        } else if (const auto* gone = std::get_if<removal>(&batch[i])) {
            removed_.insert(gone->run);
            records_.erase(gone->run);
        } else if (const auto* sent = std::get_if<delivery>(&batch[i])) {
            delivered_messages_.emplace_back(sent->content.run, results[i].sequence);
            unsettled_messages_[{sent->content.run, results[i].sequence}] = sent->content;
        } else if (const auto* cursor = std::get_if<cursor_move>(&batch[i])) {
            if (cursor->epoch != 0 && cursor->epoch != epochs_[cursor->shard])
                report_violation(fmt::format(
                    "{} moved cursor \"{}\" of shard {} under epoch {}; expected the "
                    "shard's epoch {}",
                    process, cursor->name, cursor->shard, cursor->epoch, epochs_[cursor->shard]));
        }
    }
}

void invariant_checker::transition_accepted(const std::string& process, const transition& change)
{
    ++commits_;
    const auto& next = change.next;
    const auto shard = shard_for(next.workflow, next.foreign_id);
    if (change.epoch != 0 && change.epoch != epochs_[shard])
        report_violation(
            fmt::format("{}: {} committed under epoch {}; expected the epoch {} of shard {}",
                        describe(next), process, change.epoch, epochs_[shard], shard));
    const auto before = records_.find(next.id);
    if (change.expected_version == 0) {
        if (before != records_.end())
            report_violation(describe(next) + ": the run was created twice");
        check_start(change);
        ++runs_;
    } else if (before == records_.end()) {
        report_violation(describe(next) + ": the run was changed before it was created");
    } else {
        check_transition(before->second, change);
    }
    if (is_finished(next.state)) {
        const auto held = unfinished_runs_.find({next.workflow, next.foreign_id});
        if (held != unfinished_runs_.end() && held->second == next.id)
            unfinished_runs_.erase(held);
    }
    if (before != records_.end() && next.last_error != before->second.last_error)
        check_not_stopped(next, next.last_error);
    if (change.kind == event_kind::resumed && clock_)
        resumed_at_[next.id] = clock_->now();
    check_settlements(next, change);
    records_[next.id] = next;
}

void invariant_checker::check_settlements(const record& run, const transition& change)
{
    for (const auto& settled : change.settled) {
        const auto [first, is_new] =
            settlements_.emplace(std::pair{run.id, settled.sequence}, settled);
        if (!is_new)
            report_violation(
                fmt::format("{}: message {} was settled twice", describe(run), settled.sequence));
        if (settled.outcome == message_outcome::failed)
            check_not_stopped(run, settled.detail);
        const auto sent = unsettled_messages_.find({run.id, settled.sequence});
        if (sent == unsettled_messages_.end())
            continue;
        check_message_punctuality(run, sent->second, settled.outcome != message_outcome::expired);
        unsettled_messages_.erase(sent);
    }
}

void invariant_checker::check_start(const transition& change)
{
    const auto& next = change.next;
    const auto [held, is_free] =
        unfinished_runs_.emplace(std::pair{next.workflow, next.foreign_id}, next.id);
    if (!is_free)
        report_violation(fmt::format("{}: the run was started while run {} of the same foreign id "
                                     "is unfinished",
                                     describe(next), to_string(held->second)));
    if (next.start_key.empty())
        return;
    const auto [same, is_new] =
        start_keys_.emplace(std::tuple{next.workflow, next.foreign_id, next.start_key}, next.id);
    if (!is_new)
        report_violation(fmt::format("{}: the run was started with the start key \"{}\" of run {}",
                                     describe(next), next.start_key, to_string(same->second)));
}

void invariant_checker::check_transition(const record& before, const transition& change)
{
    const auto& next = change.next;
    if (next.version != before.version + 1)
        report_violation(fmt::format("{}: version {} was followed by version {}; expected {}",
                                     name_of(next), before.version, next.version,
                                     before.version + 1));
    if (change.from != before.status || change.state_before != before.state)
        report_violation(fmt::format(
            "{}: the transition to version {} starts from status {} ({}); expected status {} ({})",
            name_of(next), next.version, status_text(next.workflow, change.from),
            to_string(change.state_before), status_text(next.workflow, before.status),
            to_string(before.state)));
    if (is_finished(before.state) && !is_finished(next.state))
        report_violation(fmt::format("{}: the run was {} before and must stay finished",
                                     describe(next), to_string(before.state)));
    if (change.kind == event_kind::moved &&
        !is_declared_move(next.workflow, change.from, next.status))
        report_violation(fmt::format("{}: the move from status {} is not declared", describe(next),
                                     status_text(next.workflow, change.from)));
    if (change.kind == event_kind::attempt_failed && attempts_of(next) != attempts_of(before) + 1)
        report_violation(fmt::format("{}: failed attempts after a failure are {}; expected {}",
                                     describe(next), attempts_of(next), attempts_of(before) + 1));
    if (next.status == before.status && next.visit == before.visit &&
        next.entered_at != before.entered_at)
        report_violation(
            fmt::format("{}: entered_at changed within visit {}", describe(next), next.visit));
    for (const auto& known_effect : before.effects)
        if (must_remain(known_effect, change, before) && !is_finished(next.state) &&
            std::ranges::find(next.effects, known_effect) == next.effects.end())
            report_violation(fmt::format("{}: the recorded effect \"{}\" was lost", describe(next),
                                         known_effect.name));
}

void invariant_checker::record_read(const record& actual)
{
    const auto known = records_.find(actual.id);
    if (known == records_.end()) {
        if (!removed_.contains(actual.id))
            report_violation(describe(actual) + ": the store returned a run that was never stored");
        return;
    }
    // The store itself maintains these members.
    auto expected = known->second;
    expected.wake_at = actual.wake_at;
    expected.inbox_last = actual.inbox_last;
    expected.inbox_pending = actual.inbox_pending;
    if (expected != actual)
        report_violation(fmt::format("the store returned a record that was not stored: {}; "
                                     "expected: {}",
                                     describe(actual), describe(expected)));
}

void invariant_checker::start_reported(const std::string& workflow, const std::string& foreign_id,
                                       const std::string& key, run_id run, bool is_stored)
{
    if (!is_stored && !removed_.contains(run))
        report_violation(
            fmt::format("run {} ({} \"{}\"): the start was reported before it was stored",
                        to_string(run), workflow, foreign_id));
    if (key.empty())
        return;
    const auto first = start_keys_.find({workflow, foreign_id, key});
    if (first != start_keys_.end() && first->second != run)
        report_violation(fmt::format("run {} ({} \"{}\") was reported for the start key \"{}\"; "
                                     "expected run {}",
                                     to_string(run), workflow, foreign_id, key,
                                     to_string(first->second)));
}

void invariant_checker::settlement_reported(run_id run, const settlement& reported,
                                            const std::optional<settlement>& stored)
{
    if (removed_.contains(run))
        return;
    if (!stored)
        report_violation(fmt::format("run {}: message {} was reported before it was stored",
                                     to_string(run), reported.sequence));
    else if (reported.outcome != message_outcome::pending && reported.outcome != stored->outcome)
        report_violation(fmt::format(
            "run {}: the outcome of message {} was reported as {}; expected the stored outcome {}",
            to_string(run), reported.sequence, name_of(reported.outcome),
            name_of(stored->outcome)));
}

void invariant_checker::check_stored_settlement(run_id run, const std::optional<settlement>& stored,
                                                std::uint64_t sequence)
{
    const auto known = records_.find(run);
    if (known == records_.end())
        return;
    if (!stored) {
        report_violation(
            fmt::format("{}: the accepted message {} was lost", describe(known->second), sequence));
        return;
    }
    const bool by_transition = settlements_.contains({run, sequence});
    const bool is_pending = stored->outcome == message_outcome::pending;
    if (const auto sent = unsettled_messages_.find({run, sequence});
        sent != unsettled_messages_.end() && is_pending)
        check_message_punctuality(known->second, sent->second, false);
    if (is_pending && is_finished(known->second.state))
        report_violation(fmt::format("{}: message {} is pending after the end of its run",
                                     describe(known->second), sequence));
    if (is_pending && by_transition)
        report_violation(fmt::format("{}: message {} is pending after it was settled",
                                     describe(known->second), sequence));
    if ((stored->outcome == message_outcome::handled ||
         stored->outcome == message_outcome::failed) &&
        !by_transition)
        report_violation(fmt::format("{}: message {} is {} without a transition that settled it",
                                     describe(known->second), sequence, name_of(stored->outcome)));
}

void invariant_checker::await_reported(const record& reported)
{
    reported_records_.push_back({reported.id, reported.version, reported.status, reported.state});
}

void invariant_checker::timeout_armed(run_id run, int status, const std::string& timeout,
                                      time_point due, time_point now)
{
    armed_timeouts_[{run, status, timeout, due}] = now;
}

void invariant_checker::timeout_started(const record& run, const std::string& timeout,
                                        time_point now)
{
    const auto armed = std::ranges::find(run.deadlines, timeout, &deadline::timeout);
    if (armed == run.deadlines.end()) {
        report_violation(
            fmt::format("{}: timeout \"{}\" ran without a deadline", describe(run), timeout));
        return;
    }
    if (armed->at > now)
        report_violation(fmt::format("{}: timeout \"{}\" ran {} us before its deadline",
                                     describe(run), timeout, (armed->at - now).count()));
    if (armed->attempt == 0)
        check_punctuality(run, fmt::format("timeout \"{}\"", timeout), armed->at);
    if (armed->attempt > 0 || moved_deadlines_.contains({run.id, run.visit, timeout}))
        return;
    const auto noted = armed_timeouts_.find({run.id, run.status, timeout, armed->at});
    if (noted == armed_timeouts_.end() || noted->second != run.entered_at)
        report_violation(fmt::format("{}: timeout \"{}\" ran in visit {}, which did not arm it",
                                     describe(run), timeout, run.visit));
}

void invariant_checker::deadline_moved(const record& run, const std::string& timeout)
{
    moved_deadlines_.insert({run.id, run.visit, timeout});
}

void invariant_checker::check_hook_order(std::size_t hook, const event& entry)
{
    auto& last = last_hook_versions_[{hook, entry.run}];
    const bool is_new = !finished_hook_calls_.contains({hook, entry.run, entry.version});
    if (is_new && entry.version < last)
        report_violation(
            fmt::format("{}: hook {} was called for version {} after version {}; expected the "
                        "order of versions",
                        name_of(entry), hook, entry.version, last));
    last = std::max(last, entry.version);
    finished_hook_calls_.insert({hook, entry.run, entry.version});
}

void invariant_checker::hook_cursor_read(const std::string& process, std::uint32_t shard)
{
    ++hook_cursor_reads_[{process, shard}];
}

void invariant_checker::hook_succeeded(const std::string& process, std::size_t hook,
                                       const event& entry)
{
    check_hook_order(hook, entry);
    const auto begun = hook_cursor_reads_[{process, entry.shard}];
    const bool first =
        succeeded_hook_calls_.emplace(process, begun, hook_call{hook, entry.run, entry.version})
            .second;
    if (!first)
        report_violation(fmt::format("{}: {} called hook {} twice for version {}", name_of(entry),
                                     process, hook, entry.version));
}

void invariant_checker::hook_failed(const std::string& process, std::size_t hook,
                                    const event& entry, int max_attempts)
{
    const int failed = ++failed_hook_calls_[{process, hook_call{hook, entry.run, entry.version}}];
    if (failed >= max_attempts)
        check_hook_order(hook, entry);
}

void invariant_checker::compare_with_store(const std::vector<std::vector<event>>& log,
                                           const std::vector<record>& runs)
{
    std::map<run_id, std::vector<event>> histories;
    for (std::uint32_t shard = 0; shard < log.size(); ++shard) {
        compare_shard(shard, log[shard]);
        compare_hooks(log[shard]);
        for (const auto& entry : log[shard])
            histories[entry.run].push_back(entry);
    }
    std::set<run_id> present;
    for (const auto& run : runs) {
        present.insert(run.id);
        record_read(run);
        const auto& history = histories[run.id];
        std::uint64_t version = 0;
        for (const auto& entry : history)
            if (entry.version != ++version) {
                report_violation(fmt::format("{}: event {} has version {}; expected {}",
                                             name_of(run), version, entry.version, version));
                version = entry.version;
            }
        if (version != run.version)
            report_violation(
                fmt::format("{}: the last event has version {}; expected the record's version",
                            describe(run), version));
        else if (!history.empty() &&
                 (history.back().to != run.status || history.back().state != run.state))
            report_violation(fmt::format("{}: the last event has status {} ({}); expected those of "
                                         "the record",
                                         describe(run),
                                         status_text(run.workflow, history.back().to),
                                         to_string(history.back().state)));
    }
    for (const auto& [id, lost] : records_)
        if (!present.contains(id))
            report_violation(describe(lost) + ": the store has lost the run");
    compare_awaits(histories);
}

void invariant_checker::compare_shard(std::uint32_t shard, const std::vector<event>& log)
{
    std::uint64_t sequence = 0;
    std::map<run_id, int> status;
    for (const auto& entry : log) {
        ++sequence;
        if (entry.sequence != sequence && removed_.empty())
            report_violation(fmt::format("shard {}: event {} has sequence {}; expected {}", shard,
                                         sequence, entry.sequence, sequence));
        sequence = entry.sequence;
        const auto [last, is_first] = status.emplace(entry.run, entry.to);
        if (!is_first && last->second != entry.from)
            report_violation(
                fmt::format("{}: the event of version {} starts from status {}; expected status {}",
                            name_of(entry), entry.version, status_text(entry.workflow, entry.from),
                            status_text(entry.workflow, last->second)));
        last->second = entry.to;
    }
}

void invariant_checker::compare_hooks(const std::vector<event>& log)
{
    for (const auto& entry : log) {
        const auto known = workflows_.find(entry.workflow);
        if (known == workflows_.end())
            continue;
        const auto& hooks = known->second->hooks;
        for (std::size_t hook = 0; hook < hooks.size(); ++hook)
            if (hooks[hook].wants(entry.kind, entry.from, entry.to) &&
                !finished_hook_calls_.contains({hook, entry.run, entry.version}))
                report_violation(fmt::format("{}: hook {} was not called for version {} ({})",
                                             name_of(entry), hook, entry.version,
                                             to_string(entry.kind)));
    }
}

void invariant_checker::compare_awaits(const std::map<run_id, std::vector<event>>& histories)
{
    for (const auto& reported : reported_records_) {
        const auto history = histories.find(reported.run);
        if (history == histories.end()) {
            if (!removed_.contains(reported.run))
                report_violation(fmt::format("run {}: an await reported the run, but it has no "
                                             "events",
                                             to_string(reported.run)));
            continue;
        }
        const auto entry = std::ranges::find(history->second, reported.version, &event::version);
        if (entry == history->second.end() || entry->to != reported.status ||
            entry->state != reported.state)
            report_violation(fmt::format(
                "{}: an await reported status {} ({}) at version {}, which is not in the history",
                name_of(history->second.front()),
                status_text(history->second.front().workflow, reported.status),
                to_string(reported.state), reported.version));
    }
}

} // namespace pawl::testing::detail
