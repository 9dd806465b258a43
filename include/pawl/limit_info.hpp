#pragma once

#include "pawl/limit.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace pawl {

/// The pool of one key of a limit; of a limit without keys, its only pool.
struct limit_pool_info {
    std::string key;         ///< empty for a limit without keys
    std::size_t running = 0; ///< attempts that count now, in this engine
    std::size_t waiting = 0; ///< runs of this engine that wait for this pool
};

/// A limit and what waits for it in one engine, as limits::async_list() returns it.
struct limit_info {
    std::string name;
    limit_options numbers;   ///< in force, for all engines together
    limit_options declared;  ///< by the program
    bool overridden = false; ///< an operator has set the numbers, see limits::async_set()
    std::size_t running = 0; ///< attempts that count now, in this engine

    /// Runs of this engine that wait for this limit. Further runs may wait in the store: see
    /// `more_wait`.
    std::size_t waiting = 0;

    /// More runs wait than have their ids in memory, see engine_options::max_limited_runs.
    bool more_wait = false;

    /// The pools for which the most runs wait, or the most attempts run: at most 32, in that order.
    std::vector<limit_pool_info> pools;
};

/// What a run waits for before its step begins.
struct limit_wait {
    std::string limit; ///< its name; of `max_concurrency`, "max_concurrency"
    std::string key;   ///< empty for a limit without keys

    /// Runs of this engine that are before it. An estimate if keys take turns, see
    /// step_options::fair_by().
    std::size_t before = 0;
};

/// Returns `card-api (m-9): 41 before it`.
std::string to_string(const limit_wait& wait);

} // namespace pawl
