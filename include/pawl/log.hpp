#pragma once

#include "pawl/run_id.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace pawl {

/// The severity of a log line.
enum class log_level { debug, info, warn, error };

/// Returns "debug", "info", "warning" or "error".
std::string_view to_string(log_level level) noexcept;

/// A line of an engine's log: a text of few fixed words, and the particulars as fields, by which a
/// log store can search. Fields that do not apply are empty.
///
/// Lifetime: the views are valid during the call of the sink only.
struct log_entry {
    log_level level = log_level::info;
    std::string_view text{};       ///< what happened; of run::log(): the handler's text
    std::string_view workflow{};   ///< the name of the workflow
    std::string_view foreign_id{}; ///< of the run
    run_id run{};                  ///< empty if the line is not about a run
    std::string_view status{};     ///< the label of the run's status
    std::string_view process{};    ///< the handler, as in handler_report::process
    int attempt = 0;               ///< of the handler, from 1; 0: no attempt
    std::string_view error{};      ///< of a failed attempt or a failed store
};

/// Formats the entry as a line of text without its level: the text, then the fields as key=value,
/// for example
///
///     handler failed workflow=orders foreign_id="order 7" run=018f… status=Created attempt=2
///
/// Values with a space, a quote, a backslash, '=' or a control character are quoted and escaped as
/// in JSON. Control characters in the text are escaped too, so that data from clients cannot forge
/// a second line.
std::string to_string(const log_entry& entry);

/// Receives an engine's log lines.
///
/// Thread safety: called from any thread of the engine's executor, also concurrently; it should not
/// block. If it throws, the line is written to standard error. pawl/spdlog.hpp makes a sink of a
/// logger.
using log_sink = std::function<void(const log_entry&)>;

/// Writes warnings and errors to standard error, as to_string() formats them. The default of
/// engine_options::log.
void log_to_stderr(const log_entry& entry);

} // namespace pawl
