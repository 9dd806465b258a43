#pragma once

#include <chrono>

namespace pawl {

/// A span of time as Pawl stores it: whole microseconds.
using duration = std::chrono::microseconds;

/// A wall-clock instant as Pawl stores it: microseconds since the Unix epoch, UTC.
///
/// Wall-clock time appears in records and events only. What an engine waits for inside a process
/// is measured on the steady clock (see clock.hpp), so that a stepped wall clock fires nothing
/// early.
using time_point = std::chrono::sys_time<duration>;

} // namespace pawl
