#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"
#include "pawl/time.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace pawl {

/// A role that this process holds, alone among all that ask for it, until it is lost or released.
///
/// The destructor releases the role in the background. If that fails, or if the executor no longer
/// runs, the role is free when its lease ends.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, with one wait for lost() at a time.
class held_role {
public:
    virtual ~held_role() = default;

    /// As it was acquired.
    virtual const std::string& name() const noexcept = 0;

    /// A fencing token: above 0, and greater than the epochs of all earlier holders. Pass it to the
    /// resource that the role protects, so that the resource can reject a holder that has lost the
    /// role and does not know it yet.
    virtual std::uint64_t epoch() const noexcept = 0;

    /// Whether the role is held now, as far as this process can know. False forever once lost() has
    /// completed.
    virtual bool held() const noexcept = 0;

    /// Waits for the loss of the role.
    ///
    /// Completes: when the role is no longer held: another process holds it, it could not be
    /// renewed in time, or it was released.
    ///
    /// This process counts the time of the lease from the moment before it asked for the last
    /// renewal that succeeded. So the role is lost here before another process can acquire it.
    ///
    /// Cancellation: terminal; the call throws operation_aborted, and the role stays held.
    ///
    /// Lifetime: the object outlives the call.
    virtual boost::asio::awaitable<void> lost() = 0;

    /// Releases the role. Has no effect on a role that is not held.
    ///
    /// Completes: when another process can acquire the role; at once if it is not held.
    ///
    /// Errors: none; a role that could not be released is free when its lease ends.
    ///
    /// Cancellation: terminal; it ends the wait only.
    virtual boost::asio::awaitable<void> release() = 0;
};

/// Leader election: decides which of many processes holds a role. An extension point for a lock
/// service. The conformance suite pawl::testing::role_conformance_checks() checks this contract.
///
/// Each call of acquire() asks for a holder of its own: two calls to one scheduler exclude each
/// other as those of two processes do. Names of roles are compared exactly.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class role_scheduler {
public:
    virtual ~role_scheduler() = default;

    /// Waits for a role, and holds it. The role is renewed on the caller's executor, which must run
    /// as long as the role is to be held.
    ///
    /// Completes: when the caller holds the role, with an object that is not null.
    ///
    /// Errors: invalid_argument — the name is empty or begins with "pawl."; store_* codes, or those
    /// of the lock service.
    ///
    /// Cancellation: terminal, at any time; the call completes at once with operation_aborted. The
    /// role is not acquired, or is released.
    virtual boost::asio::awaitable<std::unique_ptr<held_role>> acquire(std::string role) = 0;

    /// As acquire(), for the roles of engines, whose names begin with "pawl.". Engines call this
    /// function, so that no role of the application has the name of one of Pawl's.
    ///
    /// Default: acquire(), for schedulers that accept such names.
    virtual boost::asio::awaitable<std::unique_ptr<held_role>> acquire_reserved(std::string role)
    {
        return acquire(std::move(role));
    }
};

struct role_scheduler_options {
    /// A human-readable name of the process, stored with its roles. At most 900 bytes; a suffix
    /// makes it unique. Default: the process id.
    std::string owner{};

    /// How long a role stays with a holder that does not renew it. 10 ms to 1 day. Default 15 s.
    /// The role is renewed after a third of it, and a failed renewal is repeated after a twelfth.
    /// Waiting processes ask again after an eighth to a quarter.
    duration lease_duration = std::chrono::seconds{15};

    /// The clock of all waits. Not null. Default: the machine's clocks.
    std::shared_ptr<pawl::clock> clock = default_clock();
};

/// Makes a scheduler whose roles are leases in a record_store: one holder among all processes that
/// opened the same database, or share the same store object.
///
/// Lifetime: the store outlives the roles that are held.
///
/// Errors: throws definition_error if an option is out of its range.
std::shared_ptr<role_scheduler> store_role_scheduler(std::shared_ptr<record_store> store,
                                                     role_scheduler_options options = {});

} // namespace pawl
