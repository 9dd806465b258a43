#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"

#include <cstdint>
#include <memory>

namespace pawl {

struct memory_options {
    /// The number of shards; if `shared`, of each workflow. 1 to 4,096. Default 1: more are of use
    /// only to tests of code that works by shard.
    std::uint32_t shards = 1;

    /// Whether several engines of this process use the store, each with some of the shards. If so,
    /// leases lapse. Default false: one engine owns every shard.
    bool shared = false;

    /// The clock by which leases lapse. If `shared`, it is also the time of all engines of the
    /// store. Not null. Default: the machine's clocks.
    std::shared_ptr<pawl::clock> clock = default_clock();
};

/// Opens an empty store in the memory of this process: for tests, and for work that may be lost.
///
/// Its calls complete at once, on the caller's thread. It keeps every run, event and settled
/// message until the run is removed, so its memory grows with the number of transitions; see
/// retention_options.
///
/// Durability: none. Everything is gone when the store is destroyed or the process ends.
///
/// Errors: throws definition_error if an option is out of its range.
std::shared_ptr<record_store> open_memory(memory_options options = {});

} // namespace pawl
