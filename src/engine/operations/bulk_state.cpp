#include "engine/operations/bulk_state.hpp"

#include "core/text.hpp"
#include "pawl/codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace {

constexpr std::size_t max_problems = 100;
constexpr std::size_t max_detail_length = 256;

/// Runs in a page.
constexpr std::size_t runs_in_page = 100;

stored_attribute_filter store_attribute(const attribute_filter& given)
{
    stored_attribute_filter stored{given.name, static_cast<int>(given.comparison), {}, {}, {}, {}};
    if (const auto* text = std::get_if<std::string>(&given.value))
        stored.text = *text;
    else if (const auto* integer = std::get_if<std::int64_t>(&given.value))
        stored.integer = *integer;
    else if (const auto* boolean = std::get_if<bool>(&given.value))
        stored.boolean = *boolean;
    else
        stored.time = std::get<time_point>(given.value);
    return stored;
}

attribute_filter read_attribute(const stored_attribute_filter& stored)
{
    attribute_filter filter{stored.name, {}, attribute_comparison{}};
    filter.comparison = static_cast<attribute_comparison>(stored.comparison);
    if (stored.text)
        filter.value = *stored.text;
    else if (stored.integer)
        filter.value = *stored.integer;
    else if (stored.boolean)
        filter.value = *stored.boolean;
    else
        filter.value = stored.time.value_or(time_point{});
    return filter;
}

error_code code_of(int number)
{
    return number == 0 ? error_code{} : make_error_code(static_cast<errc>(number));
}

} // namespace

stored_filter store_filter(const list_search& search)
{
    const auto& given = search.filter;
    stored_filter stored;
    stored.workflow = given.workflow;
    stored.statuses = search.statuses;
    if (given.states) {
        stored.states.emplace();
        for (const auto state : *given.states)
            stored.states->push_back(static_cast<int>(state));
    }
    stored.foreign_ids = given.foreign_ids;
    if (given.parent)
        stored.parent = to_string(*given.parent);
    for (const auto& filter : given.attributes)
        stored.attributes.push_back(store_attribute(filter));
    stored.created_from = given.created_from;
    stored.created_to = given.created_to;
    stored.updated_from = given.updated_from;
    stored.updated_to = given.updated_to;
    stored.error_text = given.error_text;
    if (given.attention)
        stored.attention = to_string(*given.attention);
    stored.overdue_by_microseconds = given.overdue_by.count();
    stored.oldest_first = given.order == sort_order::oldest_first;
    return stored;
}

list_search search_of(const bulk_state& state)
{
    const auto& stored = state.filter;
    list_search search;
    search.now = state.started_at;
    search.statuses = stored.statuses;
    auto& filter = search.filter;
    filter.workflow = stored.workflow;
    if (stored.states) {
        filter.states.emplace();
        for (const auto number : *stored.states)
            filter.states->push_back(static_cast<run_state>(number));
    }
    filter.foreign_ids = stored.foreign_ids;
    if (stored.parent)
        filter.parent = parse_run_id(*stored.parent);
    for (const auto& attribute : stored.attributes)
        filter.attributes.push_back(read_attribute(attribute));
    filter.created_from = stored.created_from;
    filter.created_to = stored.created_to;
    filter.updated_from = stored.updated_from;
    filter.updated_to = stored.updated_to;
    filter.error_text = stored.error_text;
    if (stored.attention)
        filter.attention = parse_attention_kind(*stored.attention);
    filter.overdue_by = duration{stored.overdue_by_microseconds};
    filter.order = stored.oldest_first ? sort_order::oldest_first : sort_order::newest_first;
    filter.limit = runs_in_page;
    filter.after = state.next;
    return search;
}

void add_problem(bulk_state& state, const record& run, error_code code, std::string detail)
{
    if (code) {
        auto known = std::ranges::find(state.refused, code.value(), &stored_refusals::code);
        if (known == state.refused.end())
            known = state.refused.insert(known, {code.value(), 0});
        ++known->runs;
    } else {
        ++state.pending;
    }
    if (state.problems.size() < max_problems)
        state.problems.push_back({to_string(run.id), run.workflow, run.foreign_id, code.value(),
                                  core::truncate_utf8(std::move(detail), max_detail_length)});
}

std::string encode_bulk(const bulk_state& state)
{
    std::string bytes;
    codec<bulk_state>::encode(state, bytes);
    return bytes;
}

bulk_view read_bulk(const record& run)
{
    auto state = codec<bulk_state>::decode(run.object);
    bulk_view view;
    view.run = run.id;
    view.action = parse_bulk_action(state.action).value_or(bulk_action::retry);
    view.workflow = std::move(state.filter.workflow);
    view.status = std::move(state.status_text);
    view.by = {std::move(state.requester), std::move(state.method), std::move(state.address)};
    view.reason = std::move(state.reason);
    view.audit_id = std::move(state.audit_id);
    view.started_at = state.started_at;
    if (is_finished(run.state))
        view.ended_at = run.updated_at;
    view.state = run.state;
    view.last_error = run.last_error;
    view.examined = state.examined;
    view.selected = state.selected;
    view.done = state.done;
    view.passed_over = state.passed_over;
    view.pending = state.pending;
    for (const auto& refused : state.refused)
        view.refused.push_back({code_of(refused.code), refused.runs});
    for (auto& problem : state.problems)
        view.problems.push_back({parse_run_id(problem.run).value_or(run_id{}),
                                 std::move(problem.workflow), std::move(problem.foreign_id),
                                 code_of(problem.code), std::move(problem.detail)});
    view.searched_to = state.searched_to;
    return view;
}

std::string summary_of(const bulk_state& state)
{
    auto text = fmt::format("{} runs selected, {} done, {} passed over, {} pending", state.selected,
                            state.done, state.passed_over, state.pending);
    for (const auto& refused : state.refused)
        text += fmt::format(", {} refused: {}", refused.runs, code_of(refused.code).message());
    return text;
}

} // namespace pawl::engine_detail

namespace pawl {

std::string to_string(bulk_action action)
{
    switch (action) {
    case bulk_action::retry:
        return "retry";
    case bulk_action::pause:
        return "pause";
    case bulk_action::resume:
        return "resume";
    case bulk_action::cancel:
        return "cancel";
    case bulk_action::delete_data:
        return "delete_data";
    case bulk_action::move:
        return "move";
    }
    return "bulk_action(" + std::to_string(static_cast<int>(action)) + ")";
}

std::optional<bulk_action> parse_bulk_action(std::string_view text) noexcept
{
    using enum bulk_action;
    for (const auto action : {retry, pause, resume, cancel, delete_data, move})
        if (text == to_string(action))
            return action;
    return std::nullopt;
}

} // namespace pawl
