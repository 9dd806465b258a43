#pragma once

#include "pawl/record_store.hpp"

#include <optional>
#include <span>
#include <string>

namespace pawl::core {

/// The dead letter of the callback that a transition settles as failed; empty when there is none.
/// Its id names the message, so that the topic keeps one letter of it.
///
/// @param before the record that the transition was made from.
/// @param inbox the messages that waited then.
std::optional<publication> callback_dead_letter(const record& before, const transition& change,
                                                std::span<const message> inbox);

/// The letter of an event that failed for the last time: `role` is the header that names who it
/// failed in.
stream_event make_dead_letter(stream_event failed, const char* role, std::string name, int attempts,
                              std::string error);

/// A letter of a letter that was tried once more: under another id, because the topic still has it.
stream_event count_failed_redrive(stream_event letter, std::string error);

/// The event that such a letter was made of.
stream_event restore_event(stream_event letter);

} // namespace pawl::core
