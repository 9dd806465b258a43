#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"

#include <cstdint>
#include <memory>

namespace pawl {

struct memory_options {
    /// Slices of runs, of each workflow when it is shared. 1 to 4096. Default 1; more only help a
    /// test of code that works by shard.
    std::uint32_t shards = 1;

    /// Whether several engines of this process share it, each with some of the shards; their
    /// leases lapse then. Default: one engine owns every shard.
    bool shared = false;

    /// By which leases lapse, and, if it is shared, the time of all its engines. Default: the
    /// machine's.
    std::shared_ptr<pawl::clock> clock = default_clock();
};

/// Opens an empty store that lives in this process: for tests, and for work that may be lost.
///
/// Its calls complete at once, on the caller's thread. It keeps every run, event and settled
/// message until it is destroyed, so its memory grows with the number of transitions.
///
/// Durability: none; everything is gone when the store is destroyed or the process ends.
///
/// Errors: throws definition_error when an option is out of its range.
std::shared_ptr<record_store> open_memory(memory_options options = {});

} // namespace pawl
