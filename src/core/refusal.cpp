#include "core/refusal.hpp"

#include "pawl/detail/engine_api.hpp"

namespace pawl {

namespace {

const char* refusal(message_kind command) noexcept
{
    switch (command) {
    case message_kind::pause:
        return "cannot pause";
    case message_kind::resume:
        return "cannot resume";
    case message_kind::cancel:
        return "cannot cancel";
    case message_kind::delete_data:
    case message_kind::callback:
        break;
    }
    return "cannot delete data";
}

} // namespace

std::string core::refusal_text(message_kind command, run_state state)
{
    return refusal(command) + std::string{": the run is "} + to_string(state);
}

errc detail::refusal_code(message_kind kind, const settlement& refused)
{
    const auto refused_in = [&](run_state state) {
        return refused.detail == core::refusal_text(kind, state);
    };
    switch (kind) {
    case message_kind::pause:
        return refused_in(run_state::paused) ? errc::already_paused : errc::already_finished;
    case message_kind::resume:
        return refused_in(run_state::initiated) || refused_in(run_state::running)
                   ? errc::not_paused
                   : errc::already_finished;
    case message_kind::delete_data:
        return errc::not_finished;
    case message_kind::cancel:
    case message_kind::callback:
        break;
    }
    return errc::already_finished;
}

} // namespace pawl
