#pragma once

#include "pawl/run_id.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace pawl {

enum class log_level { debug, info, warn, error };

/// "debug", "info", "warning", "error".
std::string_view to_string(log_level level) noexcept;

/// One line of an engine's log: what happened in a few fixed words, and the particulars as fields,
/// so that a log store can search by them. A field that does not apply is empty.
///
/// The views are valid during the call of the sink only.
struct log_entry {
    log_level level = log_level::info;
    std::string_view text{};       ///< what happened; of run.log(): the handler's own words
    std::string_view workflow{};   ///< its name
    std::string_view foreign_id{}; ///< of the run
    run_id run{};                  ///< none when the line is of no run
    std::string_view status{};     ///< the label of the status that the run stands in
    std::string_view process{};    ///< the handler, by its name: see observer.hpp
    int attempt = 0;               ///< of the handler, from 1; 0 when the line is of none
    std::string_view error{};      ///< what a failed attempt, or a failed store, said
};

/// The entry as one line of text without its level: the text, then the fields as key=value, e.g.
///
///     handler failed workflow=orders foreign_id="order 7" run=018f… status=Created attempt=2
///
/// Values with a space, a quote, '=' or a control character are quoted and escaped as in JSON, and
/// so are control characters in the text: what a client sent cannot forge a second line.
std::string to_string(const log_entry& entry);

/// Where an engine's log lines go. Called from any thread of the engine's executor, so it must be
/// thread-safe, and should not block. A line for which it throws goes to standard error instead.
/// pawl/spdlog.hpp makes one of a logger.
using log_sink = std::function<void(const log_entry&)>;

/// Writes warnings and errors to standard error, as to_string() gives them; the default of
/// engine_options::log.
void log_to_stderr(const log_entry& entry);

} // namespace pawl
