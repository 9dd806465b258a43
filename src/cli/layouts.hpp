#pragma once

#include "cli/command.hpp"

/// How the answers of the admin API are shown.
namespace pawl::cli::layouts {

extern const layout status;
extern const layout overview;
extern const layout schedules;
extern const layout connectors;
extern const layout engines;
extern const layout topics;
extern const layout letters;
extern const layout runs;
extern const layout run;
extern const layout object;
extern const layout messages;
extern const layout history;
extern const layout audit;
extern const layout accepted;  ///< of a command
extern const layout triggered; ///< of a trigger
extern const layout redriven;
extern const layout slots;
extern const layout bulk;
extern const layout bulk_list;
extern const layout bulk_problems;

} // namespace pawl::cli::layouts
