#pragma once

#include <boost/json/value.hpp>

#include <string>
#include <string_view>

/// The texts of the command line. The functions throw CLI::ValidationError.
namespace pawl::cli {

/// For a segment of a path, or a value of a query.
std::string percent_encode(std::string_view text);

/// Reads JSON that is given itself, as @FILE, or as @- for standard input.
/// @param member Names the argument in an error.
boost::json::value parse_json_argument(const std::string& member, const std::string& text);

} // namespace pawl::cli
