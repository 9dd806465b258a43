#include "stores/postgres/batch.hpp"

#include "core/stream_headers.hpp"
#include "stores/common/attribute_ranges.hpp"
#include "stores/common/change_size.hpp"
#include "stores/common/record_details.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/postgres/encode.hpp"
#include "stores/postgres/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace pawl::postgres {

namespace {

constexpr std::uint32_t max_int4 = std::numeric_limits<std::int32_t>::max();

/// A key of one of several kinds in one table. The length of the first part makes it unambiguous.
std::string key_of(char kind, std::string_view first, std::string_view second)
{
    return fmt::format("{}{}:{}{}", kind, first.size(), first, second);
}

/// Assigns waves to the changes, in the order of the batch.
class wave_assigner {
public:
    int operator()(const transition& change)
    {
        const record& next = change.next;
        int& run = wave_of(transitions_, as_text(next.id));
        // One run of a foreign id may end in the batch in which the next one starts.
        int& foreign = wave_of(others_, key_of('f', next.workflow, next.foreign_id));
        const int wave =
            std::max({run, foreign, wave_after(deliveries_, as_text(next.id)), barrier_});
        last_ = std::max(last_, wave);
        run = foreign = wave + 1;
        return wave;
    }

    int operator()(const delivery& change)
    {
        const auto id = as_text(change.content.run);
        int wave = std::max(wave_after(transitions_, id) - 1, barrier_);
        int& run = wave_of(deliveries_, id);
        wave = std::max(wave, run - 1);
        int* key = nullptr;
        if (!change.content.key.empty()) {
            key = &wave_of(others_,
                           key_of('m', std::string{id} + change.content.name, change.content.key));
            wave = std::max(wave, *key);
        }
        // A message that is rejected for its limit counts, for the rest of its wave, against
        // messages with higher limits.
        auto& limits = limits_[std::string{id}];
        if (wave == limits.wave && limits.lowest > 0 && change.max_pending > limits.lowest)
            ++wave;
        if (wave != limits.wave)
            limits = {wave, 0};
        if (change.max_pending > 0 && (limits.lowest == 0 || change.max_pending < limits.lowest))
            limits.lowest = change.max_pending;
        if (key)
            *key = wave + 1;
        last_ = std::max(last_, wave);
        run = wave + 1;
        return wave;
    }

    int operator()(const removal& change)
    {
        // A removal frees a foreign id that is unknown here.
        int& run = wave_of(others_, key_of('r', as_text(change.run), {}));
        const int wave = std::max({last_, run, barrier_ - 1});
        last_ = wave;
        run = barrier_ = wave + 1;
        return wave;
    }

    int operator()(const cursor_move&) { return 0; }

    int operator()(const publication& change)
    {
        int& topic = wave_of(others_, key_of('t', change.topic, {}));
        int wave = topic;
        if (!change.content.id.empty()) {
            int& id = wave_of(others_, key_of('e', change.topic, change.content.id));
            wave = std::max(wave, id);
            id = wave + 1;
        }
        int& latest = wave_of(publications_, change.topic);
        wave = std::max(wave, latest);
        latest = wave;
        return wave;
    }

    int operator()(const attribute_update&) { return 0; }

    int operator()(const topic_trim& change)
    {
        const int wave = wave_after(publications_, change.topic);
        int& topic = wave_of(others_, key_of('t', change.topic, {}));
        topic = std::max(topic, wave + 1);
        return wave;
    }

private:
    /// By key, the first wave that a later change may have; 0 at first.
    using table = std::unordered_map<std::string, int>;

    static int& wave_of(table& waves, std::string_view key) { return waves[std::string{key}]; }

    static int wave_after(const table& waves, std::string_view key)
    {
        const auto found = waves.find(std::string{key});
        return found == waves.end() ? 0 : found->second;
    }

