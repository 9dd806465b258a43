#pragma once

#include "pawl/time.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace pawl_bench {

/// What the command line says.
struct options {
    std::string only;  ///< names of scenarios, separated by commas; empty: all
    std::string store; ///< only on this store; empty: on each that the scenario is for
    std::string json;  ///< file for machines; empty: none
    std::string table; ///< Markdown file for README.md; empty: none
    std::string chart; ///< SVG file; empty: none
    std::string label; ///< put into JSON and table, e.g. the commit

    /// Settings of the PostgreSQL server, as "name=value,name=value"; beside them it has its own
    /// defaults.
    std::string postgres;

    /// Where databases are made, each in a folder of its own that is removed again.
    std::string folder = std::filesystem::temp_directory_path().string();

    std::uint32_t size = 0;      ///< runs; 0: the scenario's own number
    std::uint32_t in_flight = 0; ///< 0: the scenario's own number
    std::uint32_t threads = 0;   ///< 0: the scenario's own number
    pawl::duration warm_up = std::chrono::milliseconds{500};
    pawl::duration duration = std::chrono::seconds{2};
    int repeats = 3;
    bool quick = false;     ///< smaller sizes for the long scenarios
    bool smoke = false;     ///< tiny sizes: does it run at all?
    bool no_limits = false; ///< measure Pawl alone, for a profiler

    /// A number that the command line may set, at three scales.
    static std::size_t pick(std::size_t given, std::size_t own) { return given != 0 ? given : own; }
    std::size_t sized(std::size_t full, std::size_t when_quick, std::size_t when_smoke) const
    {
        return pick(size, smoke ? when_smoke : quick ? when_quick : full);
    }
    std::size_t flying(std::size_t own) const
    {
        return pick(in_flight, smoke ? std::min<std::size_t>(own, 20) : own);
    }
};

} // namespace pawl_bench
