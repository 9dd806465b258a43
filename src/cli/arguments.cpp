#include "cli/arguments.hpp"

#include "pawl/codec.hpp"
#include "pawl/error.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <sstream>

namespace pawl::cli {
namespace {

/// A text that is given itself, or as @FILE, or as @- for standard input.
std::string read_argument(const std::string& text)
{
    if (!text.starts_with('@'))
        return text;
    std::ostringstream content;
    if (text == "@-") {
        content << std::cin.rdbuf();
    } else {
        std::ifstream in{text.substr(1)};
        if (!in)
            throw CLI::ValidationError(fmt::format("the file '{}' cannot be read", text.substr(1)));
        content << in.rdbuf();
    }
    return content.str();
}

} // namespace

std::string percent_encode(std::string_view text)
{
    constexpr std::string_view plain =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string out;
    for (const char c : text) {
        if (plain.find(c) != plain.npos)
            out += c;
        else
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

boost::json::value parse_json_argument(const std::string& member, const std::string& text)
{
    try {
        return pawl::detail::parse_json(read_argument(text));
    } catch (const system_error& fault) {
        throw CLI::ValidationError(fmt::format("{} is not JSON: {}", member, fault.what()));
    }
}

} // namespace pawl::cli
