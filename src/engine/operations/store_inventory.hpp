#pragma once

#include "core/shard_plan.hpp"
#include "engine/api/engine_parts.hpp"
#include "engine/cluster/definition_log.hpp"
#include "pawl/operations_views.hpp"

#include <boost/asio/awaitable.hpp>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::engine_detail {

/// The labels of the statuses of workflows.
class status_labels {
public:
    /// Takes the labels of this engine's own definition.
    void add(const definition& rules);

    /// Takes the labels of stored definitions; newer ones replace older ones.
    void add(const std::string& workflow, const std::vector<logged_definition>& definitions);

    bool knows(std::string_view workflow) const { return labels_.contains(workflow); }

    /// The label; the number as text if it is not known.
    std::string label(std::string_view workflow, int status) const;

    /// The number of a status that is given by its label or as a decimal number. Throws error
    /// (invalid_argument) if it does not exist.
    int number(std::string_view workflow, const std::string& text) const;

private:
    std::map<std::string, std::map<int, std::string>, std::less<>> labels_;
};

/// Which workflows, definitions and engines a store has. Functions are coroutines; the object
/// outlives them.
class store_inventory {
public:
    explicit store_inventory(engine_parts& shared, bool client_only)
        : shared_(shared), client_only_(client_only)
    {
    }

    /// The names of all workflows that are known, Pawl's own excluded, sorted.
    boost::asio::awaitable<std::vector<std::string>> workflows() const;

    /// Adds the labels of these workflows that are not known yet.
    boost::asio::awaitable<void> add_labels(std::set<std::string> names,
                                            status_labels& labels) const;

    /// Those of the workflows that a live engine has. All of them must be in the store.
    boost::asio::awaitable<std::set<std::string>> driven(std::vector<std::string> names) const;

    /// The engines that are alive, with the names of their workflows.
    boost::asio::awaitable<engines_view> engines() const;

    boost::asio::awaitable<workflow_view> definitions_of(std::string workflow) const;

    /// The shards of a workflow that is in the store, or without a name all shards: the first one
    /// and the one after the last.
    boost::asio::awaitable<std::pair<std::uint32_t, std::uint32_t>>
    shards_of(std::string workflow) const;

private:
    engine_parts& shared_;
    const bool client_only_;
};

} // namespace pawl::engine_detail
