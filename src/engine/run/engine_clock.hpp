#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>

namespace pawl::engine_detail {

/// An engine's time. In a store that has a clock of its own it is the store's, so that all engines
/// and clients of the store agree on what is due and what has expired, whatever their machines'
/// clocks say. Between two readings of the store's clock it goes on by the machine's steady clock.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class engine_clock final : public pawl::clock {
public:
    explicit engine_clock(std::shared_ptr<pawl::clock> machine) : machine_(std::move(machine)) {}

    time_point now() const override;
    duration steady() const override { return machine_->steady(); }
    std::unique_ptr<timer> make_timer(const boost::asio::any_io_executor& executor) override
    {
        return machine_->make_timer(executor);
    }

    /// Reads the store's clock. Throws what the store throws, and goes on as before then.
    boost::asio::awaitable<void> follow_store(record_store& store);

private:
    static constexpr duration::rep not_yet = std::numeric_limits<duration::rep>::min();

    const std::shared_ptr<pawl::clock> machine_;
    std::atomic<duration::rep> from_steady_{not_yet}; ///< what the store's clock is ahead of it
};

} // namespace pawl::engine_detail
