#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pawl {

/// Returns the topic of a connector's dead letters.
///
/// A dead letter is an event or message that could not be processed. It is stored as an event of a
/// topic in the engine's store; read it with store_streamer(). Dead letters are removed only by
/// engine::async_redrive() and event_streamer::trim(). They contain payloads, which deleting a
/// run's data does not delete. The names of the topics and headers are stored: never change.
///
/// Each letter is the event as it came, with the headers `connector`, `attempts` and `error` added.
/// An `error` header that the event had is kept as `event_error`. An event without an id gets '#'
/// and its position as its id, and the position as the header `event_position`.
std::string dead_letter_topic(std::string_view connector);

/// Returns the topic of the dead letters of a workflow's callbacks.
///
/// Each letter has the message's payload; its `key` is the run's foreign id, its `type` "callback".
/// The headers are those of event_header that name the run and its status, `callback`, `message`
/// (its sequence), `attempts`, `error`, `idempotency_key` if the message has one, and
/// `payload_version` if it is not 1.
///
/// The outcome of the message counts, not the letter: after a crash there may be a letter for a
/// message that was handled.
std::string callback_dead_letter_topic(std::string_view workflow);

/// Returns the topic of the dead letters of a workflow's hooks.
///
/// Each letter is the event as to_stream_event() writes it, with the headers `hook`, `attempts` and
/// `error` added; the event's own `error` is kept as `event_error`.
std::string hook_dead_letter_topic(std::string_view workflow);

/// Returns the topic of the dead letters of the starts and callbacks that programs have stored in
/// the database by SQL, see open_postgres().
///
/// Each letter has the object or payload; its `key` is the foreign id, its `type` "start" or
/// "send". The headers are `workflow_name` and `foreign_id` of event_header, `callback` of a
/// callback, `idempotency_key`, `attempts`, `error`, and `payload_version` if the program has given
/// a version.
std::string request_dead_letter_topic(std::string_view workflow);

/// The headers that are added to a dead letter. Stored: never change.
namespace dead_letter_header {
inline constexpr const char* connector = "connector";
inline constexpr const char* callback = "callback";
inline constexpr const char* hook = "hook";
inline constexpr const char* message = "message";
inline constexpr const char* idempotency_key = "idempotency_key";
inline constexpr const char* payload_version = "payload_version";
inline constexpr const char* attempts = "attempts";
inline constexpr const char* error = "error";
inline constexpr const char* letter_id =
    "letter_id"; ///< of a letter that failed again: its first id
inline constexpr const char* event_error = "event_error";
inline constexpr const char* event_position = "event_position";
} // namespace dead_letter_header

/// The result of engine::async_redrive().
struct redrive_result {
    std::size_t succeeded = 0; ///< callbacks that are in their run's inbox again; runs that have
                               ///< been started; letters of hooks and connectors whose function
                               ///< has returned
    std::size_t failed = 0;    ///< letters that were moved to the end of their topic
};

} // namespace pawl
