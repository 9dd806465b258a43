#include "pawl/detail/exception_text.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/detail/json_io.hpp"
#include "pawl/error.hpp"

#include <stdexcept>
#include <utility>

namespace pawl::detail {

namespace {

[[noreturn]] void fail(const record& from, const std::string& why)
{
    throw error{errc::decode_failed, "the object of run " + to_string(from.id) +
                                         " is of schema version " +
                                         std::to_string(from.object_version) + why};
}

} // namespace

std::string_view present_object(const workflow_impl& workflow, const record& from,
                                std::string& upgraded)
{
    const auto present = workflow.rules.object_version;
    if (from.object_version == present || from.object.empty())
        return from.object;
    if (from.object_version > present || from.object_version < 1)
        fail(from, ", and this program knows versions 1 to " + std::to_string(present) +
                       ": use the newer program");
    upgraded = from.object;
    for (auto version = from.object_version; version < present; ++version) {
        try {
            upgraded = workflow.upgrades[version - 1](std::move(upgraded));
        } catch (...) {
            fail(from, ", and its upgrade from version " + std::to_string(version) +
                           " failed: " + exception_text(std::current_exception()));
        }
    }
    return upgraded;
}

std::function<std::string(std::string)> make_upgrade(json_edit edit)
{
    return [edit = std::move(edit)](const std::string& stored) {
        // Boost's own parser is inexact: numbers that the edit does not touch must stay.
        auto document = parse_json(stored);
        edit(document);
        std::string edited;
        write_value(document, edited);
        return edited;
    };
}

std::vector<deadline> arm_timeouts(const workflow_impl& workflow, int status,
                                   const object_ptr& object, run_context& context)
{
    std::vector<deadline> armed;
    const auto at = workflow.handlers.find(status);
    if (at == workflow.handlers.end())
        return armed;
    const auto& timeouts = at->second.timeouts;
    for (std::size_t i = 0; i < timeouts.size(); ++i)
        if (const auto due = timeouts[i].due(object, context))
            armed.push_back({static_cast<int>(i), *due, 0});
    return armed;
}

} // namespace pawl::detail
