#include "core/dead_letter.hpp"

#include "core/decide.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/error.hpp"
#include "pawl/workflow_events.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace pawl {

namespace {

/// The name of a connector contains no slash, so it cannot collide with the topics below.
std::string topic_of(std::string_view kind, std::string_view name)
{
    return "pawl.dead-letter/" + std::string{kind} + std::string{name};
}

} // namespace

std::string dead_letter_topic(std::string_view connector)
{
    return topic_of("", connector);
}

std::string callback_dead_letter_topic(std::string_view workflow)
{
    return topic_of("callbacks/", workflow);
}

std::string hook_dead_letter_topic(std::string_view workflow)
{
    return topic_of("hooks/", workflow);
}

std::string request_dead_letter_topic(std::string_view workflow)
{
    return topic_of("requests/", workflow);
}

} // namespace pawl

namespace pawl::core {

std::optional<publication> callback_dead_letter(const record& before, const transition& change,
                                                std::span<const message> inbox)
{
    namespace header = dead_letter_header;
    const auto failure =
        std::ranges::find(change.settled, message_outcome::failed, &settlement::outcome);
    if (failure == change.settled.end())
        return std::nullopt;
    const auto failed = std::ranges::find(inbox, failure->sequence, &message::sequence);
    if (failed == inbox.end() || failed->kind != message_kind::callback)
        return std::nullopt;
    const auto sequence = std::to_string(failed->sequence);
    stream_event letter;
    letter.id = to_string(before.id) + "/message/" + sequence;
    letter.key = before.foreign_id;
    letter.type = "callback";
    letter.at = change.next.updated_at;
    letter.payload = failed->payload;
    letter.trace_parent = before.trace_parent;
    letter.headers = {
        {event_header::workflow, before.workflow},
        {event_header::run, to_string(before.id)},
        {event_header::foreign_id, before.foreign_id},
        {event_header::status, std::to_string(before.status)},
        {header::callback, failed->name},
        {header::message, sequence},
        {header::attempts, std::to_string(failed_attempts(before, failed->sequence) + 1)},
        {header::error, failure->detail}};
    if (!failed->key.empty())
        letter.headers[header::idempotency_key] = failed->key;
    if (failed->payload_version != 1)
        letter.headers[header::payload_version] = std::to_string(failed->payload_version);
    return publication{callback_dead_letter_topic(before.workflow), std::move(letter)};
}

stream_event make_dead_letter(stream_event failed, const char* role, std::string name, int attempts,
                              std::string error)
{
    namespace header = dead_letter_header;
    auto& headers = failed.headers;
    if (failed.id.empty()) {
        const auto position = std::to_string(failed.position);
        failed.id = "#" + position;
        headers[header::event_position] = position;
    }
    if (const auto error_header = headers.find(header::error); error_header != headers.end())
        headers[header::event_error] = error_header->second;
    headers[role] = std::move(name);
    headers[header::attempts] = std::to_string(attempts);
    headers[header::error] = std::move(error);
    return failed;
}

stream_event request_dead_letter(const stored_request& request, std::string error)
{
    namespace header = dead_letter_header;
    stream_event letter;
    letter.id = "request/" + std::to_string(request.id);
    letter.key = request.foreign_id;
    letter.type = request.callback ? "send" : "start";
    letter.at = request.at;
    letter.payload = request.payload;
    letter.headers = {{event_header::workflow, request.workflow},
                      {event_header::foreign_id, request.foreign_id},
                      {header::idempotency_key, request.key},
                      {header::attempts, std::to_string(request.failures + 1)},
                      {header::error, std::move(error)}};
    if (request.callback)
        letter.headers[header::callback] = *request.callback;
    if (request.version)
        letter.headers[header::payload_version] = std::to_string(*request.version);
    return letter;
}

stored_request request_of(stream_event letter)
{
    namespace header = dead_letter_header;
    auto& headers = letter.headers;
    stored_request request;
    request.workflow = headers[event_header::workflow];
    request.foreign_id = headers[event_header::foreign_id];
    request.key = headers[header::idempotency_key];
    request.at = letter.at;
    request.payload = std::move(letter.payload);
    if (letter.type == "send")
        request.callback = headers[header::callback];
    if (const auto version = headers.find(header::payload_version); version != headers.end())
        request.version =
            static_cast<std::uint32_t>(std::strtoul(version->second.c_str(), nullptr, 10));
    if (request.workflow.empty() || request.foreign_id.empty() || request.key.empty())
        throw error(errc::decode_failed, "not a dead letter of a request");
    return request;
}

stream_event count_failed_redrive(stream_event letter, std::string error)
{
    namespace header = dead_letter_header;
    auto& headers = letter.headers;
    const auto original_id = headers.try_emplace(header::letter_id, letter.id).first->second;
    const auto attempts = std::strtoull(headers[header::attempts].c_str(), nullptr, 10) + 1;
    headers[header::attempts] = std::to_string(attempts);
    headers[header::error] = std::move(error);
    letter.id = original_id + "/" + std::to_string(attempts);
    return letter;
}

stream_event restore_event(stream_event letter)
{
    namespace header = dead_letter_header;
    auto& headers = letter.headers;
    if (const auto id = headers.find(header::letter_id); id != headers.end()) {
        letter.id = id->second;
        headers.erase(header::letter_id);
    }
    for (const char* added : {header::connector, header::hook, header::attempts, header::error})
        headers.erase(added);
    if (const auto error = headers.find(header::event_error); error != headers.end()) {
        headers[header::error] = error->second;
        headers.erase(header::event_error);
    }
    if (const auto position = headers.find(header::event_position); position != headers.end()) {
        letter.id.clear();
        letter.position = std::strtoull(position->second.c_str(), nullptr, 10);
        headers.erase(header::event_position);
    }
    return letter;
}

} // namespace pawl::core
