#include "engine/run/received_commands.hpp"

#include "core/refusal.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/run_attributes.hpp"
#include "pawl/detail/exception_text.hpp"

#include <exception>
#include <string>
#include <utility>

namespace pawl::engine_detail {

namespace {

core::repair_request request_of(const message& command)
{
    try {
        return core::decode_repair(command.payload);
    } catch (...) {
        return {command.payload, {}, {}, {}};
    }
}

/// Replaces the text of an edited object by the object as the workflow writes it, and sets
/// loaded_run::object. Throws what the codec and the upgrades throw.
void take_edited_object(loaded_run& run, core::move_received& move)
{
    const auto& impl = *run.workflow->impl;
    record edited;
    edited.object = std::move(*move.request.object);
    edited.object_version = run.stored.object_version;
    std::string upgraded;
    std::string ignored;
    run.object = impl.decode(detail::present_object(impl, edited, upgraded), &ignored);
    if (!ignored.empty())
        throw error(errc::decode_failed, "it has a member \"" + ignored +
                                             "\" that the type of the object does not have");
    std::string encoded;
    impl.encode(run.object, encoded);
    run.check_size(encoded.size(), "the object");
    if (!impl.attributes.empty())
        move.attributes = attributes_of(impl, run.object);
    move.request.object = detail::written_object(impl, std::move(encoded));
}

std::optional<core::stimulus> stimulus_of_move(loaded_run& run, run_commits& commits,
                                               const message& command)
{
    core::move_received move{command.sequence, request_of(command), command.requested_by};
    const int target = move.request.status.value_or(run.stored.status);
    // While a handler runs, the command is refused, and the object is the handler's.
    if (run.stored.state != run_state::paused || !run.workflow->impl->rules.find(target))
        return move;
    try {
        run.object.reset();
        if (move.request.object)
            take_edited_object(run, move);
        else
            run.decode_object();
        commits.arm_ahead(target);
    } catch (...) {
        if (run.left_to_newer_program(std::current_exception()))
            return std::nullopt;
        move.problem = core::object_refusal_text(detail::exception_text(std::current_exception()));
    }
    run.object.reset(); // it is decoded from what the commit stores
    return move;
}

} // namespace

std::optional<core::stimulus> stimulus_of_command(loaded_run& run, run_commits& commits,
                                                  const message& command)
{
    if (command.kind == message_kind::retry)
        return core::retry_received{command.sequence, request_of(command), command.requested_by};
    if (command.kind == message_kind::move)
        return stimulus_of_move(run, commits, command);
    return core::command_received{command.sequence, command.kind, command.payload,
                                  command.requested_by};
}

} // namespace pawl::engine_detail
