#pragma once

#include "rig.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace pawl_bench {

/// What the hand-written loops keep of a run.
struct raw_run {
    std::array<unsigned char, 16> id{};
    std::string foreign_id;
    std::int64_t created_at = 0; ///< microseconds
    std::int64_t row = 0;
    std::int64_t last_event = 0;
    int version = 0; ///< 0: not yet created
    std::chrono::steady_clock::time_point begun;
};

std::int64_t now_us();

/// Gives it a foreign id, and a UUID of version 7 in order of time, like the engine's.
void begin_run(raw_run& run);

/// Takes `in_flight` runs beside each other, `batch` at a time, one transition further with each
/// call of `apply`, which stores it and sets the versions. A run that has ended is followed by the
/// next.
load_result drive_raw(const load& wanted, const std::function<void(std::span<raw_run>)>& apply);

} // namespace pawl_bench