    /// The limits of the messages to one run in its latest wave.
    struct wave_limits {
        int wave = -1;
        std::uint32_t lowest = 0; ///< of those above 0; 0: none
    };

    table transitions_;
    table deliveries_;
    std::unordered_map<std::string, wave_limits> limits_; ///< by run
    table publications_; ///< the wave of a topic's latest publication
    table others_;
    int last_ = 0;    ///< the latest wave of a change of a run
    int barrier_ = 0; ///< the first wave after the last removal
};

void add_event(row_array& row, const transition& change)
{
    const auto entry = core::make_event(change);
    row.int2(static_cast<std::int16_t>(entry.kind))
        .int4(entry.from)
        .bytes_or_null(entry.error)
        .bytes_or_null(entry.requested_by);
}

/// The fields that never change are sent only when the run starts.
void add_identity(row_array& row, const record& next, bool starts)
{
    const std::string_view none;
    if (starts)
        row.bytes(next.foreign_id);
    else
        row.bytes_or_null(none);
    row.bytes_or_null(starts ? std::string_view{next.start_key} : none);
    row.bytes_or_null(starts ? std::string_view{next.trace_parent} : none);
    row.time(next.created_at);
}

void add_progress(row_array& row, const record& next)
{
    row.int8(clamp(next.version))
        .time(next.updated_at)
        .time(next.entered_at)
        .time(next.not_before)
        .time(next.wake_at)
        .int8(next.visit)
        .int8(next.object_version)
        .int4(next.status)
        .int4(next.attempt)
        .int2(static_cast<std::int16_t>(next.state))
        .boolean(is_finished(next.state))
        .boolean(next.step_done)
        .bytes_or_null(next.last_error)
        .bytes_or_null(next.reason)
        .bytes_or_null(core::encode_details(next))
        .bytes(next.object);
}

/// Encodes the changes of a batch as one array for each kind.
class batch_encoder {
public:
    batch_encoder(std::uint32_t shards, const type_numbers& types, const workflow_lookup& workflows)
        : shards_(shards), workflows_(workflows), transitions_(types.transition, 33),
          settlements_(types.settlement, 4), deliveries_(types.delivery, 12),
          cursors_(types.cursor, 5), removals_(types.removal, 5),
          publications_(types.publication, 10), trims_(types.trim, 4),
          attributes_(types.attribute, 4), updates_(types.attribute_update, 3)
    {
    }

    void add(int index, int wave, const transition& change)
    {
        const record& next = change.next;
        transitions_.row()
            .int4(index)
            .int4(wave)
            .id(next.id)
            .int4(static_cast<std::int32_t>(shard_for(next)))
            .int8(clamp(change.expected_version))
            .int8(clamp(change.epoch))
            .boolean(change.start == id_reuse_policy::reject_duplicate)
            .int8(clamp(change.inbox_seen));
        add_event(transitions_, change);
        transitions_.int4(workflows_(next.workflow).number);
        add_identity(transitions_, next, change.expected_version == 0);
        add_progress(transitions_, next);
        // The statement takes one settlement of each message.
        std::unordered_set<std::uint64_t> settled;
        for (const settlement& end : change.settled)
            if (settled.insert(end.sequence).second)
                settlements_.row()
                    .int4(index)
                    .int8(clamp(end.sequence))
                    .int2(static_cast<std::int16_t>(end.outcome))
                    .bytes_or_null(end.detail);
        add_attributes(index, next.id, change.attributes);
    }

    void add(int index, int wave, const delivery& change)
    {
        const message& content = change.content;
        deliveries_.row()
            .int4(index)
            .int4(wave)
            .id(content.run)
            .time(content.sent_at)
            .time(content.expires_at)
            .int2(static_cast<std::int16_t>(content.kind))
            .bytes(content.name)
            .bytes_or_null(content.key)
            .bytes_or_null(content.requested_by)
            .int8(content.payload_version)
            .bytes(content.payload)
            .int4(static_cast<std::int32_t>(std::min<std::uint32_t>(change.max_pending, max_int4)));
    }

