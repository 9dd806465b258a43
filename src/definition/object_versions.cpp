#include "pawl/detail/exception_text.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/detail/json_io.hpp"
#include "pawl/error.hpp"
#include "pawl/schema.hpp"

#include <stdexcept>
#include <utility>

namespace pawl::detail {

namespace {

std::string object_of(const record& run)
{
    return run.id == run_id{} ? "the object" : "the object of run " + to_string(run.id);
}

} // namespace

void refuse_newer(const std::string& name, std::uint32_t found, std::uint32_t known)
{
    throw error{errc::program_too_old,
                name + " is of schema version " + std::to_string(found) +
                    ", but this program knows " +
                    (known == 1 ? "version 1 only" : "versions 1 to " + std::to_string(known)) +
                    ": use the newer program"};
}

std::string edited_document(std::string_view stored, const json_edit& edit)
{
    const json_document parsed{stored};
    boost::json::value document(parsed.root(), boost::json::storage_ptr{});
    edit(document);
    std::string edited;
    write_value(document, edited);
    return edited;
}

std::string upgraded_document(std::string_view stored, std::uint32_t from, std::uint32_t to,
                              const json_upgrade& step)
{
    auto version = from;
    try {
        return edited_document(stored, [&](boost::json::value& document) {
            for (; version < to; ++version)
                step(version, document);
        });
    } catch (...) {
        throw error{errc::decode_failed,
                    "the upgrade from schema version " + std::to_string(version) +
                        " failed: " + exception_text(std::current_exception())};
    }
}

std::string_view present_object(const workflow_impl& workflow, const record& from,
                                std::string& upgraded)
{
    const auto present = workflow.rules.object_version;
    if (from.object_version == present || from.object.empty())
        return from.object;
    if (from.object_version > present || from.object_version < 1)
        refuse_newer(object_of(from), from.object_version, present);
    upgraded = from.object;
    for (auto version = from.object_version; version < present; ++version) {
        try {
            upgraded = workflow.upgrades[version - 1](std::move(upgraded));
        } catch (...) {
            throw error{errc::decode_failed,
                        object_of(from) + " is of schema version " +
                            std::to_string(from.object_version) +
                            ", but its upgrade from version " + std::to_string(version) +
                            " failed: " + exception_text(std::current_exception())};
        }
    }
    return upgraded;
}

std::string written_object(const workflow_impl& workflow, std::string present)
{
    const auto& rules = workflow.rules;
    for (auto version = rules.object_version; version > rules.write_version; --version)
        try {
            present = workflow.downgrades[version - 2](std::move(present));
        } catch (...) {
            throw error{errc::encode_failed, "the downgrade of the object to schema version " +
                                                 std::to_string(version - 1) + " failed: " +
                                                 exception_text(std::current_exception())};
        }
    return present;
}

std::function<std::string(std::string)> make_upgrade(json_edit edit)
{
    return [edit = std::move(edit)](const std::string& stored) {
        return edited_document(stored, edit);
    };
}

std::vector<deadline> arm_timeouts(const workflow_impl& workflow, int status,
                                   const object_ptr& object, run_context& context)
{
    std::vector<deadline> armed;
    const auto handlers = workflow.handlers.find(status);
    if (handlers == workflow.handlers.end())
        return armed;
    const auto& timeouts = handlers->second.timeouts;
    const auto& rules = workflow.rules.find(status)->timeouts;
    for (std::size_t i = 0; i < timeouts.size(); ++i)
        if (const auto due = timeouts[i].due(object, context))
            armed.push_back({rules[i].name, *due, 0});
    return armed;
}

} // namespace pawl::detail
