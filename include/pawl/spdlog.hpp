#pragma once

#include "pawl/log.hpp"

#include <spdlog/logger.h>

#include <memory>
#include <utility>

namespace pawl {

/// Hands an engine's log lines to a logger of spdlog: `options.log = pawl::log_to(logger)`.
///
/// The line is the text with its fields as key=value, see to_string(log_entry); levels are kept,
/// and a level that the logger does not take costs no formatting. The sink is as thread-safe as the
/// logger's sinks are: take those of spdlog that end in _mt.
///
/// This header alone needs spdlog: link your program with it, Pawl's libraries do not.
inline log_sink log_to(std::shared_ptr<spdlog::logger> logger)
{
    return [logger = std::move(logger)](const log_entry& entry) {
        auto level = spdlog::level::err;
        switch (entry.level) {
        case log_level::debug:
            level = spdlog::level::debug;
            break;
        case log_level::info:
            level = spdlog::level::info;
            break;
        case log_level::warn:
            level = spdlog::level::warn;
            break;
        case log_level::error:
            break;
        }
        if (logger->should_log(level))
            logger->log(level, spdlog::string_view_t{to_string(entry)});
    };
}

} // namespace pawl
