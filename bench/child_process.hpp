#pragma once

#include "options.hpp"

#include "order_processing/child.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

namespace pawl_bench {

/// Starts this program again, for one part of a scenario.
inline order_processing::testing::child start_part(const std::string& part,
                                                   const std::filesystem::path& folder,
                                                   std::size_t size, const options& given)
{
    return {std::filesystem::read_symlink("/proc/self/exe").string(),
            {"--child", part, "--folder", folder.string(), "--size", std::to_string(size),
             "--duration", fmt::format("{}us", given.duration.count())}};
}

/// Its lines `name value`, after it has ended.
inline std::map<std::string, double> values_of(order_processing::testing::child& part)
{
    if (const int status = part.wait(); status != 0)
        throw std::runtime_error(fmt::format("a part ended with {}: {}", status, part.errors));
    std::map<std::string, double> values;
    std::istringstream lines{part.output};
    std::string name;
    for (double value = 0; lines >> name >> value;)
        values[name] = value;
    return values;
}

} // namespace pawl_bench
