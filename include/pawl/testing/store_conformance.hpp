#pragma once

#include "pawl/record_store.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pawl::testing {

/// Makes a new, empty store with this number of shards (of each workflow). The suite asks for 1 to
/// 4,096.
using store_factory = std::function<std::shared_ptr<record_store>(std::uint32_t shards)>;

/// A test of one rule of record_store.
struct conformance_check {
    std::string name; ///< a sentence in snake_case, unique among the checks

    /// Makes a store and checks the rule, in contexts and threads of its own. Returns when all
    /// calls have completed.
    ///
    /// Throws std::runtime_error, which says what was expected and what came, or what the store
    /// threw. A store whose call does not complete, although the context has nothing left to do,
    /// fails: keep the caller's executor busy during a call.
    std::function<void(const store_factory& make_store)> run;
};

/// The conformance suite of record_store. Register one test case for each check in your test
/// framework; a store of your own conforms if all of them pass.
///
/// @code
/// for (const auto& check : pawl::testing::store_conformance_checks())
///     check.run([](std::uint32_t shards) { return std::make_shared<my_store>(shards); });
/// @endcode
///
/// The checks are independent of each other. Together they take some seconds with a store that
/// commits in a millisecond.
std::vector<conformance_check> store_conformance_checks();

/// Opens a store with this number of shards: a new, empty database, or if `again` is true the
/// database of the call before, whose store has been destroyed.
using reopening_factory =
    std::function<std::shared_ptr<record_store>(std::uint32_t shards, bool again)>;

/// A test of one rule of durable stores. See conformance_check.
struct reopen_check {
    std::string name;
    std::function<void(const reopening_factory& open)> run;
};

/// The conformance suite of what a store has when its database is opened again: for stores that
/// outlive their process.
std::vector<reopen_check> store_reopen_checks();

} // namespace pawl::testing
