// The operations of the writer on topics and roles.
#include "core/stream_headers.hpp"
#include "stores/common/row_mapping.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/sqlite/writer.hpp"

namespace pawl::sqlite {

apply_result writer::apply_one(const publication& change)
{
    const stream_event& content = change.content;
    std::int64_t topic = 0;
    std::uint64_t position = 1;
    if (execution known{find_topic_}; known.bind(change.topic).row()) {
        known.read(topic);
        known.read(position);
    }
    if (topic == 0) {
        execution{insert_topic_}.bind(change.topic).run();
        topic = sqlite3_last_insert_rowid(database_.handle());
    }
    if (!content.id.empty()) {
        execution same{find_event_id_};
        if (same.bind(topic).bind(content.id).row()) {
            apply_result result{.status = apply_status::duplicate};
            same.read(result.sequence);
            return result;
        }
    }
    const auto headers = core::encode_headers(content.headers);
    execution{insert_topic_event_}
        .bind(topic)
        .bind(position)
        .bind(content.id)
        .bind(content.key)
        .bind(content.type)
        .blob_or_null(headers)
        .blob(content.payload)
        .bind(content.trace_parent)
        .bind(content.at)
        .run();
    execution{update_topic_}.bind(position + 1).bind(topic).run();
    return {.sequence = position};
}

apply_result writer::apply_one(const topic_trim& change)
{
    execution known{find_topic_};
    if (known.bind(change.topic).row()) {
        const auto topic = known.integer();
        const auto next = static_cast<std::uint64_t>(known.integer());
        execution{trim_topic_}.bind(topic).bind(std::min(change.up_to, next)).run();
    }
    return {};
}

std::optional<role_lease> writer::claim_role(std::string_view role, std::string_view owner,
                                             time_point now, time_point until)
{
    core::check_role(role);
    core::check_owner(owner);
    return in_transaction([&]() -> std::optional<role_lease> {
        std::string holder;
        std::uint64_t epoch = 0;
        std::optional<time_point> held_until;
        if (execution known{find_role_}; known.bind(role).row()) {
            known.read(holder);
            known.read(epoch);
            known.read(held_until);
        }
        const bool is_own = holder == owner;
        if (!is_own && !holder.empty() && held_until && *held_until > now)
            return {};
        if (!is_own)
            ++epoch;
        execution{store_role_}.bind(role).bind(owner).bind(epoch).bind(until).run();
        return role_lease{std::string{role}, epoch, std::string{owner}, until};
    });
}

void writer::release_role(const role_lease& held)
{
    in_transaction([&] {
        std::string holder;
        std::uint64_t epoch = 0;
        bool found = false;
        if (execution known{find_role_}; known.bind(held.role).row()) {
            found = true;
            known.read(holder);
            known.read(epoch);
        }
        if (found && epoch == held.epoch)
            execution{store_role_}
                .bind(held.role)
                .bind(std::string_view{})
                .bind(epoch)
                .bind(std::optional<time_point>{})
                .run();
        return true;
    });
}

std::vector<role_lease> writer::roles(std::string_view prefix, time_point now)
{
    return in_transaction([&] {
        std::vector<role_lease> held;
        execution rows{list_roles_};
        rows.bind(prefix).bind(now);
        while (rows.row()) {
            auto lease = core::read_role_lease(rows);
            // Names are in order, so the first one without the prefix ends the list.
            if (!lease.role.starts_with(prefix))
                break;
            held.push_back(std::move(lease));
        }
        return held;
    });
}

void writer::forget_roles(std::string_view prefix, time_point now)
{
    in_transaction([&] {
        execution{forget_roles_}.bind(prefix).bind(core::end_of_prefix(prefix)).bind(now).run();
        return true;
    });
}

} // namespace pawl::sqlite
