// The operations of the writer on inboxes, cursors and leases.
#include "stores/common/store_semantics.hpp"
#include "stores/sqlite/error.hpp"
#include "stores/sqlite/writer.hpp"

#include <algorithm>

namespace pawl::sqlite {

std::uint32_t writer::settle_messages(const transition& change, const stored_run& run)
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
        const int settled = sqlite3_changes(database_.handle());
        if (settled > 0 && end.outcome == message_outcome::failed)
            execution{free_message_key_}.bind(run.row).bind(end.sequence).run();
        pending -= settled;
    }
    if (core::finishes(change, run.state) && pending > 0) {
        execution{settle_rest_}
            .bind(static_cast<int>(message_outcome::rejected))
            .bind(core::ended_detail)
            .bind(run.row)
            .run();
        pending -= sqlite3_changes(database_.handle());
    }
    if (pending < 0)
        throw_corrupt(database_.path(), "an inbox has more pending messages than its run counts");
    return static_cast<std::uint32_t>(pending);
}

std::optional<apply_result> writer::find_duplicate(const delivery& change, std::int64_t run)
{
    if (change.content.key.empty())
        return {};
    execution same{find_message_key_};
    if (!same.bind(run).bind(change.content.name).bind(change.content.key).row())
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
    auto* const run = find(content.run);
    if (!run)
        return {.status = apply_status::not_found};
    if (const auto duplicate = find_duplicate(change, run->row))
        return *duplicate;
    if (!core::accepts_message(run->state, content.kind))
        return {.status = apply_status::finished};
    if (core::is_inbox_full(change, run->inbox_pending))
        return {.status = apply_status::inbox_full};

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
        .bind(content.payload_version)
        .blob(content.payload)
        .run();
    const auto wake_at = core::wake_after(content, run->wake_at);
    const bool wakes = wake_at != run->wake_at;
    execution row{wakes ? deliver_and_wake_ : deliver_};
    row.bind(sequence).bind(run->inbox_pending + 1);
    if (wakes)
        row.bind(wake_at);
    row.bind(run->row).run();
    run->inbox_last = sequence;
    ++run->inbox_pending;
    run->wake_at = wake_at;
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

std::vector<lease> writer::claim(std::span<const std::uint32_t> wanted, std::string_view owner)
{
    core::check_claim(wanted, owner, shards());
    return in_transaction([&] {
        std::vector<lease> taken;
        for (const auto shard : wanted) {
            shard_row& row = shards_[shard];
            const bool is_free = row.owner.empty() || row.lapsed;
            if (!is_free && row.owner != owner)
                continue;
            if (is_free) {
                row.owner = owner;
                row.lapsed = false;
                store_owner(shard, ++row.epoch);
            }
            taken.push_back({shard, row.epoch, row.owner, time_point::max()});
        }
        return taken;
    });
}

void writer::release(std::span<const lease> held)
{
    for (const auto& lease : held)
        core::check_shard(lease.shard, shards());
    in_transaction([&] {
        for (const auto& lease : held) {
            shard_row& row = shards_[lease.shard];
            if (row.epoch != lease.epoch || row.owner.empty())
                continue;
            row.owner.clear();
            row.lapsed = false;
            store_owner(lease.shard, row.epoch);
        }
        return true;
    });
}

void writer::store_owner(std::uint32_t shard, std::uint64_t epoch)
{
    execution{update_owner_}
        .bind(shards_[shard].owner)
        .bind(epoch)
        .bind(std::optional<time_point>{})
        .bind(shard)
        .run();
}

std::vector<lease> writer::leases()
{
    return in_transaction([&] {
        std::vector<lease> all;
        for (std::uint32_t shard = 0; shard < shards(); ++shard)
            all.push_back({shard, shards_[shard].epoch, shards_[shard].owner,
                           shards_[shard].lapsed ? time_point::min() : time_point::max()});
        return all;
    });
}

} // namespace pawl::sqlite
