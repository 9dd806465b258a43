#include "cli/render.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace pawl::cli {

namespace json = boost::json;

namespace {

std::string_view view(json::string_view text)
{
    return {text.data(), text.size()};
}

const json::value* find(const json::value& item, std::string_view pointer)
{
    json::error_code error;
    return item.find_pointer({pointer.data(), pointer.size()}, error);
}

/// Without control characters, which could move the cursor or change the colors of a terminal.
std::string printable(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\x{:02x}", byte);
        else
            out += c;
    }
    return out;
}

/// "2026-11-30T13:53:38.123456Z" without the fraction; in the local zone without the Z.
std::string time_text(std::string_view text, bool utc)
{
    std::tm parts{};
    const std::string terminated{text};
    if (::strptime(terminated.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr)
        return printable(text);
    if (!utc) {
        const auto at = ::timegm(&parts);
        ::localtime_r(&at, &parts);
    }
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}{}", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                       utc ? "Z" : "");
}

std::string list_text(const json::value& list)
{
    std::string out;
    if (const auto* values = list.if_array())
        for (const auto& one : *values)
            out += (out.empty() ? "" : ",") +
                   (one.is_string() ? printable(view(one.as_string())) : json::serialize(one));
    return out;
}

std::string cell_text(const json::value& item, const column& shown, bool utc)
{
    const auto* value = find(item, shown.pointer);
    if (value == nullptr || value->is_null())
        return "";
    if (shown.kind == cell_kind::list)
        return list_text(*value);
    if (value->is_bool())
        return value->as_bool() ? "yes" : "no";
    if (!value->is_string())
        return json::serialize(*value);
    const auto text = view(value->as_string());
    return shown.kind == cell_kind::time ? time_text(text, utc) : printable(text);
}

/// The number of columns of a terminal that UTF-8 text takes, if each character takes one.
std::size_t width_of(std::string_view text)
{
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t width, bool right)
{
    const std::string blanks(width - std::min(width, width_of(text)), ' ');
    return right ? blanks + text : text + blanks;
}

std::string table_of(const json::array& items, const layout& shown, const style& how)
{
    std::vector<std::vector<std::string>> lines;
    if (how.is_first) {
        lines.emplace_back();
        for (const auto& one : shown.columns)
            lines.back().emplace_back(one.title);
    }
    for (const auto& item : items) {
        lines.emplace_back();
        for (const auto& one : shown.columns)
            lines.back().push_back(cell_text(item, one, how.utc));
    }
    std::vector<std::size_t> widths(shown.columns.size());
    for (const auto& line : lines)
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], width_of(line[i]));
    std::string out;
    for (const auto& line : lines) {
        std::string row;
        for (std::size_t i = 0; i < line.size(); ++i)
            row += padded(line[i], widths[i], shown.columns[i].kind == cell_kind::number) + "  ";
        row.erase(row.find_last_not_of(' ') + 1);
        out += row + "\n";
    }
    return out;
}

std::string lines_of(const json::value& item, const layout& shown, const style& how)
{
    std::size_t width = 0;
    for (const auto& one : shown.columns)
        width = std::max(width, one.title.size());
    std::string out;
    for (const auto& one : shown.columns)
        if (const auto text = cell_text(item, one, how.utc); !text.empty())
            out += padded(std::string{one.title}, width, false) + "  " + text + "\n";
    return out;
}

std::string with_line_end(std::string_view text)
{
    std::string out{text};
    return out.ends_with('\n') ? out : out + "\n";
}

/// The value of the last member as it was sent: what was parsed may have other digits.
std::string raw_value(std::string_view answer, std::string_view pointer)
{
    const auto name = fmt::format("\"{}\":", pointer.substr(1));
    const auto begin = answer.find(name);
    const auto end = answer.rfind('}');
    if (begin == answer.npos || end == answer.npos || end < begin)
        return with_line_end(answer);
    return std::string{answer.substr(begin + name.size(), end - begin - name.size())} + "\n";
}

} // namespace

std::string render(std::string_view answer, const layout& shown, const style& how)
{
    if (!shown.raw.empty() && how.format != output_format::ids)
        return raw_value(answer, shown.raw);
    if (how.format == output_format::json)
        return with_line_end(answer);
    const auto document = json::parse({answer.data(), answer.size()});
    const json::array one{document};
    const auto* list = shown.items.empty() ? nullptr : find(document, shown.items);
    const json::array* items = &one;
    if (!shown.items.empty())
        items = list != nullptr ? list->if_array() : nullptr;
    if (items == nullptr)
        return with_line_end(answer);
    std::string out;
    if (how.format == output_format::ids) {
        for (const auto& item : *items)
            out += cell_text(item, {.title = "", .pointer = shown.id}, how.utc) + "\n";
        return out;
    }
    if (how.format == output_format::jsonl) {
        for (const auto& item : *items)
            out += json::serialize(item) + "\n";
        return out;
    }
    return shown.items.empty() ? lines_of(document, shown, how) : table_of(*items, shown, how);
}

std::string render_problem(int status, std::string_view answer)
{
    json::error_code error;
    const auto document = json::parse({answer.data(), answer.size()}, error);
    const auto* detail = error ? nullptr : find(document, "/detail");
    const auto* code = error ? nullptr : find(document, "/code");
    const bool has_texts = detail != nullptr && detail->is_string();
    return fmt::format("pawl: {} ({})\n",
                       has_texts ? printable(view(detail->as_string()))
                                 : "the answer is not one of Pawl",
                       code != nullptr && code->is_string() ? printable(view(code->as_string()))
                                                            : std::to_string(status));
}

} // namespace pawl::cli
