#include "stores/memory/state.hpp"

#include "pawl/error.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace pawl::memory {

namespace {

/// Greater than the key of every run: no id of version 7 has all bits set.
const state::creation_key last_key = [] {
    state::creation_key key{time_point::max(), {}};
    key.second.bytes.fill(0xff);
    return key;
}();

/// True when neither this run nor any later one in the order of the query can match.
bool past_end(const record_query& query, time_point created_at)
{
    if (query.order == sort_order::oldest_first)
        return query.created_to && created_at >= *query.created_to;
    return query.created_from && created_at < *query.created_from;
}

bool has_attributes(const run_entry& run, const std::vector<core::attribute_range>& wanted)
{
    return std::ranges::all_of(wanted, [&run](const core::attribute_range& range) {
        if (!run.attributes)
            return false;
        const auto stored = run.attributes->find(range.name);
        return stored != run.attributes->end() && range.contains(stored->second);
    });
}

} // namespace

const record* state::find(run_id id) const
{
    const auto found = runs_.find(id);
    return found == runs_.end() ? nullptr : &found->second.data;
}

const record* state::latest(std::string_view workflow, std::string_view foreign_id) const
{
    const auto named = workflows_.find(workflow);
    if (named == workflows_.end())
        return nullptr;
    const auto found = named->second.by_foreign_id.find(foreign_id);
    if (found == named->second.by_foreign_id.end() || found->second.runs.empty())
        return nullptr;
    const foreign_entry& entry = found->second;
    return &(entry.unfinished ? entry.unfinished : entry.runs.back())->data;
}

std::vector<status_count> state::count(std::string_view workflow, bool unfinished_only) const
{
    std::vector<status_count> counts;
    for (const auto& [name, entry] : workflows_) {
        if (!workflow.empty() && workflow != name)
            continue;
        for (const auto& [key, runs] : entry.counts)
            if (runs > 0 && !(unfinished_only && is_finished(key.second)))
                counts.push_back({name, key.first, key.second, runs});
    }
    return counts;
}

child_counts state::count_children(run_id parent) const
{
    const auto found = children_.find(parent);
    return found == children_.end() ? child_counts{} : found->second.counts;
}

/// The runs to check for a listing.
const state::creation_index& state::index_of(const record_query& query) const
{
    static const creation_index none;
    if (!query.parent)
        return created_;
    const auto found = children_.find(*query.parent);
    return found == children_.end() ? none : found->second.runs;
}

due_page state::due(std::uint32_t shard, const due_position& from, time_point until,
                    std::size_t limit) const
{
    core::check_shard(shard, shards());
    const auto& index = shards_[shard].due;
    due_page page;
    auto next = index.lower_bound(from);
    for (; next != index.end() && next->first.at <= until && page.runs.size() < limit; ++next)
        page.runs.push_back(next->second->data);
    if (next != index.end())
        page.next = next->first;
    return page;
}

core::event_entry stored_event::content() const
{
    core::event_entry whole{kind_, version_, from_, to_, state_, attempt_, {}, {}, at_};
    if (texts_) {
        whole.error = texts_->error;
        whole.requested_by = texts_->requested_by;
    }
    return whole;
}

event state::event_at(std::uint32_t shard, std::uint64_t sequence) const
{
    const stored_event& entry = shards_[shard].event_at(sequence);
    const record& run = entry.run->data;
    return core::complete_event(entry.content(), shard, sequence, run.id, run.workflow,
                                run.foreign_id);
}

std::vector<record> state::finished_before(std::uint32_t shard, std::string_view workflow,
                                           time_point before, std::size_t limit) const
{
    return finished_behind(shard, workflow, {}, before, limit);
}

std::uint64_t state::log_end(std::uint32_t shard) const
{
    core::check_shard(shard, shards());
    return shards_[shard].end() - 1;
}

std::vector<record> state::finished_behind(std::uint32_t shard, std::string_view workflow,
                                           const finished_position& after, time_point before,
                                           std::size_t limit) const
{
    core::check_shard(shard, shards());
    std::vector<record> found;
    const auto named = workflows_.find(workflow);
    if (named == workflows_.end())
        return found;
    const auto& by_workflow = shards_[shard].finished;
    const auto runs = by_workflow.find(&named->second);
    if (runs == by_workflow.end())
        return found;
    for (auto next = runs->second.upper_bound({after.at, after.id}); next != runs->second.end();
         ++next) {
        if (next->first.first >= before || found.size() == limit)
            break;
        found.push_back(next->second->data);
    }
    return found;
}

std::vector<event> state::events(std::uint32_t shard, std::uint64_t after, std::size_t limit) const
{
    core::check_shard(shard, shards());
    std::vector<event> found;
    const shard_entry& from = shards_[shard];
    if (after == ~std::uint64_t{})
        return found;
    for (auto sequence = std::max(after + 1, from.first);
         sequence < from.end() && found.size() < limit; ++sequence)
        if (from.event_at(sequence).run)
            found.push_back(event_at(shard, sequence));
    return found;
}

std::vector<event> state::history(run_id run, std::uint64_t after, std::size_t limit) const
{
    std::vector<event> found;
    const auto entry = runs_.find(run);
    if (entry == runs_.end())
        return found;
    const auto& sequences = entry->second.sequences;
    for (auto version = after; version < sequences.size() && found.size() < limit; ++version)
        found.push_back(event_at(entry->second.shard, sequences[version]));
    return found;
}

