#pragma once

#include "pawl/clock.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>

namespace pawl::async {

/// The time of one lease. It is started before the lease is requested, so that it never ends later
/// than the lease itself, and it runs on a steady clock, because the wall clock may be set
/// meanwhile.
///
/// Used on one strand.
class lease_timer {
public:
    using lapse_handler = std::function<void(const lease_timer&)>;

    /// Calls `on_lapse` on the strand once `lease_duration` has passed, unless the timer was
    /// destroyed before.
    static std::shared_ptr<lease_timer> start(clock& clock,
                                              const boost::asio::any_io_executor& strand,
                                              duration lease_duration, lapse_handler on_lapse);

    bool lapsed() const noexcept { return lapsed_; }

private:
    std::unique_ptr<timer> timer_;
    bool lapsed_ = false;
};

} // namespace pawl::async