    void add(int index, int, const cursor_move& change)
    {
        cursors_.row()
            .int4(index)
            .int4(static_cast<std::int32_t>(change.shard))
            .bytes(change.name)
            .text(std::to_string(change.position))
            .int8(clamp(change.epoch));
    }

    void add(int index, int wave, const removal& change)
    {
        removals_.row().int4(index).int4(wave).id(change.run).int8(clamp(change.expected_version));
        removals_.int8(clamp(change.epoch));
        add_attributes(index, change.run, {.replaces_all = true, .values = {}});
    }

    void add(int index, int wave, const publication& change)
    {
        const stream_event& content = change.content;
        publications_.row()
            .int4(index)
            .int4(wave)
            .bytes(change.topic)
            .time(content.at)
            .bytes_or_null(content.id)
            .bytes_or_null(content.key)
            .bytes_or_null(content.type)
            .bytes_or_null(core::encode_headers(content.headers))
            .bytes_or_null(content.trace_parent)
            .bytes(content.payload);
    }

    void add(int index, int wave, const topic_trim& change)
    {
        trims_.row().int4(index).int4(wave).bytes(change.topic).int8(clamp(change.up_to));
    }

    void add(int index, int, const attribute_update& change)
    {
        updates_.row().int4(index).id(change.run).int8(clamp(change.expected_version));
        add_attributes(index, change.run, change.attributes);
    }

    encoded_batch finish(int last_wave)
    {
        encoded_batch encoded;
        auto& all = encoded.values;
        if (!updates_.empty()) {
            encoded.function = batch_function::update_attributes;
            all.bytes(updates_.finish());
            encoded.attributes = attributes_.finish();
            return encoded;
        }
        if (!attributes_.empty()) {
            encoded.function = batch_function::apply_with_attributes;
            encoded.attributes = attributes_.finish();
        }
        for (row_array* rows : {&transitions_, &settlements_, &deliveries_, &cursors_, &removals_,
                                &publications_, &trims_})
            all.bytes(rows->finish());
        all.int4(last_wave);
        return encoded;
    }

private:
    void add_attributes(int index, const run_id& run, const attribute_changes& changes)
    {
        if (changes.replaces_all)
            attributes_.row().int4(index).id(run).bytes_or_null({}).bytes_or_null({});
        for (const stored_attribute& changed : changes.values) {
            attributes_.row().int4(index).id(run).bytes(changed.name);
            if (changed.value)
                attributes_.bytes(core::encode_attribute(*changed.value));
            else
                attributes_.bytes_or_null({});
        }
    }

    std::uint32_t shard_for(const record& run) const
    {
        const auto home = workflows_(shard_home(run.workflow, run.foreign_id));
        return home.first_shard.value() + shard_of(run.foreign_id, shards_);
    }

    const std::uint32_t shards_;
    const workflow_lookup& workflows_;
    row_array transitions_;
    row_array settlements_;
    row_array deliveries_;
    row_array cursors_;
    row_array removals_;
    row_array publications_;
    row_array trims_;
    row_array attributes_;
    row_array updates_;
};

} // namespace

std::vector<int> waves_of(std::span<const change> batch)
{
    std::vector<int> waves;
    waves.reserve(batch.size());
    wave_assigner assign;
    for (const change& candidate : batch)
        waves.push_back(std::visit(assign, candidate));
    return waves;
}

std::size_t count_within_waves(std::span<const change> batch, int waves)
{
    if (batch.size() <= static_cast<std::size_t>(waves))
        return batch.size();
    wave_assigner assign;
    const auto over = std::ranges::find_if(
        batch, [&](const change& candidate) { return std::visit(assign, candidate) >= waves; });
    return static_cast<std::size_t>(over - batch.begin());
}

