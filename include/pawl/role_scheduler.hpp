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

/// A role that this process holds, alone among all that ask for it, until it is lost or given back.
///
/// Destroying it gives the role back, in the background: when that fails, or the executor runs no
/// more, the role is free once its time is over.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, with one wait for lost() at a time.
class held_role {
public:
    virtual ~held_role() = default;

    virtual const std::string& name() const noexcept = 0;

    /// Grows from each holder to the next. Give it to what the role protects, so that a holder that
    /// has lost the role without knowing it yet is told from its successor.
    virtual std::uint64_t epoch() const noexcept = 0;

    /// Whether the role is held at this moment, as far as this process can know. Once lost() has
    /// completed it is false for ever.
    virtual bool held() const noexcept = 0;

    /// Completes when the role is held no more: somebody else has it, it could not be renewed in
    /// time, or it was given back.
    ///
    /// The time is counted here, from before the last renewal that succeeded was asked for: no
    /// successor can have the role before this one has had the chance to know.
    ///
    /// Cancellation: terminal; the role stays as it is. The role outlives the call.
    virtual boost::asio::awaitable<void> lost() = 0;

    /// Gives the role back; completes when the next one can have it. Of a role that is not held it
    /// completes at once.
    ///
    /// Cancellation: terminal; it ends the wait only. Errors: none; a role that could not be given
    /// back is free once its time is over.
    virtual boost::asio::awaitable<void> release() = 0;
};

/// Decides which of many processes does what only one may do: the seam to a lock service, which you
/// may implement. The conformance suite of pawl::testing states this contract as tests.
///
/// Each call of acquire() is a holder of its own: two of the same scheduler exclude each other as
/// two of different processes do.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class role_scheduler {
public:
    virtual ~role_scheduler() = default;

    /// Completes when the caller holds the role, however long that takes. The role is renewed on
    /// the caller's executor, which must go on running for as long as the role shall be held.
    ///
    /// Cancellation: terminal, at any moment and at once, with operation_aborted; the role is not
    /// taken then, or given back.
    ///
    /// Errors: invalid_argument for a role without a name, or one whose name begins with "pawl.";
    /// store_* codes, or what stands in their place.
    virtual boost::asio::awaitable<std::unique_ptr<held_role>> acquire(std::string role) = 0;

    /// As acquire(), for the roles of engines, whose names begin with "pawl.": an engine calls
    /// this one, so that a role of the application's own is never taken for one of Pawl's.
    ///
    /// Default: acquire(), for schedulers that do not refuse such names.
    virtual boost::asio::awaitable<std::unique_ptr<held_role>> acquire_reserved(std::string role)
    {
        return acquire(std::move(role));
    }
};

struct role_scheduler_options {
    /// Who holds the roles, for people who read the store. At most 900 bytes; made unique by a
    /// suffix. Default: made of the process id.
    std::string owner{};

    /// How long a role stays with a holder that is not heard of any more. It is renewed after a
    /// third of that; those who wait ask again after an eighth to a quarter. 10 ms to 1 day.
    /// Default 15 s.
    duration lease_duration = std::chrono::seconds{15};

    /// What waits are measured on. Default: the machine's clocks.
    std::shared_ptr<pawl::clock> clock = default_clock();
};

/// Roles as leases in a record_store: among everybody who has opened the same database, or shares
/// the same store object. The store outlives what is held.
///
/// Throws definition_error when an option is out of its range.
std::shared_ptr<role_scheduler> store_role_scheduler(std::shared_ptr<record_store> store,
                                                     role_scheduler_options options = {});

} // namespace pawl
