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

/// What a definition says of a status, as far as stored runs depend on it.
struct declared_status {
    int number = 0;
    std::string label;
    bool step = false;
    std::vector<std::string> timeouts;
    std::vector<std::string> callbacks;

    friend bool operator==(const declared_status&, const declared_status&) = default;
};
BOOST_DESCRIBE_STRUCT(declared_status, (), (number, label, step, timeouts, callbacks))

/// What a definition says of stored runs.
struct declared_workflow {
    std::uint32_t object_version = 1;
    std::vector<declared_status> statuses;
    std::vector<std::string> hooks;

    const declared_status* find(int status) const noexcept;

    friend bool operator==(const declared_workflow&, const declared_workflow&) = default;
};
BOOST_DESCRIBE_STRUCT(declared_workflow, (), (object_version, statuses, hooks))

/// A status's number that has had another label.
struct relabeled_status {
    int number = 0;
    std::string label;
    std::string before;
};

/// What the programs that have been started on a store declared of one workflow, in the order of
/// their first start. Kept in a topic of the store, each definition once, by its id. Of two
/// definitions the one with the higher version of the object is newer, and of those with the same
/// version the one that was started later for the first time, whichever program is started again.
class definition_log {
public:
    /// Reads the log of `own`'s workflow.
    static boost::asio::awaitable<definition_log> read(record_store& store, const definition& own);

    /// Appends the definition, if it is not there.
    boost::asio::awaitable<void> append(record_store& store, time_point now);

    /// Where the definition stands; 0: it is not there.
    std::uint64_t position() const noexcept { return position_; }

    /// The last position that has been read. Another program may have added its definition between
    /// that and the own one.
    std::uint64_t end() const noexcept { return end_; }

    /// A program with a newer definition has been here.
    bool outdated() const noexcept;

    /// A newer definition has the status.
    bool is_newer(int status) const noexcept;

    /// Statuses that this definition calls otherwise than those before, without saying so. A
    /// definition that is in the log was accepted once.
    std::vector<relabeled_status> relabeled() const;

    /// What the definition changes for runs that stand in the status, a sentence each; empty when
    /// it has been here.
    std::vector<std::string> changes(int status) const;

private:
    struct entry {
        std::uint64_t position = 0;
        declared_workflow declared;
    };

    bool is_newer(const entry& other) const noexcept;

    const definition* own_ = nullptr;
    std::vector<entry> entries_;
    std::uint64_t position_ = 0;
    std::uint64_t end_ = 0;
};

/// Looks which workflows of the engine have a newer definition by now.
boost::asio::awaitable<void> look_for_newer_definitions(engine_parts& shared);

} // namespace pawl::engine_detail
