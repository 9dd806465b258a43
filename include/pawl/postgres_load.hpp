#pragma once

#include "pawl/record_store.hpp"
#include "pawl/time.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pawl {

/// A pool of connections of a store that open_postgres() has opened.
struct postgres_pool {
    /// "read", "write", "lease", "lock" (changes that wait for a lock of another session) or
    /// "transaction" (postgres_transaction()).
    std::string name;

    std::size_t connections = 0; ///< the most; see postgres_options
    std::size_t busy = 0;        ///< that execute a statement, or are connecting
    std::size_t waiting = 0;     ///< statements or transactions that wait for a connection
};

/// The load of a store at one moment.
struct postgres_load {
    std::vector<postgres_pool> pools; ///< in a fixed order

    /// Starts and callbacks that programs have stored in the database and that no engine has
    /// carried out, see request_queue. Counted up to 10,000.
    std::uint64_t requests = 0;
    bool has_more_requests = false; ///< there are more
    duration oldest_request{};      ///< the age of the oldest; zero without requests
};

/// Reads the load of a store that open_postgres() has opened.
///
/// Completes: when the requests have been counted, by one statement in the pool "read".
/// Errors: throws pawl::error: invalid_argument — the store is not of open_postgres(); a
/// forwarding_store is not either; a store_* code — the database failed.
/// Cancellation: none.
boost::asio::awaitable<postgres_load> read_postgres_load(std::shared_ptr<record_store> store);

} // namespace pawl
