#pragma once

#include <boost/describe/class.hpp>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <random>

namespace order_processing::services {

/// How a service misbehaves. Rates are probabilities from 0 to 1.
struct fault_settings {
    std::int64_t latency_ms = 0; ///< before each answer; 0 to 3,600,000
    std::int64_t jitter_ms = 0;  ///< at most this much more, at random; 0 to 3,600,000
    double error_rate = 0;       ///< answers 503, without an effect
    double drop_before_rate = 0; ///< closes the connection, without an effect
    double drop_after_rate = 0;  ///< closes the connection after the effect
    double hang_rate = 0;        ///< never answers, without an effect

    /// A new payment starts as processing, and is completed after this number of look-ups by id;
    /// 0: completed at once. 0 to 1,000,000.
    std::int64_t pending_polls = 0;

    std::uint64_t seed = 0; ///< of the random numbers, which restart with each setting
};
BOOST_DESCRIBE_STRUCT(fault_settings, (),
                      (latency_ms, jitter_ms, error_rate, drop_before_rate, drop_after_rate,
                       hang_rate, pending_polls, seed))

/// The faults of one request, in this order. At most one of the flags is set.
struct fault_plan {
    std::chrono::milliseconds latency{0};
    bool error = false;
    bool drop_before = false;
    bool hang = false;
    bool drop_after = false;
};

/// A service's settings and the random numbers drawn by them.
///
/// Each request draws the same number of random numbers, whatever the settings, in order of
/// arrival: the same sequence of requests gets the same faults each time.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class faults {
public:
    void set(const fault_settings& settings);
    fault_settings settings() const;
    fault_plan next();

private:
    double draw();

    mutable std::mutex mutex_;
    fault_settings settings_;
    std::mt19937_64 random_{0};
};

} // namespace order_processing::services
