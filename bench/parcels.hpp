#pragma once

#include "pawl/archive.hpp"
#include "pawl/builder.hpp"
#include "pawl/client.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace pawl_bench {

enum class stage { one = 1, two, three, four, five, done, waiting };
BOOST_DESCRIBE_ENUM(stage, one, two, three, four, five, done, waiting)

/// The object of the measured runs: about 400 bytes when stored.
struct parcel {
    std::string text = std::string(380, 'x');
    int steps = 0;                       ///< taken; negative: every step fails
    std::optional<pawl::time_point> due; ///< of its deadline in `waiting`; empty: tomorrow
};
BOOST_DESCRIBE_STRUCT(parcel, (), (text, steps, due))

using parcels = pawl::client<parcel, stage>;

/// Transitions of a five-step run: its trigger, and each step.
inline constexpr int transitions_per_run = 6;

/// What the workflow's handlers tell whoever measures.
struct observer {
    std::atomic<std::uint64_t> transitions{0}; ///< triggers are added by who makes them
    std::atomic<std::uint64_t> first_steps{0};
    std::atomic<bool> hold{false}; ///< first steps do not end, until they are cancelled

    /// Called with how late a deadline's handler was called. May be called from several threads.
    std::function<void(pawl::duration)> late;
};

/// A run goes from one to done in five steps, or stands in waiting until its deadline. The observer
/// must outlive the workflow. If it is limited, each step has a limit that no run waits for.
pawl::workflow<parcel, stage> five_steps(observer& watching,
                                         std::optional<pawl::retention_options> retention = {},
                                         bool limited = false);

/// A foreign id that no other run of this process has.
std::string next_foreign_id();

} // namespace pawl_bench
