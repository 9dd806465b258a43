#pragma once

#include "engine/api/engine_parts.hpp"
#include "pawl/definition.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/describe.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// The part of a status's definition that stored runs depend on.
struct declared_status {
    int number = 0;
    std::string label;
    bool step = false;
    std::vector<std::string> timeouts;
    std::vector<std::string> callbacks;

    friend bool operator==(const declared_status&, const declared_status&) = default;
};
BOOST_DESCRIBE_STRUCT(declared_status, (), (number, label, step, timeouts, callbacks))

/// The part of a workflow's definition that stored runs depend on.
struct declared_workflow {
    std::uint32_t object_version = 1;
    std::vector<declared_status> statuses;
    std::vector<std::string> hooks;

    const declared_status* find(int status) const noexcept;

    friend bool operator==(const declared_workflow&, const declared_workflow&) = default;
};
BOOST_DESCRIBE_STRUCT(declared_workflow, (), (object_version, statuses, hooks))

/// A definition in the log of its workflow.
struct logged_definition {
    std::uint64_t position = 0;
    declared_workflow declared;
    std::string id; ///< equal for equal definitions
    time_point at;  ///< of its first start
};

/// Reads the definitions of a workflow, oldest first.
boost::asio::awaitable<std::vector<logged_definition>> read_definitions(record_store& store,
                                                                        std::string workflow);

/// The id of a definition in the log.
std::string definition_id(const definition& rules);

/// Reads the names of the workflows whose definitions are logged, in the order of their first
/// starts. Workflows that were started by programs before this list was kept are missing.
boost::asio::awaitable<std::vector<std::string>> read_workflow_names(record_store& store);

/// A status whose number has another label in earlier definitions.
struct relabeled_status {
    int number = 0;
    std::string label;
    std::string before;
};

/// The definitions of one workflow that programs on a store have declared, in the order of their
/// first start. They are kept in a topic of the store, each once, by its id. A definition is newer
/// than another if its object version is higher; with equal versions, if its first start was later,
/// whichever program is started again.
class definition_log {
public:
    /// Reads the log of the workflow that `rules` defines.
    static boost::asio::awaitable<definition_log> read(record_store& store,
                                                       const definition& rules);

    /// Appends the own definition, if it is not in the log.
    boost::asio::awaitable<void> append(record_store& store, time_point now);

    /// The position of the own definition; 0 if it is not in the log.
    std::uint64_t position() const noexcept { return position_; }

    /// The last position that has been read. Another program may have appended its definition
    /// between it and the own definition.
    std::uint64_t end() const noexcept { return end_; }

    /// Whether a program with a newer definition has been started on the store.
    bool outdated() const noexcept;

    /// Whether a newer definition has the status.
    bool is_newer(int status) const noexcept;

    /// Statuses whose label differs from all earlier definitions, without a `renamed` declaration.
    /// Empty for a definition that is in the log: it was accepted at its first start.
    std::vector<relabeled_status> relabeled() const;

    /// The changes that the definition makes for runs in the status, a sentence each. Empty for a
    /// definition that is in the log.
    std::vector<std::string> changes(int status) const;

private:
    bool is_newer(const logged_definition& other) const noexcept;

    const definition* rules_ = nullptr;
    std::vector<logged_definition> entries_;
    std::uint64_t position_ = 0;
    std::uint64_t end_ = 0;
};

/// Marks the engine's workflows that have a newer definition by now as outdated.
boost::asio::awaitable<void> check_for_newer_definitions(engine_parts& shared);

} // namespace pawl::engine_detail
