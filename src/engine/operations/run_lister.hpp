#pragma once

#include "pawl/operations_views.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// A position in a list of overdue runs: by shard, then in the order of due runs. The run at the
/// position is the next one.
struct overdue_position {
    std::uint32_t shard = 0;
    due_position run;

    friend bool operator==(const overdue_position&, const overdue_position&) = default;
};

std::string to_string(const overdue_position& position);

/// Empty if `text` was not written by to_string().
std::optional<overdue_position> parse_overdue_position(std::string_view text);

/// Runs that were found within the budgets of a run_filter.
struct found_runs {
    std::vector<record> runs;
    std::string next; ///< as run_page::next
    std::optional<time_point> searched_to;
    std::size_t examined = 0;
    bool complete = true;
};

/// What a list searches, with names resolved.
struct list_search {
    run_filter filter;
    std::optional<std::vector<int>> statuses; ///< run_filter::statuses as numbers
    time_point now;

    /// The shards to search for overdue runs: from `first_shard` to `end_shard` - 1.
    std::uint32_t first_shard = 0;
    std::uint32_t end_shard = 0;
};

/// Throws error (invalid_argument) unless a page may have this many items.
void check_page_limit(std::size_t limit);

/// Throws error (invalid_argument), naming the field, unless the filter is in its range.
void check_filter(const run_filter& filter);

/// Whether the run matches the search. The attributes of the filter are not compared.
bool matches(const list_search& search, const record& run);

/// Whether the run matches the search now, with its attributes.
boost::asio::awaitable<bool> find_match(record_store& store, const list_search& search,
                                        const record& run);

/// Reads a page of runs. The store searches by those filters for which it has an index; the other
/// filters are applied here, to as many runs as the budgets allow.
boost::asio::awaitable<found_runs> list_runs(record_store& store, list_search search);

} // namespace pawl::engine_detail
