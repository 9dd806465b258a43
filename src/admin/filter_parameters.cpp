#include "admin/filter_parameters.hpp"

#include "admin/parameters.hpp"
#include "admin/refusal.hpp"

#include <fmt/format.h>

#include <chrono>
#include <string>

namespace pawl::admin::detail {

namespace {

run_filter read_filter(const http::request& message)
{
    const auto refuse = [](std::string_view name, const std::string& value, const char* demand) {
        throw refusal(
            400, "invalid_argument",
            fmt::format("the query parameter {} is '{}'; it must be {}", name, value, demand));
    };
    run_filter filter;
    filter.workflow = text_parameter(message, "workflow");
    filter.statuses = list_parameter(message, "status");
    filter.foreign_ids = list_parameter(message, "foreign_id");
    if (const auto names = list_parameter(message, "run_state")) {
        filter.states.emplace();
        for (const auto& name : *names) {
            const auto state = parse_run_state(name);
            if (!state)
                refuse("run_state", name,
                       "Initiated, Running, Paused, Cancelled, Completed, RequestedDataDeleted or "
                       "DataDeleted");
            filter.states->push_back(*state);
        }
    }
    if (const auto text = text_parameter(message, "parent"); !text.empty()) {
        filter.parent = parse_run_id(text);
        if (!filter.parent)
            refuse("parent", text, "the id of a run");
    }
    if (const auto text = text_parameter(message, "attention"); !text.empty()) {
        filter.attention = parse_attention_kind(text);
        if (!filter.attention)
            refuse("attention", text, "failing, paused or overdue");
    }
    filter.attributes = attributes_parameter(message, "attribute");
    filter.error_text = text_parameter(message, "error");
    filter.created_from = time_parameter(message, "created_from");
    filter.created_to = time_parameter(message, "created_to");
    filter.updated_from = time_parameter(message, "updated_from");
    filter.updated_to = time_parameter(message, "updated_to");
    filter.overdue_by =
        std::chrono::seconds{number_parameter(message, "overdue_seconds", 60, 0, 31'536'000)};
    const auto order = text_parameter(message, "order");
    if (!order.empty() && order != "newest_first" && order != "oldest_first")
        refuse("order", order, "newest_first or oldest_first");
    if (order == "oldest_first")
        filter.order = sort_order::oldest_first;
    return filter;
}

} // namespace

run_filter filter_of_page(const http::request& message)
{
    allow_parameters(message,
                     {"workflow", "status", "run_state", "foreign_id", "parent", "attention",
                      "attribute", "error", "created_from", "created_to", "updated_from",
                      "updated_to", "order", "limit", "after", "overdue_seconds"});
    auto filter = read_filter(message);
    filter.limit = number_parameter(message, "limit", filter.limit, 1, 1'000);
    filter.after = text_parameter(message, "after");
    return filter;
}

run_filter filter_of_all(const http::request& message)
{
    allow_parameters(message, {"workflow", "status", "run_state", "foreign_id", "parent",
                               "attention", "attribute", "error", "created_from", "created_to",
                               "updated_from", "updated_to", "order", "overdue_seconds"});
    return read_filter(message);
}

} // namespace pawl::admin::detail
