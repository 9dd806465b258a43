#include "admin/views.hpp"

#include "pawl/codec.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <openssl/evp.h>

namespace pawl::admin::detail {

namespace json = boost::json;

namespace {

json::value number(std::uint64_t value)
{
    return json::value(std::to_string(value));
}

json::value time_or_null(const std::optional<time_point>& at)
{
    return at ? json::value(text_of(*at)) : json::value(nullptr);
}

json::value text(std::string_view value)
{
    return json::value(json::string_view{value.data(), value.size()});
}

json::array texts(const std::vector<std::string>& values)
{
    json::array all;
    for (const auto& value : values)
        all.push_back(text(value));
    return all;
}

json::object view_of(const capped_count& count)
{
    return {{"count", number(count.count)}, {"is_capped", count.is_capped}};
}

std::string_view name_of(pause_kind kind)
{
    switch (kind) {
    case pause_kind::none:
        return "none";
    case pause_kind::by_error:
        return "by_error";
    case pause_kind::by_request:
        break;
    }
    return "by_request";
}

json::value view_of(const attribute_value& value)
{
    if (const auto* words = std::get_if<std::string>(&value))
        return text(*words);
    if (const auto* whole = std::get_if<std::int64_t>(&value))
        return json::value(std::to_string(*whole));
    if (const auto* flag = std::get_if<bool>(&value))
        return json::value(*flag);
    return json::value(text_of(std::get<time_point>(value)));
}

std::string label_of(int status, const status_labels& labels)
{
    const auto found = labels.find(status);
    return found == labels.end() ? std::to_string(status) : found->second;
}

json::object view_of(const definition_view& definition)
{
    json::array statuses;
    for (const auto& status : definition.statuses)
        statuses.push_back(json::object{{"status", status.label},
                                        {"status_number", status.status},
                                        {"has_step", status.has_step},
                                        {"timeouts", texts(status.timeouts)},
                                        {"callbacks", texts(status.callbacks)}});
    return {{"hash", definition.hash},
            {"position", number(definition.position)},
            {"first_started_at", text_of(definition.first_started_at)},
            {"object_version", definition.object_version},
            {"is_own", definition.is_own},
            {"statuses", std::move(statuses)},
            {"hooks", texts(definition.hooks)}};
}

std::string base64(std::string_view bytes)
{
    std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    const auto size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                      reinterpret_cast<const unsigned char*>(bytes.data()),
                                      static_cast<int>(bytes.size()));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

std::string_view name_of(message_kind kind)
{
    switch (kind) {
    case message_kind::callback:
        return "callback";
    case message_kind::pause:
        return "pause";
    case message_kind::resume:
        return "resume";
    case message_kind::cancel:
        return "cancel";
    case message_kind::delete_data:
        return "delete_data";
    case message_kind::retry:
        return "retry";
    case message_kind::move:
        break;
    }
    return "move";
}

} // namespace

status_labels labels_of(const std::vector<workflow_view>& definitions)
{
    status_labels labels;
    for (const auto& workflow : definitions)
        for (const auto& definition : workflow.definitions) // the newest is the last
            for (const auto& status : definition.statuses)
                labels[status.status] = status.label;
    return labels;
}

std::string text_of(time_point at)
{
    std::string out;
    codec<time_point>::encode(at, out);
    return out.substr(1, out.size() - 2);
}

json::object summary_of(const run_view& run)
{
    const auto& stored = run.stored;
    return {{"id", to_string(stored.id)},
            {"workflow", stored.workflow},
            {"foreign_id", stored.foreign_id},
            {"status", run.status_label},
            {"status_number", stored.status},
            {"run_state", to_string(stored.state)},
            {"version", number(stored.version)},
            {"attempt", stored.attempt},
            {"last_error", stored.last_error},
            {"reason", stored.reason},
            {"requested_by", stored.requested_by},
            {"pause", text(name_of(stored.pause))},
            {"created_at", text_of(stored.created_at)},
            {"updated_at", text_of(stored.updated_at)},
            {"wake_at", time_or_null(stored.wake_at)},
            {"pending_messages", stored.inbox_pending},
            {"has_engine", run.has_engine}};
}

json::object detail_of(const run_view& run)
{
    const auto& stored = run.stored;
    auto members = summary_of(run);
    members["visit"] = stored.visit;
    members["entered_at"] = text_of(stored.entered_at);
    members["not_before"] = time_or_null(stored.not_before);
    members["resume_at"] = time_or_null(stored.resume_at);
    members["object_version"] = stored.object_version;
    members["last_message"] = number(stored.inbox_last);
    members["trace_parent"] = stored.trace_parent;
    members["parent"] =
        stored.parent ? json::value(to_string(stored.parent->run)) : json::value(nullptr);
    json::array deadlines;
    for (const auto& deadline : stored.deadlines)
        deadlines.push_back(json::object{{"timeout", deadline.timeout},
                                         {"at", text_of(deadline.at)},
                                         {"attempt", deadline.attempt}});
    members["deadlines"] = std::move(deadlines);
    json::array effects;
    for (const auto& effect : stored.effects)
        effects.push_back(json::object{{"name", effect.name}, {"for_run", effect.for_run}});
    members["effects"] = std::move(effects);
    json::object attributes;
    for (const auto& attribute : stored.attributes)
        attributes[attribute.name] =
            attribute.value ? view_of(*attribute.value) : json::value(nullptr);
    members["attributes"] = std::move(attributes);
    return members;
}

json::object view_of(const event& entry, const status_labels& labels)
{
    return {{"version", number(entry.version)},
            {"at", text_of(entry.at)},
            {"kind", to_string(entry.kind)},
            {"from", label_of(entry.from, labels)},
            {"from_number", entry.from},
            {"to", label_of(entry.to, labels)},
            {"to_number", entry.to},
            {"run_state", to_string(entry.state)},
            {"attempt", entry.attempt},
            {"error", entry.error},
            {"requested_by", entry.requested_by}};
}

json::object view_of(const workflow_overview& overview)
{
    json::array counts;
    for (const auto& count : overview.counts)
        counts.push_back(json::object{{"status", count.label},
                                      {"status_number", count.status},
                                      {"run_state", to_string(count.state)},
                                      {"runs", number(count.runs)}});
    return {{"workflow", overview.workflow},
            {"has_engine", overview.has_engine},
            {"unfinished", number(overview.unfinished)},
            {"finished", number(overview.finished)},
            {"paused", number(overview.paused)},
            {"failing", view_of(overview.failing)},
            {"overdue", view_of(overview.overdue)},
            {"counts", std::move(counts)}};
}

json::object view_of(const workflow_view& workflow)
{
    json::array definitions;
    for (const auto& definition : workflow.definitions)
        definitions.push_back(view_of(definition));
    return {{"workflow", workflow.workflow},
            {"has_engine", workflow.has_engine},
            {"definitions", std::move(definitions)}};
}

json::object view_of(const schedule_info& schedule)
{
    std::string overlap;
    std::string catch_up;
    codec<overlap_policy>::encode(schedule.overlap, overlap);
    codec<catch_up_policy>::encode(schedule.catch_up, catch_up);
    return {{"name", schedule.name},
            {"workflow", schedule.workflow},
            {"foreign_id", schedule.foreign_id},
            {"when", schedule.when},
            {"zone", schedule.zone},
            {"overlap", json::parse(overlap)},
            {"catch_up", json::parse(catch_up)},
            {"catch_up_limit", number(schedule.catch_up_limit)},
            {"is_paused", schedule.paused},
            {"next_slot", time_or_null(schedule.next_slot)},
            {"last_slot", time_or_null(schedule.last_slot)},
            {"last_run",
             schedule.last_run ? json::value(to_string(schedule.last_run)) : json::value(nullptr)},
            {"fired", number(schedule.fired)},
            {"skipped", number(schedule.skipped)},
            {"last_error", schedule.last_error}};
}

json::object view_of(const connector_view& connector)
{
    return {{"name", connector.name},
            {"workflow", connector.workflow},
            {"engine", connector.engine},
            {"source", connector.source},
            {"lag", connector.lag ? number(*connector.lag) : json::value(nullptr)},
            {"dead_letter_topic", connector.dead_letter_topic},
            {"dead_letters", view_of(connector.dead_letters)}};
}

json::object view_of(const engines_view& engines)
{
    json::array all;
    for (const auto& engine : engines.engines)
        all.push_back(json::object{{"name", engine.name},
                                   {"workflows", texts(engine.workflows)},
                                   {"too_old", texts(engine.too_old)},
                                   {"shards", number(engine.shards)},
                                   {"is_self", engine.is_self}});
    json::array shards;
    for (const auto& shard : engines.shards)
        shards.push_back(json::object{{"shard", shard.held.shard},
                                      {"workflow", shard.workflow},
                                      {"owner", shard.held.owner},
                                      {"epoch", number(shard.held.epoch)},
                                      {"until", shard.held.until == time_point::max()
                                                    ? json::value(nullptr)
                                                    : json::value(text_of(shard.held.until))}});
    return {{"engines", std::move(all)},
            {"undriven", texts(engines.undriven)},
            {"shards", std::move(shards)}};
}

json::object view_of(const dead_letter_topic_view& topic)
{
    return {{"topic", topic.topic},
            {"letters", view_of(topic.letters)},
            {"oldest_at", time_or_null(topic.oldest_at)}};
}

json::object view_of(const audit_entry& entry)
{
    return {{"position", number(entry.position)},
            {"id", entry.id},
            {"at", text_of(entry.at)},
            {"requested_by", entry.by.name},
            {"method", entry.by.method},
            {"address", entry.by.address},
            {"action", entry.action},
            {"workflow", entry.workflow},
            {"run", entry.run ? json::value(to_string(entry.run)) : json::value(nullptr)},
            {"foreign_id", entry.foreign_id},
            {"target", entry.target},
            {"reason", entry.reason},
            {"outcome", to_string(entry.outcome)},
            {"error", entry.error},
            {"detail", entry.detail}};
}

json::object view_of(const message& pending)
{
    return {{"sequence", number(pending.sequence)},
            {"kind", text(name_of(pending.kind))},
            {"name", pending.name},
            {"payload_version", pending.payload_version},
            {"idempotency_key", pending.key},
            {"requested_by", pending.requested_by},
            {"sent_at", text_of(pending.sent_at)},
            {"expires_at", time_or_null(pending.expires_at)}};
}

json::object view_of(const stream_event& letter)
{
    json::object headers;
    for (const auto& [name, value] : letter.headers)
        headers[name] = value;
    return {{"position", number(letter.position)},
            {"id", letter.id},
            {"key", letter.key},
            {"type", letter.type},
            {"at", text_of(letter.at)},
            {"trace_parent", letter.trace_parent},
            {"headers", std::move(headers)}};
}

std::string to_text(const json::object& members)
{
    return json::serialize(members);
}

std::string with_document(const json::object& members, std::string_view name,
                          std::string_view bytes)
{
    auto out = to_text(members);
    out.back() = members.empty() ? '{' : ',';
    if (members.empty())
        out.resize(1);
    json::error_code error;
    json::parse({bytes.data(), bytes.size()}, error);
    out.append("\"").append(name);
    if (error)
        out.append("_base64\":\"").append(base64(bytes)).append("\"}");
    else // not as it was parsed, which may change numbers
        out.append("\":").append(bytes).append("}");
    return out;
}

std::string join_documents(const std::vector<std::string>& documents)
{
    std::string out = "[";
    for (const auto& document : documents)
        out.append(out.size() > 1 ? "," : "").append(document);
    return out + "]";
}

} // namespace pawl::admin::detail
