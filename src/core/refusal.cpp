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
    case message_kind::retry:
        return "cannot retry";
    case message_kind::move:
        return "cannot move";
    case message_kind::delete_data:
    case message_kind::callback:
        break;
    }
    return "cannot delete data";
}

constexpr const char* has_version = ": the run has version ";
constexpr const char* has_no_status = ": the workflow has no status ";
constexpr const char* object_refused = ": the object cannot be used: ";

} // namespace

std::string core::refusal_text(message_kind command, run_state state)
{
    return refusal(command) + std::string{": the run is "} + to_string(state);
}

std::string core::version_refusal_text(message_kind command, std::uint64_t stored,
                                       std::uint64_t wanted)
{
    return refusal(command) + std::string{has_version} + std::to_string(stored) +
           "; the command is for version " + std::to_string(wanted);
}

std::string core::status_refusal_text(int status)
{
    return refusal(message_kind::move) + std::string{has_no_status} + std::to_string(status);
}

std::string core::no_failure_text()
{
    return refusal(message_kind::retry) + std::string{": no attempt has failed"};
}

std::string core::object_refusal_text(const std::string& why)
{
    return refusal(message_kind::move) + std::string{object_refused} + why;
}

errc detail::refusal_code(message_kind kind, const settlement& refused)
{
    const auto refused_in = [&](run_state state) {
        return refused.detail == core::refusal_text(kind, state);
    };
    const auto begins_with = [&](const char* reason) {
        return refused.detail.starts_with(refusal(kind) + std::string{reason});
    };
    if (begins_with(has_version))
        return errc::conflict;
    switch (kind) {
    case message_kind::pause:
        return refused_in(run_state::paused) ? errc::already_paused : errc::already_finished;
    case message_kind::resume:
        return refused_in(run_state::initiated) || refused_in(run_state::running)
                   ? errc::not_paused
                   : errc::already_finished;
    case message_kind::delete_data:
        return errc::not_finished;
    case message_kind::retry:
        if (refused.detail == core::no_failure_text())
            return errc::not_failing;
        return refused_in(run_state::paused) ? errc::already_paused : errc::already_finished;
    case message_kind::move:
        if (begins_with(has_no_status))
            return errc::invalid_status;
        if (begins_with(object_refused))
            return errc::decode_failed;
        return refused_in(run_state::initiated) || refused_in(run_state::running)
                   ? errc::not_paused
                   : errc::already_finished;
    case message_kind::cancel:
    case message_kind::callback:
        break;
    }
    return errc::already_finished;
}

} // namespace pawl
