#include "engine/operations/run_lister.hpp"

#include "pawl/error.hpp"
#include "stores/common/store_semantics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t max_examined_ceiling = 1'000'000;

/// The first read of a page. Later reads are as large as the size of the runs so far allows.
constexpr std::size_t first_read = 16;

constexpr std::string_view overdue_prefix = "due-";

const std::vector<run_state> unfinished_states{run_state::initiated, run_state::running,
                                               run_state::paused};

[[noreturn]] void refuse(const std::string& rule)
{
    throw error(errc::invalid_argument, "run_filter::" + rule);
}

bool are_all_paused(const std::vector<run_state>& states)
{
    return std::ranges::all_of(states, [](run_state state) { return state == run_state::paused; });
}

/// All filters as a query. Its index conditions are those of indexed_query().
record_query whole_query(const list_search& search)
{
    const auto& filter = search.filter;
    record_query query;
    query.workflow = filter.workflow;
    query.parent = filter.parent;
    query.foreign_ids = filter.foreign_ids;
    query.attributes = filter.attributes;
    query.statuses = search.statuses;
    query.states = filter.states;
    query.created_from = filter.created_from;
    query.created_to = filter.created_to;
    query.updated_from = filter.updated_from;
    query.updated_to = filter.updated_to;
    query.error_text = filter.error_text;
    query.order = filter.order;
    if (!filter.attention || *filter.attention == attention_kind::overdue)
        return query;
    const bool is_paused = *filter.attention == attention_kind::paused;
    auto wanted = is_paused ? std::vector{run_state::paused} : unfinished_states;
    if (filter.states)
        std::erase_if(wanted, [&](run_state state) {
            return std::ranges::find(*filter.states, state) == filter.states->end();
        });
    query.states = std::move(wanted);
    if (!is_paused)
        query.has_error = true;
    return query;
}

/// The filters for which stores have an index.
record_query indexed_query(const record_query& whole)
{
    record_query query;
    query.workflow = whole.workflow;
    query.parent = whole.parent;
    query.foreign_ids = whole.foreign_ids;
    query.attributes = whole.attributes;
    query.created_from = whole.created_from;
    query.created_to = whole.created_to;
    query.order = whole.order;
    if (whole.has_error.value_or(false) || !whole.error_text.empty())
        query.has_error = true;
    if (whole.states && are_all_paused(*whole.states))
        query.states = whole.states;
    else if (whole.states && std::ranges::none_of(*whole.states, is_finished))
        query.states = unfinished_states;
    return query;
}

/// Whether the store finds exactly the wanted runs.
bool is_indexed(const record_query& whole, const record_query& indexed)
{
    return !whole.statuses && !whole.updated_from && !whole.updated_to &&
           whole.error_text.empty() && whole.states == indexed.states;
}

/// What a page has read, and may still read.
class page_budget {
public:
    explicit page_budget(const run_filter& filter)
        : runs_left_(filter.max_examined), bytes_left_(filter.max_bytes)
    {
    }

    /// The number of runs for the next read. At least 1.
    std::size_t next_read(std::size_t most) const
    {
        std::size_t wanted = first_read;
        if (examined_ > 0) {
            const auto each = std::max<std::size_t>(bytes_ / examined_, 1);
            wanted = std::max<std::size_t>(bytes_left_ / each, 1);
        }
        return std::clamp<std::size_t>(std::min(wanted, runs_left_), 1,
                                       std::min(most, core::max_page));
    }

    /// Counts a run. False, without counting it, if the budget has no room for it.
    bool take(const record& run)
    {
        const auto size = run.object.size() + run.last_error.size() + run.reason.size() +
                          run.foreign_id.size() + sizeof(record);
        if (runs_left_ == 0 || (examined_ > 0 && size > bytes_left_))
            return false;
        --runs_left_;
        ++examined_;
        bytes_ += size;
        bytes_left_ -= std::min(size, bytes_left_);
        return true;
    }

    bool is_used_up() const { return runs_left_ == 0 || bytes_left_ == 0; }
    std::size_t examined() const { return examined_; }

private:
    std::size_t runs_left_;
    std::size_t bytes_left_;
    std::size_t examined_ = 0;
    std::size_t bytes_ = 0;
};

asio::awaitable<found_runs> list_in_order(record_store& store, list_search search)
{
    found_runs found;
    const auto whole = whole_query(search);
    if (core::matches_nothing(whole))
        co_return found;
    auto query = indexed_query(whole);
    const bool finds_all = is_indexed(whole, query);
    const auto limit = search.filter.limit;
    if (!search.filter.after.empty()) {
        const auto after = parse_list_position(search.filter.after);
        if (!after)
            refuse(fmt::format("after is \"{}\"; it must be run_page::next of the same list",
                               search.filter.after));
        query.after = *after;
    }
    page_budget budget{search.filter};
    list_position position = query.after;
    for (bool more = true; more;) {
        query.limit = budget.next_read(finds_all ? limit - found.runs.size() : core::max_page);
        auto page = co_await store.list(query);
        query.after = page.next;
        more = static_cast<bool>(page.next);
        for (auto& run : page.runs) {
            if (found.runs.size() == limit || !budget.take(run)) {
                found.next = to_string(position);
                break;
            }
            position = core::position_of(run);
            found.searched_to = run.created_at;
            if (core::matches(whole, run))
                found.runs.push_back(std::move(run));
        }
        if (!found.next.empty())
            break;
        if (more && (found.runs.size() == limit || budget.is_used_up())) {
            found.next = to_string(position);
            break;
        }
    }
    found.examined = budget.examined();
    found.complete = found.next.empty();
    co_return found;
}

