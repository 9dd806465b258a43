#include "pawl/detail/engine_api.hpp"

namespace pawl::detail {

namespace {

/// Refusals of commands end with the state that the run was in: see decide().
bool says(const settlement& refused, run_state state)
{
    return refused.detail.ends_with(to_string(state));
}

} // namespace

errc refusal_code(message_kind kind, const settlement& refused)
{
    switch (kind) {
    case message_kind::pause:
        return says(refused, run_state::paused) ? errc::already_paused : errc::already_finished;
    case message_kind::resume:
        return says(refused, run_state::initiated) || says(refused, run_state::running)
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

} // namespace pawl::detail
