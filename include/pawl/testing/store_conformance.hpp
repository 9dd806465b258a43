#pragma once

#include "pawl/record_store.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pawl::testing {

/// Makes a fresh, empty store with so many shards.
using store_factory = std::function<std::shared_ptr<record_store>(std::uint32_t shards)>;

/// One rule of the contract of record_store, as a test.
struct conformance_check {
    std::string name; ///< a sentence in snake_case, unique among the checks

    /// Makes the stores that it needs and tries the rule on them, in contexts and threads of its
    /// own; returns when everything has completed. Throws std::runtime_error that says what was
    /// expected and what came, or lets out what the store threw.
    std::function<void(const store_factory& make_store)> run;
};

/// The whole contract, for a test framework to register: one test case a check.
///
/// A store of your own conforms when every check passes. The checks are independent of each other,
/// wait for nothing but the store, and take no more than some seconds together with a store that
/// commits in a millisecond.
std::vector<conformance_check> store_conformance_checks();

/// Opens a store with so many shards: a fresh, empty database, or `again` the one of the call
/// before, whose store has been destroyed.
using reopening_factory =
    std::function<std::shared_ptr<record_store>(std::uint32_t shards, bool again)>;

/// One rule of what a durable store keeps. See conformance_check.
struct reopen_check {
    std::string name;
    std::function<void(const reopening_factory& open)> run;
};

/// What must be there when a database is opened again: for stores that outlive their process.
std::vector<reopen_check> store_reopen_checks();

} // namespace pawl::testing