std::size_t count_for_one_statement(std::span<const change> batch) noexcept
{
    if (batch.empty())
        return 0;
    const bool updates = std::holds_alternative<attribute_update>(batch.front());
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (std::holds_alternative<attribute_update>(batch[i]) != updates)
            return i;
        if (std::holds_alternative<topic_trim>(batch[i]))
            return i + 1;
    }
    return batch.size();
}

std::size_t count_fitting(std::span<const change> batch, std::size_t bytes) noexcept
{
    std::size_t count = 0;
    std::size_t sum = 0;
    for (const change& candidate : batch) {
        sum += core::change_size(candidate);
        if (sum > bytes && count > 0)
            break;
        ++count;
    }
    return count;
}

std::size_t count_whole_units(std::span<const change> batch, std::size_t count) noexcept
{
    const auto is_publication = [batch](std::size_t index) {
        return std::holds_alternative<publication>(batch[index]);
    };
    if (count == batch.size() || !is_publication(count))
        return count;
    auto leader = count - 1;
    while (leader > 0 && is_publication(leader))
        --leader;
    if (leader > 0)
        return leader;
    if (is_publication(0))
        return count;
    while (count < batch.size() && is_publication(count))
        ++count;
    return count;
}

encoded_batch encode_batch(std::span<const change> batch, std::uint32_t shards,
                           const type_numbers& types, const workflow_lookup& workflows)
{
    const auto waves = waves_of(batch);
    batch_encoder encoder{shards, types, workflows};
    for (std::size_t i = 0; i < batch.size(); ++i)
        std::visit([&](const auto& one) { encoder.add(static_cast<int>(i), waves[i], one); },
                   batch[i]);
    return encoder.finish(waves.empty() ? 0 : *std::ranges::max_element(waves));
}

namespace {

bool is_by_owner(const change& applied)
{
    const auto* step = std::get_if<transition>(&applied);
    return step && step->epoch != 0;
}

/// Whether a result of this status has apply_result::existing.
bool names_existing(apply_status status)
{
    return status == apply_status::duplicate || status == apply_status::already_running ||
           status == apply_status::already_ran;
}

} // namespace

std::vector<apply_result> decode_results(result& rows, std::span<const change> batch,
                                         std::vector<stored_wake>& wakes,
                                         std::vector<seen_event>& events)
{
    const auto changes = batch.size();
    std::vector<apply_result> results(changes);
    std::size_t decided_count = 0;
    while (rows.next()) {
        const auto index = static_cast<std::size_t>(rows.integer());
        const auto status = rows.integer();
        if (index >= changes || status < 0 ||
            status > static_cast<std::int64_t>(apply_status::inbox_full))
            rows.throw_corrupt(fmt::format("apply() returned unknown status {}", status));
        ++decided_count;
        apply_result& result = results[index];
        result.status = static_cast<apply_status>(status);
        const auto number_or_0 = [&rows]() -> std::int64_t {
            if (!rows.is_null())
                return rows.integer();
            rows.skip();
            return 0;
        };
        result.sequence = static_cast<std::uint64_t>(number_or_0());
        rows.read(result.existing);
        if (!names_existing(result.status))
            result.existing = {};
        result.outcome = static_cast<message_outcome>(number_or_0());
        rows.read(result.detail);
        stored_wake wake;
        const bool has_shard = !rows.is_null();
        wake.shard = static_cast<std::uint32_t>(number_or_0());
        rows.read(wake.at);
        if (is_by_owner(batch[index]))
            wake.at.reset();
        if (!has_shard || result.status != apply_status::accepted)
            continue;
        wakes.push_back(wake);
        if (const auto* step = std::get_if<transition>(&batch[index]))
            events.push_back({wake.shard, result.sequence, step->next.id, step->next.version});
    }
    if (decided_count != changes)
        rows.throw_corrupt(fmt::format("apply() decided {} of {} changes", decided_count, changes));
    return results;
}

} // namespace pawl::postgres
