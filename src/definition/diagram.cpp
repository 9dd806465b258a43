#include "pawl/diagram.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace pawl {

namespace {

/// Replaces all characters that may be special in Mermaid, such as `;`, `%` and `#`, by entities.
/// Letters, digits, some marks and bytes of UTF-8 are kept.
std::string escape(std::string_view text)
{
    constexpr std::string_view safe = " _-./+,()";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = byte >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || safe.find(c) != safe.npos;
        if (plain)
            out += c;
        else
            out += "#" + std::to_string(byte) + ";";
    }
    return out;
}

/// A double-quoted YAML scalar; the front matter is YAML.
std::string quote(std::string_view text)
{
    std::string out = "\"";
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20) {
            out += ' ';
            continue;
        }
        if (c == '"' || c == '\\')
            out += '\\';
        out += c;
    }
    return out + '"';
}

const char* name(diagram_direction direction)
{
    switch (direction) {
    case diagram_direction::TB:
        return "TB";
    case diagram_direction::RL:
        return "RL";
    case diagram_direction::BT:
        return "BT";
    case diagram_direction::LR:
        break;
    }
    return "LR";
}

/// The identifier of a status in the diagram. Unlike numbers, identifiers cannot be negative.
std::string node(int status)
{
    return status < 0 ? "sm" + std::to_string(-static_cast<long long>(status))
                      : "s" + std::to_string(status);
}

std::string arrow(const status_rules& from, const edge& next)
{
    std::string line = node(from.id) + " --> " + node(next.to);
    if (next.cause == edge_cause::timeout)
        line += ": timeout";
    else if (next.cause == edge_cause::callback)
        line += ": " + escape(next.name.empty() ? "callback" : next.name);
    return line;
}

} // namespace

std::string diagram(const definition& rules, diagram_options options)
{
    std::vector<std::string> lines;
    for (const auto& status : rules.statuses)
        lines.push_back("state \"" + escape(status.label) + "\" as " + node(status.id));
    for (const auto& status : rules.statuses)
        if (status.start)
            lines.push_back("[*] --> " + node(status.id));
    for (const auto& status : rules.statuses)
        for (const auto& next : status.edges)
            if (auto line = arrow(status, next); std::ranges::find(lines, line) == lines.end())
                lines.push_back(std::move(line));
    for (const auto& status : rules.statuses)
        if (status.end)
            lines.push_back(node(status.id) + " --> [*]");

    std::string text = "---\ntitle: " + quote(rules.name) + "\n---\nstateDiagram-v2\n";
    text += "    direction ";
    text += name(options.direction);
    text += '\n';
    for (const auto& line : lines)
        text += "    " + line + '\n';
    return text;
}

} // namespace pawl
