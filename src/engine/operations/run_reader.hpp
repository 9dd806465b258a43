#pragma once

#include "engine/operations/run_lister.hpp"
#include "engine/operations/store_inventory.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <vector>

namespace pawl::detail {
class engine_core;
}

namespace pawl::engine_detail {

/// Reads runs of all workflows, alone, in pages, and as counts. Functions are coroutines; the
/// object outlives them.
class run_reader {
public:
    /// `core` outlives this object.
    explicit run_reader(detail::engine_core& core) : core_(core) {}

    boost::asio::awaitable<std::vector<workflow_overview>> overview(overview_options options);
    boost::asio::awaitable<run_page> list(run_filter filter);
    boost::asio::awaitable<std::optional<run_view>> read(run_id run);

    /// The search of a filter. Adds the labels that it needs. Throws error (invalid_argument) if
    /// the filter is out of its range.
    /// @param now what `overdue_by` is counted from.
    boost::asio::awaitable<list_search> resolve(run_filter filter, time_point now,
                                                status_labels& labels);

    /// The runs with their labels.
    boost::asio::awaitable<std::vector<run_view>> views_of(std::vector<record> runs);

    /// Whether the store has runs or a definition of the workflow. Others must not be given shards.
    boost::asio::awaitable<bool> is_known(std::string workflow);

private:
    store_inventory inventory() const;
    record_store& store() const;
    boost::asio::awaitable<workflow_overview> overview_of(std::string workflow,
                                                          overview_options options);
    boost::asio::awaitable<capped_count>
    count_attention(std::string workflow, attention_kind attention, overview_options options);
    boost::asio::awaitable<found_runs> find_runs(run_filter filter, status_labels& labels);

    detail::engine_core& core_;
};

} // namespace pawl::engine_detail
