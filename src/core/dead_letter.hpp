#pragma once

#include "pawl/record_store.hpp"
#include "pawl/request_queue.hpp"

#include <optional>
#include <span>
#include <string>

namespace pawl::core {

/// The dead letter of the callback that a transition settles as failed; empty if there is none. Its
/// id names the message, so that the topic keeps one letter for each message.
///
/// @param before the record before the transition.
/// @param inbox the messages that waited then.
std::optional<publication> callback_dead_letter(const record& before, const transition& change,
                                                std::span<const message> inbox);

/// The dead letter of an event whose retries are exhausted. `role` is the header that names the
/// connector or hook, `name` its value.
stream_event make_dead_letter(stream_event failed, const char* role, std::string name, int attempts,
                              std::string error);

/// The dead letter of a request that cannot be carried out.
stream_event request_dead_letter(const stored_request& request, std::string error);

/// The request of such a letter. Throws error (decode_failed) if it is another letter.
stored_request request_of(stream_event letter);

/// The letter to publish when a redrive of `letter` has failed. Its id differs, because the topic
/// still has the old letter.
stream_event count_failed_redrive(stream_event letter, std::string error);

/// The event from which the letter was made.
stream_event restore_event(stream_event letter);

} // namespace pawl::core