/// Reads the overdue runs of one shard. Empty when the shard has no more of them, else the position
/// at which the page ended.
asio::awaitable<std::optional<overdue_position>> list_shard(record_store& store,
                                                            const list_search& search,
                                                            overdue_position first,
                                                            page_budget& budget, found_runs& found)
{
    const auto whole = whole_query(search);
    const auto latest = search.now - search.filter.overdue_by;
    std::optional<due_position> from = first.run;
    while (from && from->at <= latest) {
        auto page =
            co_await store.due(first.shard, *from, latest, budget.next_read(core::max_page));
        for (auto& run : page.runs) {
            const overdue_position here{first.shard, {run.wake_at.value_or(from->at), run.id}};
            if (found.runs.size() == search.filter.limit || !budget.take(run))
                co_return here;
            found.searched_to = run.wake_at;
            if (core::matches(whole, run))
                found.runs.push_back(std::move(run));
        }
        from = page.next;
    }
    co_return std::nullopt;
}

asio::awaitable<found_runs> list_overdue(record_store& store, list_search search)
{
    found_runs found;
    overdue_position first{search.first_shard, {}};
    if (!search.filter.after.empty()) {
        const auto after = parse_overdue_position(search.filter.after);
        if (!after || after->shard < search.first_shard || after->shard >= search.end_shard)
            refuse(fmt::format("after is \"{}\"; it must be run_page::next of the same list",
                               search.filter.after));
        first = *after;
    }
    page_budget budget{search.filter};
    while (first.shard < search.end_shard) {
        const auto end = co_await list_shard(store, search, first, budget, found);
        if (end) {
            found.next = to_string(*end);
            break;
        }
        first = {first.shard + 1, {}};
    }
    found.examined = budget.examined();
    found.complete = found.next.empty();
    co_return found;
}

} // namespace

std::string to_string(const overdue_position& position)
{
    return fmt::format("{}{}-{}-{}", overdue_prefix, position.shard,
                       position.run.at.time_since_epoch().count(), to_string(position.run.id));
}

std::optional<overdue_position> parse_overdue_position(std::string_view text)
{
    overdue_position read;
    if (!text.starts_with(overdue_prefix))
        return std::nullopt;
    text.remove_prefix(overdue_prefix.size());
    const auto read_number = [&text](auto& number) {
        const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
        const auto used = static_cast<std::size_t>(result.ptr - text.data());
        if (result.ec != std::errc{} || used == text.size() || text[used] != '-')
            return false;
        text.remove_prefix(used + 1);
        return true;
    };
    std::int64_t at = 0;
    if (!read_number(read.shard) || !read_number(at))
        return std::nullopt;
    const auto run = parse_run_id(text);
    if (!run)
        return std::nullopt;
    read.run = {time_point{duration{at}}, *run};
    return read;
}

void check_page_limit(std::size_t limit)
{
    if (limit < 1 || limit > core::max_page)
        throw error(errc::invalid_argument,
                    fmt::format("limit is {}; it must be from 1 to {}", limit, core::max_page));
}

void check_filter(const run_filter& filter)
{
    if (filter.limit < 1 || filter.limit > core::max_page)
        refuse(fmt::format("limit is {}; it must be from 1 to {}", filter.limit, core::max_page));
    if (filter.max_examined < 1 || filter.max_examined > max_examined_ceiling)
        refuse(fmt::format("max_examined is {}; it must be from 1 to {}", filter.max_examined,
                           max_examined_ceiling));
    if (filter.max_bytes < 1)
        refuse("max_bytes is 0; it must be at least 1");
    if (filter.overdue_by < duration::zero())
        refuse("overdue_by is negative; it must be at least 0");
    if (!filter.attributes.empty() && filter.workflow.empty())
        refuse("attributes are given without a workflow; name the workflow too");
    if (!filter.attributes.empty() && filter.attention == attention_kind::overdue)
        refuse("attributes cannot be combined with attention_kind::overdue");
    const auto check_size = [](const char* name, const auto& values) {
        if (values && values->size() > core::max_page)
            refuse(fmt::format("{} has {} values; at most {} are allowed", name, values->size(),
                               core::max_page));
    };
    check_size("statuses", filter.statuses);
    check_size("states", filter.states);
    check_size("foreign_ids", filter.foreign_ids);
}

bool matches(const list_search& search, const record& run)
{
    if (!core::matches(whole_query(search), run))
        return false;
    return search.filter.attention != attention_kind::overdue ||
           (run.wake_at && *run.wake_at <= search.now - search.filter.overdue_by);
}

asio::awaitable<bool> find_match(record_store& store, const list_search& search, const record& run)
{
    auto query = whole_query(search);
    if (core::matches_nothing(query) || !matches(search, run))
        co_return false;
    query.foreign_ids = {run.foreign_id};
    query.created_from = run.created_at;
    query.created_to = run.created_at + duration{1};
    query.limit = core::max_page;
    const auto page = co_await store.list(query);
    co_return std::ranges::find(page.runs, run.id, &record::id) != page.runs.end();
}

asio::awaitable<found_runs> list_runs(record_store& store, list_search search)
{
    if (search.filter.attention == attention_kind::overdue)
        return list_overdue(store, std::move(search));
    return list_in_order(store, std::move(search));
}

} // namespace pawl::engine_detail
