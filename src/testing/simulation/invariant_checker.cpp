#include "testing/simulation/invariant_checker.hpp"

#include "core/outcome.hpp"
#include "pawl/error.hpp"

#include <boost/asio/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pawl::testing::detail {

namespace {

/// More are of no use to anybody.
constexpr std::size_t max_sentences = 50;

std::string name_of(const record& run)
{
    return fmt::format("run {} ({} \"{}\")", to_string(run.id), run.workflow, run.foreign_id);
}

int attempts_of(const record& run)
{
    int all = run.attempt;
    for (const auto& armed : run.deadlines)
        all += armed.attempt;
    for (const auto& retried : run.callback_retries)
        all += retried.attempt;
    return all;
}

/// Whether what a handler recorded must still stand there after a change: a step's until its round
/// ends, a callback's until its message is settled. Of a timeout's it is not known.
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

void invariant_checker::knows(std::shared_ptr<const workflow_impl> workflow)
{
    for (const auto& status : workflow->rules.statuses)
        for (const auto& move : status.edges)
            moves_.emplace(workflow->rules.name, status.id, move.to);
    for (const auto& [from, to] : workflow->rules.retired)
        moves_.emplace(workflow->rules.name, from, to);
    auto& known = workflows_[workflow->rules.name];
    known = std::move(workflow);
}

bool invariant_checker::declared(const std::string& workflow, int from, int to) const
{
    return !workflows_.contains(workflow) || moves_.contains({workflow, from, to});
}

void invariant_checker::expect_punctuality(std::shared_ptr<const pawl::clock> by, duration allowed)
{
    calm_since_ = by->now();
    allowed_lateness_ = allowed;
    clock_ = std::move(by);
}

/// What is late for a reason is counted from the end of the reason: the fault phase, or a pause.
void invariant_checker::check_punctual(const record& of, const std::string& what, time_point due)
{
    if (!clock_)
        return;
    auto since = std::max(due, calm_since_);
    if (const auto resumed = resumed_.find(of.id); resumed != resumed_.end())
        since = std::max(since, resumed->second);
    const auto late = clock_->now() - since;
    if (late > allowed_lateness_)
        report_violation(fmt::format("{}: {} was served {} s late, in status {}", name_of(of), what,
                                     late.count() / 1'000'000, of.status));
}

/// A handler that was ended by a stop has not failed.
void invariant_checker::check_no_stop(const record& of, std::string_view why)
{
    for (const auto& stop :
         {make_error_code(errc::not_running), error_code{boost::asio::error::operation_aborted}})
        if (why.find(stop.message()) != std::string_view::npos)
            report_violation(fmt::format("{}: version {} counts a stop as a failure: {}",
                                         name_of(of), of.version, why));
}

void invariant_checker::report_violation(std::string sentence)
{
    if (broken_.size() < max_sentences)
        broken_.push_back(std::move(sentence));
}

bool invariant_checker::is_owner(const std::string& process, std::string_view workflow,
                                 std::string_view foreign_id) const
{
    const auto owner = owners_.find(shard_for(workflow, foreign_id));
    return owner != owners_.end() && owner->second == process;
}

void invariant_checker::has_shards(std::string workflow, std::uint32_t first)
{
    first_shards_[std::move(workflow)] = first;
}

std::uint32_t invariant_checker::shard_for(std::string_view workflow,
                                           std::string_view foreign_id) const
{
    const auto known = first_shards_.find(std::string{shard_home(workflow, foreign_id)});
    return (known == first_shards_.end() ? 0 : known->second) + shard_of(foreign_id, slices_);
}

void invariant_checker::claimed(const std::string& process, std::uint32_t shard,
                                std::uint64_t epoch)
{
    owners_[shard] = process;
    auto& newest = epochs_[shard];
    if (epoch < newest)
        report_violation(
            fmt::format("shard {} was claimed with epoch {} after {}", shard, epoch, newest));
    newest = std::max(newest, epoch);
}

void invariant_checker::applied(const std::string& process, std::span<const change> batch,
                                const std::vector<apply_result>& results)
{
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (results[i].status != apply_status::accepted)
            continue;
        if (const auto* moved = std::get_if<transition>(&batch[i])) {
            accepted(process, *moved);
        } else if (const auto* gone = std::get_if<removal>(&batch[i])) {
            removed_.insert(gone->run);
            model_.erase(gone->run);
        } else if (const auto* sent = std::get_if<delivery>(&batch[i])) {
            deliveries_.emplace_back(sent->content.run, results[i].sequence);
            sent_[{sent->content.run, results[i].sequence}] = sent->content;
        } else if (const auto* cursor = std::get_if<cursor_move>(&batch[i])) {
            if (cursor->epoch != 0 && cursor->epoch != epochs_[cursor->shard])
                report_violation(
                    fmt::format("{} moved a cursor of shard {} with epoch {}, but it has {}",
                                process, cursor->shard, cursor->epoch, epochs_[cursor->shard]));
        }
    }
}

