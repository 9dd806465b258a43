#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>

namespace pawl::engine_detail {

/// The time of an engine. If the store has a clock, it is the store's time, so that all engines and
/// clients of the store agree on what is due and what has expired. Between two readings of the
/// store's clock, the machine's steady clock advances it.
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

    /// Reads the store's clock and adopts its time. Throws what the store throws; the time then
    /// advances as before.
    boost::asio::awaitable<void> follow_store(record_store& store);

private:
    static constexpr duration::rep no_offset = std::numeric_limits<duration::rep>::min();

    const std::shared_ptr<pawl::clock> machine_;
    std::atomic<duration::rep> offset_{no_offset}; ///< store time minus steady time
};

} // namespace pawl::engine_detail
