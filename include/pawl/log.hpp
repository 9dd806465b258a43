#pragma once

#include <functional>
#include <string_view>

namespace pawl {

enum class log_level { debug, info, warn, error };

/// Where an engine's log lines go. Called from any thread of the engine's executor, so it must be
/// thread-safe; it must not throw and should not block. The order example hands them to spdlog.
using log_sink = std::function<void(log_level level, std::string_view line)>;

/// Writes warnings and errors to standard error; the default of engine_options::log.
void log_to_stderr(log_level level, std::string_view line);

} // namespace pawl
