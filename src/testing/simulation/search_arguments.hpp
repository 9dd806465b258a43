#pragma once

#include "pawl/testing/explore.hpp"

#include <string>

namespace pawl::testing::detail {

/// What the arguments of simulation_main() ask for.
struct search_arguments {
    exploration_options options;
    bool one_seed = false; ///< neither a range of seeds nor a time
    bool trace = false;
    bool matrix = false;
    bool help = false;
    std::string only; ///< text that a line of the trace must contain; empty: all lines
};

/// The usage of a program, with a line for each option.
std::string usage_of(const char* program);

/// Reads the arguments, in any order, over the defaults.
///
/// Errors: throws std::invalid_argument, which names the option and its value.
search_arguments parse_search(int argc, const char* const* argv,
                              const exploration_options& defaults);

} // namespace pawl::testing::detail
