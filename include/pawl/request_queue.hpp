#pragma once

#include "pawl/time.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pawl {

/// A start of a run, or a callback, that a program has stored in the database by SQL.
struct stored_request {
    std::uint64_t id = 0; ///< its number in the queue, never given again
    std::string workflow;
    std::string foreign_id;
    std::optional<std::string> callback; ///< the name of the callback; empty: a start
    std::string payload;                 ///< the encoded object or payload

    /// The schema version of the object or payload; empty: the version that the program of the
    /// engine knows.
    std::optional<std::uint32_t> version;

    std::string key;            ///< the idempotency key; may be empty
    time_point at;              ///< when it was stored
    std::uint32_t failures = 0; ///< how often an engine has given it back
};

/// The starts and callbacks that programs have stored in the database of a record_store, in
/// transactions of their own; engines take and carry them out. See record_store::requests().
///
/// A request that an engine has taken is given to no engine until its lease has lapsed, so that it
/// is carried out at least once. Engines carry out a repeated request only once, by its id.
///
/// Requests for the same workflow and foreign id are taken in the order of their ids: while one of
/// them is taken, later ones are not given to another engine.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class request_queue {
public:
    virtual ~request_queue() = default;

    /// Takes up to `limit` requests of the workflows for the duration of a lease, in the order of
    /// their ids.
    ///
    /// Errors: as those of record_store.
    virtual boost::asio::awaitable<std::vector<stored_request>>
    take(std::vector<std::string> workflows, std::size_t limit, duration lease) = 0;

    /// Removes the requests `done`, and gives those of `failed` back, to be taken again after
    /// `delay`.
    ///
    /// Errors: as those of record_store; then the requests are given again after their lease.
    virtual boost::asio::awaitable<void>
    settle(std::vector<std::uint64_t> done, std::vector<std::uint64_t> failed, duration delay) = 0;

    /// Calls `handler` after requests were stored, until the returned handle is destroyed.
    /// Notifications may be merged or get lost: callers also poll. The handler is called on any
    /// thread; it must not block.
    virtual std::shared_ptr<void> subscribe(std::function<void()> handler) = 0;
};

} // namespace pawl
