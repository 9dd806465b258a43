#include "stores/sqlite/writer.hpp"

#include "stores/common/record_details.hpp"
#include "stores/common/row_mapping.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/sqlite/error.hpp"
#include "stores/sqlite/schema.hpp"

#include <fmt/format.h>

namespace pawl::sqlite {

namespace {

/// The columns that a transition changes, in the order of bind_progress. No index of unfinished
/// runs has one of them.
constexpr std::string_view progress =
    "version = ?, state = ?, status = ?, visit = ?, entered_at = ?, attempt = ?, step_done = ?, "
    "not_before = ?, updated_at = ?, inbox_pending = ?, last_event = ?, last_error = ?, "
    "reason = ?, object_version = ?, details = ?, object = ?";

execution& bind_progress(execution& row, const record& next, std::uint32_t inbox_pending,
                         std::int64_t last_event, std::string_view details)
{
    return row.bind(next.version)
        .bind(static_cast<int>(next.state))
        .bind(next.status)
        .bind(next.visit)
        .bind(next.entered_at)
        .bind(next.attempt)
        .bind(next.step_done)
        .bind(next.not_before)
        .bind(next.updated_at)
        .bind(inbox_pending)
        .bind(last_event)
        .bind(next.last_error)
        .bind(next.reason)
        .bind(next.object_version)
        .blob_or_null(details)
        .blob(next.object);
}

std::string_view bytes_of(const run_id& id)
{
    return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

// When a constraint is violated, nothing is inserted and the caller determines which one it was.
constexpr std::string_view insert_run =
    "INSERT INTO runs (version, state, status, visit, entered_at, attempt, step_done, not_before, "
    "updated_at, inbox_pending, last_event, last_error, reason, object_version, details, object, "
    "wake_at, "
    "finished, id, workflow, foreign_id, shard, created_at, inbox_last, start_key, trace_parent, "
    "parent) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?) "
    "ON CONFLICT DO NOTHING";

} // namespace

writer::writer(connection& database, database_file* file)
    : database_(database), file_(file), read_data_version_(database, "PRAGMA data_version"),
      find_run_(database, "SELECT row, shard, workflow, version, state, status, wake_at, "
                          "inbox_last, inbox_pending, last_event, parent FROM runs WHERE id = ?"),
      find_start_key_(database, "SELECT id FROM runs WHERE workflow = ? AND foreign_id = ? AND "
                                "start_key = ? AND start_key <> ''"),
      find_unfinished_(database, "SELECT id FROM runs WHERE workflow = ? AND foreign_id = ? AND "
                                 "finished = 0"),
      find_latest_(database, "SELECT id FROM runs WHERE workflow = ? AND foreign_id = ? "
                             "ORDER BY created_at DESC, id DESC LIMIT 1"),
      insert_run_(database, insert_run),
      // SQLite updates an index whenever one of its columns is set, even to the same value: there
      // is a statement for each set of indexed columns that a transition may change.
      update_run_(database, fmt::format("UPDATE runs SET {} WHERE row = ?", progress)),
      update_run_and_wake_(database,
                           fmt::format("UPDATE runs SET {}, wake_at = ? WHERE row = ?", progress)),
      finish_run_(database, fmt::format("UPDATE runs SET {}, wake_at = ?, finished = ? "
                                        "WHERE row = ?",
                                        progress)),
      insert_event_(database, "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      insert_mark_(database, "INSERT INTO marks VALUES (?, ?, ?)"),
      insert_workflow_(database, "INSERT INTO workflows (name) VALUES (?)"),
      update_count_(database, "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                              "runs = runs + excluded.runs"),
      update_child_count_(database, "INSERT INTO child_counts VALUES (?, ?, ?) ON CONFLICT DO "
                                    "UPDATE SET runs = runs + excluded.runs"),
      remove_child_count_(database, "DELETE FROM child_counts WHERE parent = ? AND state = ? AND "
                                    "runs = 0"),
      update_sequence_(database, "UPDATE shards SET next_sequence = ? WHERE shard = ?"),
      update_owner_(database, "UPDATE shards SET owner = ?, epoch = ?, lease_until = ? "
                              "WHERE shard = ?"),
      find_message_key_(database, "SELECT sequence, outcome, detail FROM messages WHERE run = ? "
                                  "AND name = ? AND key = ? AND key <> ''"),
      insert_message_(database, "INSERT INTO messages (run, sequence, kind, outcome, sent_at, "
                                "expires_at, name, key, requested_by, detail, "
                                "payload_version, payload) "
                                "VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, '', ?, ?)"),
      deliver_(database, "UPDATE runs SET inbox_last = ?, inbox_pending = ? WHERE row = ?"),
      deliver_and_wake_(database, "UPDATE runs SET inbox_last = ?, inbox_pending = ?, "
                                  "wake_at = ? WHERE row = ?"),
      settle_one_(database, "UPDATE messages SET outcome = ?, detail = ?, payload = x'' "
                            "WHERE run = ? AND sequence = ? AND outcome = 0"),
      free_message_key_(database, "UPDATE messages SET key = '' WHERE run = ? AND sequence = ?"),
      settle_rest_(database, "UPDATE messages SET outcome = ?, detail = ?, payload = x'' "
                             "WHERE run = ? AND outcome = 0"),
      find_cursor_(database, "SELECT position FROM cursors WHERE shard = ? AND name = ?"),
      move_cursor_(database, "INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
                             "position = excluded.position"),
      find_before_(database, "SELECT before FROM events WHERE position = ?"),
      remove_event_(database, "DELETE FROM events WHERE position = ?"),
      erase_error_(database, "UPDATE events SET error = '' WHERE position = ? AND error <> '' "
                             "AND kind <> ?"),
      erase_details_(database, "UPDATE messages SET detail = '' WHERE run = ? AND outcome <> 0"),
      remove_marks_(database, "DELETE FROM marks WHERE run = ?"),
      remove_messages_(database, "DELETE FROM messages WHERE run = ?"),
      remove_run_(database, "DELETE FROM runs WHERE row = ?"),
      find_topic_(database, "SELECT topic, next_position FROM topics WHERE name = ?"),
      insert_topic_(database, "INSERT INTO topics (name, next_position) VALUES (?, 1)"),
      update_topic_(database, "UPDATE topics SET next_position = ? WHERE topic = ?"),
      find_event_id_(database, "SELECT position FROM topic_events WHERE topic = ? AND id = ? AND "
                               "id <> ''"),
      insert_topic_event_(database,
                          "INSERT INTO topic_events (topic, position, id, key, type, headers, "
                          "payload, trace_parent, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      trim_topic_(database, "DELETE FROM topic_events WHERE topic = ? AND position <= ?"),
      find_role_(database, "SELECT owner, epoch, lease_until FROM roles WHERE name = ?"),
      store_role_(database, "INSERT INTO roles VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                            "owner = excluded.owner, epoch = excluded.epoch, "
                            "lease_until = excluded.lease_until"),
      list_roles_(database, "SELECT name, epoch, owner, lease_until FROM roles WHERE name >= ? "
                            "AND owner <> '' AND lease_until > ? ORDER BY name"),
      forget_roles_(database, "DELETE FROM roles WHERE name >= ? AND name < ? AND "
                              "(owner = '' OR lease_until IS NULL OR lease_until <= ?)"),
      find_version_(database, "SELECT row, version FROM runs WHERE id = ?"),
      store_attribute_(database, "INSERT INTO attributes (run, name, workflow, value, created_at, "
                                 "id) SELECT row, ?, workflow, ?, created_at, id FROM runs "
                                 "WHERE row = ? ON CONFLICT DO UPDATE SET value = excluded.value "
                                 "WHERE value <> excluded.value"),
      list_attributes_(database, "SELECT name FROM attributes WHERE run = ?"),
      remove_attribute_(database, "DELETE FROM attributes WHERE run = ? AND name = ?"),
      remove_attributes_(database, "DELETE FROM attributes WHERE run = ?")
{
    transaction opening{database_};
    database_.execute("UPDATE shards SET lease_until = 0 WHERE owner <> ''");
    database_.execute("UPDATE roles SET owner = '', lease_until = NULL WHERE owner <> ''");
    load_if_changed();
    opening.commit();
    stale_ = false;
}

void writer::check_file()
{
    database_.check_flushes();
    if (file_)
        file_->check();
}

void writer::load_if_changed()
{
    execution row{read_data_version_};
    const auto version = row.row() ? row.integer() : 0;
    if (!stale_ && version == data_version_)
        return;
    stale_ = true;
    load();
    data_version_ = version;
}

void writer::load()
{
    check_schema(database_);
    known_.clear();
    workflows_.clear();
    counts_.clear();
    child_counts_.clear();
    std::vector<shard_row> stored;
    statement shards{database_, "SELECT next_sequence, owner, epoch, lease_until IS NOT NULL "
                                "FROM shards ORDER BY shard"};
    for (execution row{shards}; row.row();) {
        shard_row& shard = stored.emplace_back();
        row.read(shard.next_sequence);
        row.read(shard.owner);
        row.read(shard.epoch);
        row.read(shard.lapsed);
    }
    if (stored.empty())
        throw_corrupt(database_.path(), "it has no shards");
    if (!shards_.empty() && shards_.size() != stored.size())
        throw_corrupt(database_.path(), "another program has changed its number of shards");
    shards_ = std::move(stored);
    statement workflows{database_, "SELECT name, workflow FROM workflows"};
    for (execution row{workflows}; row.row();) {
        std::string name;
        row.read(name);
        row.read(workflows_[name]);
    }
}

void writer::write_changes()
{
    for (std::size_t number = 0; number < shards_.size(); ++number) {
        shard_row& shard = shards_[number];
        if (!std::exchange(shard.changed, false))
            continue;
        execution{update_sequence_}.bind(shard.next_sequence).bind(number).run();
    }
    for (const auto& [key, difference] : counts_) {
        const auto& [workflow, status, state] = key;
        if (difference != 0)
            execution{update_count_}
                .bind(workflow)
                .bind(status)
                .bind(static_cast<int>(state))
                .bind(difference)
                .run();
    }
    counts_.clear();
    for (const auto& [key, difference] : child_counts_) {
        const auto& [parent, state] = key;
        if (difference == 0)
            continue;
        execution{update_child_count_}
            .bind(parent)
            .bind(static_cast<int>(state))
            .bind(difference)
            .run();
        if (difference < 0)
            execution{remove_child_count_}.bind(parent).bind(static_cast<int>(state)).run();
    }
    child_counts_.clear();
}

std::vector<apply_result> writer::apply(std::span<const change> batch)
{
    core::check_batch(batch, shards());
    return in_transaction([&] {
        std::vector<apply_result> results;
        results.reserve(batch.size());
        for (const change& next : batch)
            results.push_back(std::visit([this](const auto& one) { return apply_one(one); }, next));
        return results;
    });
}

void writer::prepare(const std::function<void(sqlite3*)>& work)
{
    in_transaction([&] {
        database_.call(work);
        return 0;
    });
}

apply_result writer::apply_in(const std::function<void(sqlite3*)>& work, transition& change,
                              const std::function<void(transition&)>& complete)
{
    return in_transaction([&] {
        auto* const run = find(change.next.id);
        if (auto rejected = check_update(change, run))
            return std::move(*rejected);
        database_.call(work);
        complete(change);
        return update(change, *run);
    });
}

bool writer::fenced(std::uint32_t shard, std::uint64_t epoch) const noexcept
{
    return epoch != 0 && epoch != shards_[shard].epoch;
}

std::uint64_t writer::next_sequence(std::uint32_t shard)
{
    shards_[shard].changed = true;
    return shards_[shard].next_sequence++;
}

std::int64_t writer::workflow_number(const std::string& name)
{
    if (const auto found = workflows_.find(name); found != workflows_.end())
        return found->second;
    execution{insert_workflow_}.bind(name).run();
    return workflows_[name] = sqlite3_last_insert_rowid(database_.handle());
}

stored_run* writer::find(const run_id& id)
{
    if (auto* const known = known_.find(id))
        return known;
    execution row{find_run_};
    if (!row.bind(id).row())
        return nullptr;
    stored_run run;
    row.read(run.row);
    row.read(run.shard);
    row.read(run.workflow);
    row.read(run.version);
    run.state = core::read_run_state(row);
    row.read(run.status);
    row.read(run.wake_at);
    row.read(run.inbox_last);
    row.read(run.inbox_pending);
    row.read(run.last_event);
    if (const auto parent = row.bytes(); !parent.empty())
        run.parent = core::decode_run_id(row, parent);
    return known_.remember(id, run);
}

apply_result writer::apply_one(const transition& change)
{
    if (change.expected_version == 0)
        return create(change);
    auto* const run = find(change.next.id);
    if (const auto rejected = check_update(change, run))
        return *rejected;
    return update(change, *run);
}

std::optional<apply_result> writer::check_update(const transition& change, const stored_run* run)
{
    if (!run)
        return apply_result{.status = apply_status::not_found};
    if (fenced(run->shard, change.epoch))
        return apply_result{.status = apply_status::fenced};
    if (run->version != change.expected_version)
        return apply_result{.status = apply_status::conflict};
    return {};
}

std::optional<apply_result> writer::find_conflict(const transition& change, std::int64_t workflow)
{
    const record& next = change.next;
    run_id existing;
    if (!next.start_key.empty()) {
        execution same{find_start_key_};
        if (same.bind(workflow).bind(next.foreign_id).bind(next.start_key).row()) {
            same.read(existing);
            return apply_result{.status = apply_status::duplicate, .existing = existing};
        }
    }
    if (find(next.id))
        return apply_result{.status = apply_status::conflict};
    execution unfinished{find_unfinished_};
    execution latest{find_latest_};
    const bool has_unfinished = unfinished.bind(workflow).bind(next.foreign_id).row();
    const bool has_any = has_unfinished || latest.bind(workflow).bind(next.foreign_id).row();
    const auto status = core::start_refusal(change.start, has_unfinished, has_any);
    if (!status)
        return {};
    (has_unfinished ? unfinished : latest).read(existing);
    return apply_result{.status = *status, .existing = existing};
}

apply_result writer::create(const transition& change)
{
    const record& next = change.next;
    const auto shard = shard_of(next.foreign_id, shards());
    if (fenced(shard, change.epoch))
        return {.status = apply_status::fenced};
    const auto workflow = workflow_number(next.workflow);
    const bool finished = is_finished(next.state);
    // In the usual case, the unique indexes suffice; they do not include finished runs.
    if (change.start == id_reuse_policy::reject_duplicate || finished)
        if (const auto rejected = find_conflict(change, workflow))
            return *rejected;

    const auto sequence = shards_[shard].next_sequence;
    const auto position = core::position_of(shard, sequence);
    const auto details = core::encode_details(next);
    execution insert{insert_run_};
    bind_progress(insert, next, 0, position, details)
        .bind(next.wake_at)
        .bind(finished)
        .bind(next.id)
        .bind(workflow)
        .bind(next.foreign_id)
        .bind(shard)
        .bind(next.created_at)
        .bind(next.start_key)
        .bind(next.trace_parent)
        .blob_or_null(next.parent ? bytes_of(next.parent->run) : std::string_view{})
        .run();
    if (sqlite3_changes(database_.handle()) == 0) {
        if (const auto rejected = find_conflict(change, workflow))
            return *rejected;
        throw_corrupt(database_.path(),
                      "unique index rejected the run but no conflicting row exists");
    }
    next_sequence(shard);
    ++counts_[{workflow, next.status, next.state}];
    if (next.parent)
        ++child_counts_[{next.parent->run, next.state}];
    const auto row = sqlite3_last_insert_rowid(database_.handle());
    append_event(change, row, position, 0);
    change_attributes(change.attributes, row);
    if (!finished)
        known_.remember(next.id, {.row = row,
                                  .shard = shard,
                                  .workflow = workflow,
                                  .version = next.version,
                                  .state = next.state,
                                  .status = next.status,
                                  .wake_at = next.wake_at,
                                  .last_event = position,
                                  .parent = next.parent ? next.parent->run : run_id{}});
    return {.sequence = sequence};
}

apply_result writer::update(const transition& change, stored_run& run)
{
    const record& next = change.next;
    const auto sequence = next_sequence(run.shard);
    const auto position = core::position_of(run.shard, sequence);
    const bool finished = is_finished(next.state);
    const bool changes_index = finished != is_finished(run.state);
    const auto wake_at =
        core::wake_after(change, run.inbox_last, core::finishes(change, run.state));
    const auto details = core::encode_details(next);

    execution row{changes_index            ? finish_run_
                  : wake_at != run.wake_at ? update_run_and_wake_
                                           : update_run_};
    const auto pending = settle_messages(change, run);
    bind_progress(row, next, pending, position, details);
    if (changes_index)
        row.bind(wake_at).bind(finished);
    else if (wake_at != run.wake_at)
        row.bind(wake_at);
    row.bind(run.row).run();

    if (next.status != run.status || next.state != run.state) {
        --counts_[{run.workflow, run.status, run.state}];
        ++counts_[{run.workflow, next.status, next.state}];
    }
    if (run.parent && next.state != run.state) {
        --child_counts_[{run.parent, run.state}];
        ++child_counts_[{run.parent, next.state}];
    }
    if (change.kind == event_kind::data_deleted)
        erase_texts(run);
    append_event(change, run.row, position, run.last_event);
    change_attributes(change.attributes, run.row);
    run.version = next.version;
    run.state = next.state;
    run.status = next.status;
    run.wake_at = wake_at;
    run.inbox_pending = pending;
    run.last_event = position;
    if (finished)
        known_.forget(next.id);
    return {.sequence = sequence};
}

void writer::append_event(const transition& change, std::int64_t row, std::int64_t position,
                          std::int64_t before)
{
    const auto entry = core::make_event(change);
    execution{insert_event_}
        .bind(position)
        .bind(row)
        .bind(entry.version)
        .bind(before)
        .bind(static_cast<int>(entry.kind))
        .bind(entry.from)
        .bind(entry.to)
        .bind(static_cast<int>(entry.state))
        .bind(entry.attempt)
        .bind(entry.at)
        .bind(entry.error)
        .bind(entry.requested_by)
        .run();
    if (entry.version % mark_distance == 0)
        execution{insert_mark_}.bind(row).bind(entry.version).bind(position).run();
}

} // namespace pawl::sqlite