void invariant_checker::accepted(const std::string& process, const transition& change)
{
    ++commits_;
    const auto& next = change.next;
    const auto shard = shard_for(next.workflow, next.foreign_id);
    if (change.epoch != 0 && change.epoch != epochs_[shard])
        report_violation(
            fmt::format("{} committed version {} of {} with epoch {}, but the shard has {}",
                        process, next.version, name_of(next), change.epoch, epochs_[shard]));
    const auto before = model_.find(next.id);
    if (change.expected_version == 0) {
        if (before != model_.end())
            report_violation(name_of(next) + " was created twice");
        check_start(change);
        ++runs_;
    } else if (before == model_.end()) {
        report_violation(name_of(next) + " was changed before it was created");
    } else {
        check_step(before->second, change);
    }
    if (is_finished(next.state)) {
        const auto held = unfinished_.find({next.workflow, next.foreign_id});
        if (held != unfinished_.end() && held->second == next.id)
            unfinished_.erase(held);
    }
    if (before != model_.end() && next.last_error != before->second.last_error)
        check_no_stop(next, next.last_error);
    if (change.kind == event_kind::resumed && clock_)
        resumed_[next.id] = clock_->now();
    check_settled(next, change);
    model_[next.id] = next;
}

void invariant_checker::check_settled(const record& of, const transition& change)
{
    for (const auto& ended : change.settled) {
        const auto [at, is_new] = settled_.emplace(std::pair{of.id, ended.sequence}, ended);
        if (!is_new)
            report_violation(
                fmt::format("message {} of {} was settled twice", ended.sequence, name_of(of)));
        if (ended.outcome == message_outcome::failed)
            check_no_stop(of, ended.detail);
        const auto sent = sent_.find({of.id, ended.sequence});
        if (sent == sent_.end())
            continue;
        const auto& content = sent->second;
        if (content.kind != message_kind::callback)
            check_punctual(of, fmt::format("command {}", static_cast<int>(content.kind)),
                           content.sent_at);
        else if (ended.outcome == message_outcome::expired && content.expires_at)
            check_punctual(of, "the time limit of message " + std::to_string(ended.sequence),
                           *content.expires_at);
        sent_.erase(sent);
    }
}

void invariant_checker::check_start(const transition& change)
{
    const auto& next = change.next;
    const auto [held, is_free] =
        unfinished_.emplace(std::pair{next.workflow, next.foreign_id}, next.id);
    if (!is_free)
        report_violation(fmt::format("{} began beside run {}, which has not finished",
                                     name_of(next), to_string(held->second)));
    if (next.start_key.empty())
        return;
    const auto [same, is_new] =
        keys_.emplace(std::tuple{next.workflow, next.foreign_id, next.start_key}, next.id);
    if (!is_new)
        report_violation(fmt::format("{} began with the start key of run {}", name_of(next),
                                     to_string(same->second)));
}

void invariant_checker::check_step(const record& before, const transition& change)
{
    const auto& next = change.next;
    if (next.version != before.version + 1)
        report_violation(fmt::format("{}: version {} was followed by {}", name_of(next),
                                     before.version, next.version));
    if (change.from != before.status || change.state_before != before.state)
        report_violation(fmt::format("{}: version {} was made from a record that is not version {}",
                                     name_of(next), next.version, before.version));
    if (is_finished(before.state) && !is_finished(next.state))
        report_violation(name_of(next) + " was finished and went on");
    if (change.kind == event_kind::moved && !declared(next.workflow, change.from, next.status))
        report_violation(fmt::format("{} moved from {} to {}, which is not declared", name_of(next),
                                     change.from, next.status));
    if (change.kind == event_kind::attempt_failed && attempts_of(next) != attempts_of(before) + 1)
        report_violation(
            fmt::format("{}: a failed attempt was not counted: {} before it, {} after it",
                        name_of(next), attempts_of(before), attempts_of(next)));
    if (next.status == before.status && next.visit == before.visit &&
        next.entered_at != before.entered_at)
        report_violation(name_of(next) + ": a visit began twice");
    for (const auto& known_effect : before.effects)
        if (must_remain(known_effect, change, before) && !is_finished(next.state) &&
            std::ranges::find(next.effects, known_effect) == next.effects.end())
            report_violation(fmt::format("{}: the recorded effect \"{}\" is gone", name_of(next),
                                         known_effect.name));
}

