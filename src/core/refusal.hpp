#pragma once

#include "pawl/message.hpp"
#include "pawl/record.hpp"

#include <string>

namespace pawl::core {

/// The stored settlement::detail of a command that a run in that state rejects. Stores keep this
/// text and no code, and detail::refusal_code() reads the state from it: never change it.
std::string refusal_text(message_kind command, run_state state);

} // namespace pawl::core
