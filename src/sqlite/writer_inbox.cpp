// The writer's part that has to do with inboxes, cursors and leases.
#include "core/store_rules.hpp"
#include "sqlite/error.hpp"
#include "sqlite/writer.hpp"

#include <algorithm>

namespace pawl::sqlite {

std::uint32_t writer::settle(const transition& change, const stored_run& run)
{
    if (run.inbox_pending == 0)
        return 0;
    auto pending = static_cast<std::int64_t>(run.inbox_pending);
    for (const settlement& end : change.settled) {
        execution{settle_one_}
            .bind(static_cast<int>(end.outcome))
            .bind(end.detail)
            .bind(run.row)
            .bind(end.sequence)
            .run();
        pending -= sqlite3_changes(database_.handle());
    }
    if (is_finished(change.next.state) && pending > 0) {
        execution{settle_rest_}
            .bind(static_cast<int>(message_outcome::refused))
            .bind(core::ended_detail)
            .bind(run.row)
            .run();
        pending -= sqlite3_changes(database_.handle());
    }
    if (pending < 0)
        throw_damaged(database_.path(), "an inbox holds more messages than its run counts");
    return static_cast<std::uint32_t>(pending);
}

std::optional<apply_result> writer::first_delivery(const delivery& change, std::int64_t run)
{
    if (change.content.key.empty())
        return {};
    execution same{find_message_key_};
    if (!same.bind(run).bind(change.content.key).row())
        return {};
    apply_result result{.status = apply_status::duplicate, .existing = change.content.run};
    same.read(result.sequence);
    result.outcome = static_cast<message_outcome>(same.integer());
    same.read(result.detail);
    return result;
}

apply_result writer::apply_one(const delivery& change)
{
    const message& content = change.content;
    const auto run = find(content.run);
    if (!run)
        return {.status = apply_status::not_found};
    if (const auto first = first_delivery(change, run->row))
        return *first;
    if (!core::takes(run->state, content.kind))
        return {.status = apply_status::finished};

    const auto sequence = run->inbox_last + 1;
    execution{insert_message_}
        .bind(run->row)
        .bind(sequence)
        .bind(static_cast<int>(content.kind))
        .bind(content.sent_at)
        .bind(content.expires_at)
        .bind(content.name)
        .bind(content.key)
        .bind(content.requested_by)
        .blob(content.payload)
        .run();
    const auto wake_at = core::wake_after(content, run->wake_at);
    const bool wakes = wake_at != run->wake_at;
    execution row{wakes ? deliver_and_wake_ : deliver_};
    row.bind(sequence).bind(run->inbox_pending + 1);
    if (wakes)
        row.bind(wake_at);
    row.bind(run->row).run();
    return {.sequence = sequence};
}

apply_result writer::apply_one(const cursor_move& change)
{
    if (fenced(change.shard, change.epoch))
        return {.status = apply_status::fenced};
    std::uint64_t position = 0;
    execution stored{find_cursor_};
    if (stored.bind(change.shard).bind(change.name).row())
        stored.read(position);
    if (change.position > position)
        execution{move_cursor_}.bind(change.shard).bind(change.name).bind(change.position).run();
    return {};
}

std::optional<lease> writer::claim(std::uint32_t shard, std::string_view owner, time_point until)
{
    core::check_shard(shard, shards());
    core::check_owner(owner);
    return in_transaction([&]() -> std::optional<lease> {
        shard_row& row = shards_[shard];
        if (!row.owner.empty() && row.owner != owner)
            return {};
        if (row.owner.empty())
            ++row.epoch;
        row.owner = owner;
        execution{update_owner_}.bind(row.owner).bind(row.epoch).bind(until).bind(shard).run();
        return lease{.shard = shard, .epoch = row.epoch, .until = until};
    });
}

void writer::release(const lease& held)
{
    core::check_shard(held.shard, shards());
    in_transaction([&] {
        shard_row& row = shards_[held.shard];
        if (row.epoch == held.epoch && !row.owner.empty()) {
            row.owner.clear();
            execution{update_owner_}
                .bind(row.owner)
                .bind(row.epoch)
                .bind(std::optional<time_point>{})
                .bind(held.shard)
                .run();
        }
        return true;
    });
}

} // namespace pawl::sqlite