void invariant_checker::shown(const record& seen)
{
    const auto known = model_.find(seen.id);
    if (known == model_.end()) {
        if (!removed_.contains(seen.id))
            report_violation(name_of(seen) + " is shown, but it was never stored");
        return;
    }
    // What the store itself keeps of a record.
    auto expected = known->second;
    expected.wake_at = seen.wake_at;
    expected.inbox_last = seen.inbox_last;
    expected.inbox_pending = seen.inbox_pending;
    if (expected != seen)
        report_violation(
            fmt::format("{} is shown with version {} in another form than version {} was stored",
                        name_of(seen), seen.version, expected.version));
}

void invariant_checker::told_started(const std::string& workflow, const std::string& foreign_id,
                                     const std::string& key, run_id run, bool is_stored)
{
    if (!is_stored && !removed_.contains(run))
        report_violation(fmt::format("the start of {} \"{}\" was reported before it was stored",
                                     workflow, foreign_id));
    if (key.empty())
        return;
    const auto first = keys_.find({workflow, foreign_id, key});
    if (first != keys_.end() && first->second != run)
        report_violation(fmt::format("two runs were reported for the start key \"{}\" of {} \"{}\"",
                                     key, workflow, foreign_id));
}

void invariant_checker::told_settled(run_id run, const settlement& told,
                                     const std::optional<settlement>& stored)
{
    if (removed_.contains(run))
        return;
    if (!stored)
        report_violation(fmt::format("message {} of run {} was reported before it was stored",
                                     told.sequence, to_string(run)));
    else if (told.outcome != message_outcome::pending && told.outcome != stored->outcome)
        report_violation(fmt::format(
            "the end of message {} of run {} was reported as {}, but it is {}", told.sequence,
            to_string(run), static_cast<int>(told.outcome), static_cast<int>(stored->outcome)));
}

void invariant_checker::message_ended(run_id run, const std::optional<settlement>& stored,
                                      std::uint64_t sequence)
{
    const auto known = model_.find(run);
    if (known == model_.end())
        return;
    if (!stored) {
        report_violation(fmt::format("message {} of {} is gone", sequence, name_of(known->second)));
        return;
    }
    const bool by_transition = settled_.contains({run, sequence});
    if (const auto sent = sent_.find({run, sequence});
        sent != sent_.end() && stored->outcome == message_outcome::pending) {
        const auto& content = sent->second;
        if (content.kind != message_kind::callback)
            check_punctual(known->second, fmt::format("command {}", static_cast<int>(content.kind)),
                           content.sent_at);
        else if (content.expires_at)
            check_punctual(known->second, "the time limit of message " + std::to_string(sequence),
                           *content.expires_at);
    }
    if (stored->outcome == message_outcome::pending && is_finished(known->second.state))
        report_violation(fmt::format("message {} of {} waits, though the run has finished",
                                     sequence, name_of(known->second)));
    if (stored->outcome == message_outcome::pending && by_transition)
        report_violation(fmt::format("message {} of {} was settled, and waits", sequence,
                                     name_of(known->second)));
    if ((stored->outcome == message_outcome::handled ||
         stored->outcome == message_outcome::failed) &&
        !by_transition)
        report_violation(fmt::format("message {} of {} was consumed without a transition", sequence,
                                     name_of(known->second)));
}

void invariant_checker::told_reached(const record& told)
{
    reached_.push_back({told.id, told.version, told.status, told.state});
}

void invariant_checker::armed(run_id run, int status, const std::string& timeout, time_point due,
                              time_point now)
{
    armed_[{run, status, timeout, due}] = now;
}

void invariant_checker::timeout_runs(const record& run, const std::string& timeout, time_point now)
{
    const auto armed = std::ranges::find(run.deadlines, timeout, &deadline::timeout);
    if (armed == run.deadlines.end()) {
        report_violation(
            fmt::format("{}: timeout {} ran without a deadline", name_of(run), timeout));
        return;
    }
    if (armed->at > now)
        report_violation(fmt::format("{}: timeout {} ran early", name_of(run), timeout));
    if (armed->attempt == 0)
        check_punctual(run, fmt::format("timeout {}", timeout), armed->at);
    if (armed->attempt > 0 || moved_.contains({run.id, run.visit, timeout}))
        return;
    const auto noted = armed_.find({run.id, run.status, timeout, armed->at});
    if (noted == armed_.end() || noted->second != run.entered_at)
        report_violation(
            fmt::format("{}: timeout {} of status {} ran in visit {}, which did not arm it",
                        name_of(run), timeout, run.status, run.visit));
}

void invariant_checker::timeout_moved(const record& run, const std::string& timeout)
{
    moved_.insert({run.id, run.visit, timeout});
}

