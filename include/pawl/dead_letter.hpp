#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pawl {

/// Dead letters: what could not be processed in the end, kept as events of topics in the engine's
/// store. Nothing is removed from these topics but by engine::async_redrive() and by
/// event_streamer::trim(); read them with store_streamer(). They hold payloads, which a deletion of
/// a run's data does not reach.
///
/// The names of topics and headers are stored: never change.

/// Of a connector's events: each as it came, with the headers `connector`, `attempts` and `error`
/// added. An `error` that it had is kept as `event_error`. The id of one that had none is '#' and
/// its position, which is the header `event_position` then.
std::string dead_letter_topic(std::string_view connector);

/// Of a workflow's callbacks: `payload` is the message's, `key` the run's foreign id, `type` is
/// "callback". The headers are those of event_header that name the run and its status, `callback`,
/// `message` (its sequence), `attempts`, `error`, `idempotency_key` where the message has one, and
/// `payload_version` where it is not 1.
///
/// A dead letter names a message that was settled as failed, whose outcome is what counts: after a
/// crash at the wrong moment there may be a letter of a message that was handled.
std::string callback_dead_letter_topic(std::string_view workflow);

/// Of a workflow's hooks: the event as to_stream_event() writes it, with the headers `hook`,
/// `attempts` and `error` added, and its own `error` as `event_error`.
std::string hook_dead_letter_topic(std::string_view workflow);

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
inline constexpr const char* letter_id = "letter_id"; ///< of one that failed again
inline constexpr const char* event_error = "event_error";
inline constexpr const char* event_position = "event_position";
} // namespace dead_letter_header

/// What became of the letters of one engine::async_redrive().
struct redrive_result {
    std::size_t succeeded = 0; ///< callbacks that are in their run's inbox again, hooks and
                               ///< connectors whose function has returned
    std::size_t failed = 0;    ///< those that were put at the end of their topic again
};

} // namespace pawl
