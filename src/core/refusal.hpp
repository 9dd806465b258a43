#pragma once

#include "pawl/message.hpp"
#include "pawl/record.hpp"

#include <cstdint>
#include <string>

namespace pawl::core {

/// The stored settlement::detail of a command that a run in that state rejects. Stores keep this
/// text and no code, and detail::refusal_code() reads the state from it: never change it.
std::string refusal_text(message_kind command, run_state state);

// The details of commands that are rejected for other reasons. What was said of refusal_text()
// holds for the beginnings of these texts too.

/// The run has another version than the one that the command is for.
std::string version_refusal_text(message_kind command, std::uint64_t stored, std::uint64_t wanted);

/// The workflow does not have the status to which a run should be moved.
std::string status_refusal_text(int status);

/// A run without a failed attempt cannot be retried.
std::string no_failure_text();

/// The object of a move cannot be used; `why` is the reason.
std::string object_refusal_text(const std::string& why);

} // namespace pawl::core
