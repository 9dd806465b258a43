#include "pawl/log.hpp"

#include <algorithm>
#include <cstdio>

namespace pawl {

namespace {

bool is_control(char c) noexcept
{
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
}

void append_escaped(std::string& line, char c)
{
    switch (c) {
    case '\n':
        line += "\\n";
        return;
    case '\r':
        line += "\\r";
        return;
    case '\t':
        line += "\\t";
        return;
    default:
        break;
    }
    constexpr char digits[] = "0123456789abcdef";
    line += "\\u00";
    line += digits[static_cast<unsigned char>(c) >> 4];
    line += digits[static_cast<unsigned char>(c) & 15];
}

void append_text(std::string& line, std::string_view text)
{
    for (const char c : text)
        if (is_control(c))
            append_escaped(line, c);
        else
            line += c;
}

void append_field(std::string& line, std::string_view name, std::string_view value)
{
    if (value.empty())
        return;
    line.append(" ").append(name).append("=");
    const bool plain = std::ranges::none_of(value, [](char c) {
        return c == ' ' || c == '"' || c == '\\' || c == '=' || is_control(c);
    });
    if (plain) {
        line.append(value);
        return;
    }
    line += '"';
    for (const char c : value) {
        if (c == '"' || c == '\\')
            line += '\\';
        if (is_control(c))
            append_escaped(line, c);
        else
            line += c;
    }
    line += '"';
}

} // namespace

std::string_view to_string(log_level level) noexcept
{
    switch (level) {
    case log_level::debug:
        return "debug";
    case log_level::info:
        return "info";
    case log_level::warn:
        return "warning";
    case log_level::error:
        return "error";
    }
    return "error";
}

std::string to_string(const log_entry& entry)
{
    std::string line;
    line.reserve(entry.text.size() + entry.error.size() + 160);
    append_text(line, entry.text);
    append_field(line, "workflow", entry.workflow);
    append_field(line, "foreign_id", entry.foreign_id);
    if (entry.run)
        append_field(line, "run", to_string(entry.run));
    append_field(line, "status", entry.status);
    append_field(line, "process", entry.process);
    if (entry.attempt > 0)
        append_field(line, "attempt", std::to_string(entry.attempt));
    append_field(line, "error", entry.error);
    return line;
}

void log_to_stderr(const log_entry& entry)
{
    if (entry.level < log_level::warn)
        return;
    std::string line{"pawl "};
    line.append(to_string(entry.level)).append(": ").append(to_string(entry)).append("\n");
    // One call writes one line, so that lines of several threads do not mix.
    std::fputs(line.c_str(), stderr);
}

} // namespace pawl
