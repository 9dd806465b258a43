#pragma once

#include "pawl/log.hpp"

#include <spdlog/logger.h>

#include <memory>
#include <utility>

namespace pawl {

/// Makes a sink that writes an engine's log lines to a logger of spdlog:
/// `options.log = pawl::log_to(logger)`.
///
/// A line is the text with its fields as key=value, see to_string(log_entry), at the level of the
/// entry. A level that the logger ignores is not formatted. Only this header needs spdlog: link
/// your program with it.
///
/// @par Thread Safety
/// That of the logger's sinks: use those of spdlog whose names end in _mt.
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
