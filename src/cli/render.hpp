#pragma once

#include "cli/command.hpp"

#include <boost/json/value.hpp>

#include <string>
#include <string_view>

namespace pawl::cli {

/// How texts are written.
struct style {
    output_format format = output_format::table;
    bool utc = false;     ///< times in UTC, else in the local zone
    bool is_first = true; ///< of several pages: the first one has the heading
};

/// Formats an answer. A table's texts have no control characters, whatever the answer has.
std::string render(std::string_view answer, const layout& shown, const style& how);

/// Formats application/problem+json as a line.
std::string render_problem(int status, std::string_view answer);

} // namespace pawl::cli