std::vector<message> state::inbox(run_id run, std::uint64_t after, std::size_t limit) const
{
    std::vector<message> found;
    const auto entry = runs_.find(run);
    if (entry == runs_.end() || !entry->second.inbox)
        return found;
    const mailbox& box = *entry->second.inbox;
    for (std::uint64_t i = std::max<std::uint64_t>(after, box.first_pending);
         i < box.messages.size() && found.size() < limit; ++i)
        if (box.messages[i].end.outcome == message_outcome::pending)
            found.push_back(box.messages[i].content);
    return found;
}

std::optional<settlement> state::outcome(run_id run, std::uint64_t sequence) const
{
    const auto entry = runs_.find(run);
    if (entry == runs_.end() || !entry->second.inbox || sequence == 0 ||
        sequence > entry->second.inbox->messages.size())
        return {};
    return entry->second.inbox->messages[sequence - 1].end;
}

std::uint64_t state::cursor(std::string_view name, std::uint32_t shard) const
{
    core::check_shard(shard, shards());
    const auto& cursors = shards_[shard].cursors;
    const auto found = cursors.find(name);
    return found == cursors.end() ? 0 : found->second;
}

state::scan state::begin_list(const record_query& query) const
{
    core::check_query(query);
    const bool newest_first = query.order == sort_order::newest_first;
    auto attributes = core::attribute_ranges(query);
    if (query.after)
        return {{query.after.created_at, query.after.run}, true, std::move(attributes)};
    if (newest_first)
        return {query.created_to ? creation_key{*query.created_to, {}} : last_key, false,
                std::move(attributes)};
    return {{query.created_from.value_or(time_point::min()), {}}, false, std::move(attributes)};
}

template <typename Index, typename KeyOf>
bool state::scan_index(const Index& index, typename Index::const_iterator first,
                       typename Index::const_iterator last, KeyOf key_of, const record_query& query,
                       scan& position, std::size_t budget, record_page& page)
{
    const bool newest_first = query.order == sort_order::newest_first;
    // `next` is the next run to check, or for newest_first the one after it in the index.
    auto next = newest_first || !position.started ? index.lower_bound(key_of(position.key))
                                                  : index.upper_bound(key_of(position.key));
    for (; budget > 0; --budget) {
        if (next == (newest_first ? first : last))
            return true;
        const auto current = newest_first ? std::prev(next) : next;
        const run_entry& run = *current->second;
        position.key = {run.data.created_at, run.data.id};
        position.started = true;
        if (past_end(query, run.data.created_at))
            return true;
        if (core::matches(query, run.data) && has_attributes(run, position.attributes)) {
            if (page.runs.size() == query.limit) {
                page.next = core::position_of(page.runs.back());
                return true;
            }
            page.runs.push_back(run.data);
        }
        next = newest_first ? current : std::next(current);
    }
    return false;
}

/// Adds the runs of the foreign ids that match, without checking all runs.
void state::list_foreign_ids(const record_query& query,
                             const std::vector<core::attribute_range>& attributes,
                             record_page& page) const
{
    const bool newest_first = query.order == sort_order::newest_first;
    const auto named = workflows_.find(query.workflow);
    if (named == workflows_.end())
        return;
    const creation_key after{query.after.created_at, query.after.run};
    std::map<creation_key, const record*> found;
    for (const auto& foreign_id : *query.foreign_ids) {
        const auto entry = named->second.by_foreign_id.find(foreign_id);
        if (entry == named->second.by_foreign_id.end())
            continue;
        for (const auto* run : entry->second.runs) {
            const creation_key key{run->data.created_at, run->data.id};
            const bool is_behind = !query.after || (newest_first ? key < after : after < key);
            if (is_behind && core::matches(query, run->data) && has_attributes(*run, attributes))
                found.emplace(key, &run->data);
        }
    }
    while (!found.empty() && page.runs.size() < query.limit) {
        const auto first = newest_first ? std::prev(found.end()) : found.begin();
        page.runs.push_back(*first->second);
        found.erase(first);
    }
    if (!found.empty())
        page.next = core::position_of(page.runs.back());
}

bool state::continue_list(const record_query& query, scan& position, std::size_t budget,
                          record_page& page) const
{
    if (core::matches_nothing(query))
        return true;
    if (query.foreign_ids && !query.workflow.empty()) {
        list_foreign_ids(query, position.attributes, page);
        return true;
    }
    const auto& created = index_of(query);
    if (query.parent || position.attributes.empty() || !position.attributes.front().is_equality())
        return scan_index(created, created.begin(), created.end(), std::identity{}, query, position,
                          budget, page);
    const auto& wanted = position.attributes.front();
    const auto workflow = workflows_.find(query.workflow);
    if (workflow == workflows_.end())
        return true;
    const auto index = workflow->second.attributes.find(wanted.name);
    if (index == workflow->second.attributes.end())
        return true;
    const auto key_of = [&wanted](const creation_key& key) {
        return attribute_index::key_type{wanted.first, key.first, key.second};
    };
    const auto& runs = index->second;
    return scan_index(runs, runs.lower_bound({wanted.first, time_point::min(), {}}),
                      runs.lower_bound({wanted.end, time_point::min(), {}}), key_of, query,
                      position, budget, page);
}

} // namespace pawl::memory