void invariant_checker::check_order(std::size_t hook, const event& what)
{
    auto& last = last_done_[{hook, what.run}];
    const bool is_new = !done_.contains({hook, what.run, what.version});
    if (is_new && what.version < last)
        report_violation(
            fmt::format("a hook of {} \"{}\" was called for version {} after version {}",
                        what.workflow, what.foreign_id, what.version, last));
    last = std::max(last, what.version);
    done_.insert({hook, what.run, what.version});
}

void invariant_checker::begins_hooks(const std::string& process, std::uint32_t shard)
{
    ++begun_hooks_[{process, shard}];
}

void invariant_checker::hook_done(const std::string& process, std::size_t hook, const event& what)
{
    check_order(hook, what);
    const auto begun = begun_hooks_[{process, what.shard}];
    const bool first =
        done_in_life_.emplace(process, begun, hook_call{hook, what.run, what.version}).second;
    if (!first)
        report_violation(fmt::format("{} called a hook of {} \"{}\" twice for version {}", process,
                                     what.workflow, what.foreign_id, what.version));
}

void invariant_checker::hook_failed(const std::string& process, std::size_t hook, const event& what,
                                    int max_attempts)
{
    const int failed = ++failed_in_life_[{process, hook_call{hook, what.run, what.version}}];
    if (failed >= max_attempts)
        check_order(hook, what);
}

void invariant_checker::compare(const std::vector<std::vector<event>>& log,
                                const std::vector<record>& runs)
{
    std::map<run_id, std::vector<event>> histories;
    for (std::uint32_t shard = 0; shard < log.size(); ++shard) {
        compare_shard(shard, log[shard]);
        compare_hooks(log[shard]);
        for (const auto& each : log[shard])
            histories[each.run].push_back(each);
    }
    std::set<run_id> present;
    for (const auto& run : runs) {
        present.insert(run.id);
        shown(run);
        const auto& history = histories[run.id];
        std::uint64_t version = 0;
        for (const auto& each : history)
            if (each.version != ++version) {
                report_violation(fmt::format("{}: event {} is of version {}", name_of(run), version,
                                             each.version));
                version = each.version;
            }
        if (version != run.version)
            report_violation(
                fmt::format("{} has version {} and {} events", name_of(run), run.version, version));
        else if (!history.empty() &&
                 (history.back().to != run.status || history.back().state != run.state))
            report_violation(name_of(run) + ": its last event says something else than its record");
    }
    for (const auto& [id, lost] : model_)
        if (!present.contains(id))
            report_violation(name_of(lost) + " is gone");
    compare_told(histories);
}

void invariant_checker::compare_shard(std::uint32_t shard, const std::vector<event>& log)
{
    std::uint64_t sequence = 0;
    std::map<run_id, int> status;
    for (const auto& each : log) {
        ++sequence;
        if (each.sequence != sequence && removed_.empty())
            report_violation(
                fmt::format("shard {}: event {} has sequence {}", shard, sequence, each.sequence));
        sequence = each.sequence;
        const auto [at, is_first] = status.emplace(each.run, each.to);
        if (!is_first && at->second != each.from)
            report_violation(
                fmt::format("{} \"{}\": version {} comes from status {}, but stood in {}",
                            each.workflow, each.foreign_id, each.version, each.from, at->second));
        at->second = each.to;
    }
}

void invariant_checker::compare_hooks(const std::vector<event>& log)
{
    for (const auto& each : log) {
        const auto known = workflows_.find(each.workflow);
        if (known == workflows_.end())
            continue;
        const auto& hooks = known->second->hooks;
        for (std::size_t hook = 0; hook < hooks.size(); ++hook)
            if (hooks[hook].wants(each.kind, each.from, each.to) &&
                !done_.contains({hook, each.run, each.version}))
                report_violation(fmt::format("no hook was called for version {} ({}) of {} \"{}\"",
                                             each.version, to_string(each.kind), each.workflow,
                                             each.foreign_id));
    }
}

void invariant_checker::compare_told(const std::map<run_id, std::vector<event>>& histories)
{
    for (const auto& told : reached_) {
        const auto history = histories.find(told.run);
        if (history == histories.end()) {
            if (!removed_.contains(told.run))
                report_violation("an await reported run " + to_string(told.run) +
                                 ", which there is not");
            continue;
        }
        const auto at = std::ranges::find(history->second, told.version, &event::version);
        if (at == history->second.end() || at->to != told.status || at->state != told.state)
            report_violation(
                fmt::format("an await reported run {} in status {} with version {}, which is "
                            "not in its history",
                            to_string(told.run), told.status, told.version));
    }
}

} // namespace pawl::testing::detail
