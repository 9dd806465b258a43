#include "engine/run/run_attributes.hpp"

#include "core/text.hpp"
#include "engine/run/exception_info.hpp"
#include "pawl/codec.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

using core::quoted;

namespace {

std::string text_of(const attribute_value& value)
{
    if (const auto* text = std::get_if<std::string>(&value))
        return quoted(*text);
    if (const auto* integer = std::get_if<std::int64_t>(&value))
        return std::to_string(*integer);
    if (const auto* boolean = std::get_if<bool>(&value))
        return *boolean ? "true" : "false";
    std::string time;
    json_codec<time_point>::write(std::get<time_point>(value), time);
    return time;
}

/// With its article.
std::string kind_name(attribute_kind kind)
{
    const std::string name{to_string(kind)};
    return kind == attribute_kind::text      ? name
           : kind == attribute_kind::integer ? "an " + name
                                             : "a " + name;
}

void check_size(const std::string& name, const std::optional<attribute_value>& value)
{
    const auto* text = value ? std::get_if<std::string>(&*value) : nullptr;
    if (text && text->size() > max_attribute_size)
        throw size_exceeded(errc::too_large, "attribute \"" + name + "\" has " +
                                                 std::to_string(text->size()) +
                                                 " bytes; it must have at most " +
                                                 std::to_string(max_attribute_size));
}

std::string declared_names(const definition& rules)
{
    std::string names;
    for (const attribute_rules& declared : rules.attributes)
        names += (names.empty() ? "it has " : ", ") + quoted(declared.name);
    return names.empty() ? "it has none" : names;
}

} // namespace

std::vector<stored_attribute> attributes_of(const detail::workflow_impl& workflow,
                                            const detail::object_ptr& object)
{
    const auto& declared = workflow.rules.attributes;
    std::vector<stored_attribute> attributes;
    attributes.reserve(declared.size());
    for (std::size_t i = 0; i < declared.size(); ++i) {
        auto value = workflow.attributes[i](object);
        check_size(declared[i].name, value);
        attributes.push_back({declared[i].name, std::move(value)});
    }
    return attributes;
}

std::vector<stored_attribute> attributes_of(const detail::workflow_impl& workflow,
                                            const record& stored)
{
    if (workflow.attributes.empty())
        return {};
    std::string upgraded;
    return attributes_of(
        workflow, workflow.decode(detail::present_object(workflow, stored, upgraded), nullptr));
}

std::vector<stored_attribute> attributes_of_written(const detail::workflow_impl& workflow,
                                                    const std::string& written)
{
    if (workflow.attributes.empty())
        return {};
    record saved;
    saved.object = written;
    saved.object_version = workflow.rules.write_version;
    return attributes_of(workflow, saved);
}

void check_attribute_filters(const detail::workflow_impl& workflow, const record_query& query)
{
    const auto& rules = workflow.rules;
    for (const attribute_filter& filter : query.attributes) {
        const auto declared =
            std::ranges::find(rules.attributes, filter.name, &attribute_rules::name);
        if (declared == rules.attributes.end())
            throw error(errc::invalid_argument, "workflow \"" + rules.name +
                                                    "\" has no attribute " + quoted(filter.name) +
                                                    "; " + declared_names(rules));
        if (kind_of(filter.value) != declared->kind)
            throw error(errc::invalid_argument, "attribute \"" + declared->name + "\" is " +
                                                    kind_name(declared->kind) + "; " +
                                                    text_of(filter.value) + " is " +
                                                    kind_name(kind_of(filter.value)));
    }
}

} // namespace pawl::engine_detail
