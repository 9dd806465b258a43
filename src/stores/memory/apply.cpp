#include "stores/memory/state.hpp"

#include <algorithm>
#include <cassert>

namespace pawl::memory {

namespace {

/// The events of most runs: one allocation then suffices.
constexpr std::size_t usual_events = 8;

void settle(stored_message& message, message_outcome outcome, std::string_view detail)
{
    message.end.outcome = outcome;
    message.end.detail = detail;
    // A settled payload is not needed again, and a data deletion must not leave it behind.
    message.content.payload = {};
}

/// The key in mailbox::by_key; empty when the message has no idempotency key.
std::string key_of(const message& content)
{
    return content.key.empty()
               ? ""
               : std::to_string(content.name.size()) + ":" + content.name + content.key;
}

void settle_messages(const transition& change, run_entry& run, bool finishes)
{
    if (!run.inbox || run.data.inbox_pending == 0)
        return;
    mailbox& box = *run.inbox;
    for (const settlement& end : change.settled) {
        if (end.sequence == 0 || end.sequence > box.messages.size())
            continue;
        stored_message& message = box.messages[end.sequence - 1];
        if (message.end.outcome != message_outcome::pending)
            continue;
        settle(message, end.outcome, end.detail);
        if (end.outcome == message_outcome::failed && !message.content.key.empty())
            box.by_key.erase(key_of(message.content));
        --run.data.inbox_pending;
    }
    for (; box.first_pending < box.messages.size(); ++box.first_pending) {
        stored_message& message = box.messages[box.first_pending];
        if (message.end.outcome != message_outcome::pending)
            continue;
        if (!finishes)
            break;
        settle(message, message_outcome::rejected, core::ended_detail);
        --run.data.inbox_pending;
    }
}

/// Empties the texts that a data deletion erases besides the object: see transition.
void erase_texts(run_entry& run, shard_entry& shard)
{
    for (const auto sequence : run.sequences)
        shard.event_at(sequence).erase_error();
    if (run.inbox)
        for (stored_message& message : run.inbox->messages)
            if (message.end.outcome != message_outcome::pending)
                message.end.detail = {};
}

} // namespace

void stored_event::erase_error()
{
    if (!texts_ || kind_ == event_kind::data_deletion_requested)
        return;
    if (texts_->requested_by.empty())
        texts_.reset();
    else
        texts_.reset(new texts{{}, texts_->requested_by});
}

stored_event::stored_event(run_entry& owner, core::event_entry content)
    : run(&owner), version_(content.version), at_(content.at), from_(content.from), to_(content.to),
      attempt_(content.attempt), kind_(content.kind), state_(content.state)
{
    if (!content.error.empty() || !content.requested_by.empty())
        texts_.reset(new texts{std::move(content.error), std::move(content.requested_by)});
}

std::vector<apply_result> state::apply(std::span<const change> batch)
{
    core::check_batch(batch, shards());
    // Before anything is changed, because there may be no shards left.
    for (const change& next : batch)
        if (const auto* start = std::get_if<transition>(&next);
            start && start->expected_version == 0)
            shard_for(start->next);
    std::vector<apply_result> results;
    results.reserve(batch.size());
    for (const change& next : batch)
        results.push_back(std::visit([this](const auto& one) { return apply_one(one); }, next));
    return results;
}

apply_result state::apply(const change& only)
{
    core::check_batch(std::span{&only, 1}, shards());
    return std::visit([this](const auto& one) { return apply_one(one); }, only);
}

std::uint32_t state::first_shard(std::string_view workflow)
{
    if (!own_shards_)
        return 0;
    const auto known = workflows_.find(workflow);
    if (known != workflows_.end() && known->second.first_shard)
        return *known->second.first_shard;
    core::check_first_shard(workflow, next_first_, shards_per_workflow_);
    const auto first = std::exchange(next_first_, next_first_ + shards_per_workflow_);
    if (shards_.size() < next_first_)
        shards_.resize(next_first_);
    workflows_[std::string{workflow}].first_shard = first;
    return first;
}

std::uint32_t state::shard_for(const record& run)
{
    return first_shard(shard_home(run.workflow, run.foreign_id)) +
           shard_of(run.foreign_id, shards_per_workflow_);
}

std::map<time_key, run_entry*>& state::finished_runs(const run_entry& run)
{
    return shards_[run.shard].finished[run.workflow];
}

void state::record_change(const run_entry& run, bool is_owners)
{
    if (!changes_)
        return;
    auto& due = (*changes_)[run.shard];
    const auto wake_at = run.data.wake_at;
    if (!is_owners && wake_at && (!due || *wake_at < *due))
        due = wake_at;
}

std::vector<shard_change> state::take_changes()
{
    std::vector<shard_change> changes;
    if (!changes_)
        return changes;
    for (const auto& [shard, due] : *changes_)
        changes.push_back({shard, due});
    changes_->clear();
    return changes;
}

bool state::is_fenced(std::uint32_t shard, std::uint64_t epoch) const noexcept
{
    return epoch != 0 && epoch != shards_[shard].epoch;
}

apply_result state::apply_one(const transition& change)
{
    if (change.expected_version == 0) {
        const auto shard = shard_for(change.next);
        if (is_fenced(shard, change.epoch))
            return {.status = apply_status::fenced};
        return create(change, shard);
    }
    const auto found = runs_.find(change.next.id);
    if (found == runs_.end())
        return {.status = apply_status::not_found};
    if (is_fenced(found->second.shard, change.epoch))
        return {.status = apply_status::fenced};
    const bool fits = found->second.data.version == change.expected_version;
    if (!fits)
        return {.status = apply_status::conflict};
    return update(change, found->second);
}

apply_result state::create(const transition& change, std::uint32_t shard)
{
    const record& next = change.next;
    workflow_runs& workflow = workflows_[next.workflow];
    foreign_entry& foreign = workflow.by_foreign_id[next.foreign_id];
    if (!next.start_key.empty())
        if (const auto same = foreign.by_start_key.find(next.start_key);
            same != foreign.by_start_key.end())
            return {.status = apply_status::duplicate, .existing = same->second->data.id};
    if (runs_.contains(next.id))
        return {.status = apply_status::conflict};
    if (const auto refusal =
            core::start_refusal(change.start, foreign.unfinished != nullptr, !foreign.runs.empty()))
        return {.status = *refusal,
                .existing =
                    (foreign.unfinished ? foreign.unfinished : foreign.runs.back())->data.id};

    run_entry& run = runs_[next.id];
    run.data = next;
    run.data.inbox_last = 0;
    run.data.inbox_pending = 0;
    run.data.wake_at.reset();
    run.shard = shard;
    run.workflow = &workflow;
    run.sequences.reserve(usual_events);
    set_wake(run, next.wake_at);
    created_.emplace_hint(created_.end(), creation_key{next.created_at, next.id}, &run);
    ++workflow.counts[{next.status, next.state}];
    if (next.parent) {
        children_entry& children = children_[next.parent->run];
        ++children.counts.of(next.state);
        children.runs.emplace(creation_key{next.created_at, next.id}, &run);
    }
    const auto created = [](const run_entry* entry) {
        return creation_key{entry->data.created_at, entry->data.id};
    };
    foreign.runs.insert(std::ranges::upper_bound(foreign.runs, created(&run), {}, created), &run);
    if (is_finished(next.state))
        finished_runs(run).emplace(time_key{next.updated_at, next.id}, &run);
    else
        foreign.unfinished = &run;
    if (!next.start_key.empty())
        foreign.by_start_key.emplace(next.start_key, &run);
    change_attributes(change.attributes, run);
    return {.sequence = append_event(change, run)};
}

apply_result state::update(const transition& change, run_entry& run)
{
    const record& next = change.next;
    record& data = run.data;
    assert(next.workflow == data.workflow && next.foreign_id == data.foreign_id);
    if (next.status != data.status || next.state != data.state) {
        --run.workflow->counts[{data.status, data.state}];
        ++run.workflow->counts[{next.status, next.state}];
    }
    if (data.parent && next.state != data.state) {
        child_counts& counts = children_[data.parent->run].counts;
        --counts.of(data.state);
        ++counts.of(next.state);
    }
    if (is_finished(data.state))
        finished_runs(run).erase({data.updated_at, data.id});
    else if (is_finished(next.state))
        run.workflow->by_foreign_id.find(data.foreign_id)->second.unfinished = nullptr;
    if (is_finished(next.state)) {
        auto& ended = finished_runs(run);
        ended.emplace_hint(ended.end(), time_key{next.updated_at, data.id}, &run);
    }

    const auto inbox_last = data.inbox_last;
    const auto inbox_pending = data.inbox_pending;
    const bool finishes = core::finishes(change, data.state);
    set_wake(run, core::wake_after(change, inbox_last, finishes));
    const auto wake_at = data.wake_at;
    data = next;
    data.wake_at = wake_at;
    data.inbox_last = inbox_last;
    data.inbox_pending = inbox_pending;
    settle_messages(change, run, finishes);
    change_attributes(change.attributes, run);
    if (change.kind == event_kind::data_deleted)
        erase_texts(run, shards_[run.shard]);
    return {.sequence = append_event(change, run)};
}

void state::set_wake(run_entry& run, std::optional<time_point> wake_at)
{
    auto& old = run.data.wake_at;
    if (old == wake_at)
        return;
    auto& due = shards_[run.shard].due;
    if (old && wake_at) {
        // The node is reused, because this happens at almost every transition.
        auto node = due.extract({*old, run.data.id});
        node.key().at = *wake_at;
        due.insert(std::move(node));
    } else if (wake_at) {
        due.emplace(due_position{*wake_at, run.data.id}, &run);
    } else {
        due.erase({*old, run.data.id});
    }
    old = wake_at;
}

void state::change_attributes(const attribute_changes& changes, run_entry& run)
{
    if (changes.empty() || (!run.attributes && changes.values.empty()))
        return;
    auto& indexes = run.workflow->attributes;
    const auto key_of = [&run](const std::string& value) {
        return attribute_index::key_type{value, run.data.created_at, run.data.id};
    };
    if (!run.attributes)
        run.attributes = std::make_unique<attribute_map>();
    auto& stored = *run.attributes;
    const auto remove = [&](attribute_map::iterator gone) {
        indexes[gone->first].erase(key_of(gone->second));
        return stored.erase(gone);
    };
    if (changes.replaces_all)
        for (auto entry = stored.begin(); entry != stored.end();)
            entry = remove(entry);
    for (const stored_attribute& changed : changes.values) {
        if (const auto before = stored.find(changed.name); before != stored.end())
            remove(before);
        if (!changed.value)
            continue;
        auto value = core::encode_attribute(*changed.value);
        indexes[changed.name].emplace(key_of(value), &run);
        stored.emplace(changed.name, std::move(value));
    }
    if (stored.empty())
        run.attributes.reset();
}

apply_result state::apply_one(const attribute_update& change)
{
    const auto found = runs_.find(change.run);
    if (found == runs_.end())
        return {.status = apply_status::not_found};
    run_entry& run = found->second;
    if (run.data.version != change.expected_version)
        return {.status = apply_status::conflict};
    change_attributes(change.attributes, run);
    return {};
}

std::uint64_t state::append_event(const transition& change, run_entry& run)
{
    auto& log = shards_[run.shard].log;
    const auto sequence = shards_[run.shard].end();
    log.emplace_back(run, core::make_event(change));
    run.sequences.push_back(sequence);
    record_change(run, change.epoch != 0);
    return sequence;
}

apply_result state::apply_one(const removal& change)
{
    const auto found = runs_.find(change.run);
    if (found == runs_.end())
        return {.status = apply_status::not_found};
    run_entry& run = found->second;
    const record& data = run.data;
    if (is_fenced(run.shard, change.epoch))
        return {.status = apply_status::fenced};
    if (data.version != change.expected_version)
        return {.status = apply_status::conflict};
    if (!is_finished(data.state))
        return {.status = apply_status::already_running};

    set_wake(run, {});
    change_attributes({.replaces_all = true}, run);
    shard_entry& shard = shards_[run.shard];
    for (const auto sequence : run.sequences)
        shard.event_at(sequence) = {};
    for (; !shard.log.empty() && !shard.log.front().run; ++shard.first)
        shard.log.pop_front();
    workflow_runs& workflow = *run.workflow;
    --workflow.counts[{data.status, data.state}];
    finished_runs(run).erase({data.updated_at, data.id});
    created_.erase({data.created_at, data.id});
    if (data.parent) {
        const auto children = children_.find(data.parent->run);
        --children->second.counts.of(data.state);
        children->second.runs.erase({data.created_at, data.id});
        if (children->second.runs.empty())
            children_.erase(children);
    }
    const auto foreign = workflow.by_foreign_id.find(data.foreign_id);
    std::erase(foreign->second.runs, &run);
    if (!data.start_key.empty())
        foreign->second.by_start_key.erase(data.start_key);
    if (foreign->second.runs.empty())
        workflow.by_foreign_id.erase(foreign);
    runs_.erase(found);
    return {};
}

apply_result state::apply_one(const delivery& change)
{
    const auto found = runs_.find(change.content.run);
    if (found == runs_.end())
        return {.status = apply_status::not_found};
    run_entry& run = found->second;
    const auto key = key_of(change.content);
    if (run.inbox && !key.empty()) {
        const auto same = run.inbox->by_key.find(key);
        if (same != run.inbox->by_key.end()) {
            const settlement& end = run.inbox->messages[same->second - 1].end;
            return {.status = apply_status::duplicate,
                    .sequence = same->second,
                    .existing = run.data.id,
                    .outcome = end.outcome,
                    .detail = end.detail};
        }
    }
    if (!core::accepts_message(run.data.state, change.content.kind))
        return {.status = apply_status::finished};
    if (core::is_inbox_full(change, run.data.inbox_pending))
        return {.status = apply_status::inbox_full};

    if (!run.inbox)
        run.inbox = std::make_unique<mailbox>();
    const auto sequence = ++run.data.inbox_last;
    ++run.data.inbox_pending;
    stored_message& stored =
        run.inbox->messages.emplace_back(stored_message{change.content, {.sequence = sequence}});
    stored.content.sequence = sequence;
    if (!key.empty())
        run.inbox->by_key.emplace(key, sequence);
    set_wake(run, core::wake_after(change.content, run.data.wake_at));
    record_change(run, false);
    return {.sequence = sequence};
}

apply_result state::apply_one(const cursor_move& change)
{
    if (is_fenced(change.shard, change.epoch))
        return {.status = apply_status::fenced};
    auto& position = shards_[change.shard].cursors[change.name];
    position = std::max(position, change.position);
    return {};
}

std::vector<lease> state::claim(std::span<const std::uint32_t> wanted, std::string_view owner,
                                time_point now, time_point until)
{
    core::check_claim(wanted, owner, shards());
    std::vector<lease> taken;
    for (const auto shard : wanted) {
        shard_entry& entry = shards_[shard];
        if (entry.owner != owner) {
            if (!entry.owner.empty() && entry.lease_until > now)
                continue;
            entry.owner = owner;
            ++entry.epoch;
        }
        entry.lease_until = until;
        taken.push_back({shard, entry.epoch, entry.owner, until});
    }
    return taken;
}

void state::release(std::span<const lease> held)
{
    for (const auto& lease : held) {
        core::check_shard(lease.shard, shards());
        shard_entry& entry = shards_[lease.shard];
        if (entry.epoch == lease.epoch)
            entry.owner.clear();
    }
}

std::vector<lease> state::leases() const
{
    std::vector<lease> all;
    for (std::uint32_t shard = 0; shard < shards(); ++shard) {
        const shard_entry& entry = shards_[shard];
        all.push_back({shard, entry.epoch, entry.owner, entry.lease_until});
    }
    return all;
}

} // namespace pawl::memory
