#include "http/text.hpp"

#include <boost/beast/http/status.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pawl::http::detail {
namespace {

int hex_digit(char c) noexcept
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

char lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::optional<std::string> decode(std::string_view text, bool plus_is_space)
{
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            if (text.size() - i < 3)
                return std::nullopt;
            const int high = hex_digit(text[i + 1]);
            const int low = hex_digit(text[i + 2]);
            if (high < 0 || low < 0)
                return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return std::nullopt;
        out.push_back(c);
    }
    if (!is_utf8(out))
        return std::nullopt;
    return out;
}

} // namespace

std::optional<std::string> percent_decode(std::string_view text)
{
    return decode(text, false);
}

std::optional<std::map<std::string, std::string, std::less<>>> parse_query(std::string_view text,
                                                                           std::string& repeated)
{
    std::map<std::string, std::string, std::less<>> query;
    while (!text.empty()) {
        const auto pair = text.substr(0, text.find('&'));
        text.remove_prefix(std::min(text.size(), pair.size() + 1));
        if (pair.empty())
            continue;
        const auto name_end = std::min(pair.find('='), pair.size());
        auto name = decode(pair.substr(0, name_end), true);
        auto value = decode(pair.substr(std::min(pair.size(), name_end + 1)), true);
        if (!name || !value)
            return std::nullopt;
        const auto [at, added] = query.try_emplace(std::move(*name), std::move(*value));
        if (!added && repeated.empty())
            repeated = at->first;
    }
    return query;
}

bool is_utf8(std::string_view text) noexcept
{
    for (std::size_t i = 0; i < text.size();) {
        const auto first = static_cast<unsigned char>(text[i]);
        if (first < 0x80) {
            ++i;
            continue;
        }
        const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        if (first < 0xc2 || first > 0xf4 || text.size() - i < length)
            return false;
        char32_t code = first & (0xffu >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xc0) != 0x80)
                return false;
            code = code << 6 | (next & 0x3fu);
        }
        const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
        if (overlong || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
        i += length;
    }
    return true;
}

bool is_token(std::string_view text) noexcept
{
    static constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    const auto allowed = [](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
               marks.find(c) != marks.npos;
    };
    return !text.empty() && std::ranges::all_of(text, allowed);
}

bool is_field_value(std::string_view text) noexcept
{
    return std::ranges::all_of(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
    });
}

std::string to_lower(std::string_view text)
{
    std::string out(text);
    std::ranges::transform(out, out.begin(), lower);
    return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept
{
    return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view reason_phrase(int status) noexcept
{
    namespace beast = boost::beast;
    const auto known = beast::http::int_to_status(static_cast<unsigned>(status));
    if (known == beast::http::status::unknown)
        return "Unknown";
    const auto phrase = beast::http::obsolete_reason(known);
    return {phrase.data(), phrase.size()};
}

std::string http_date(std::time_t at)
{
    constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&at, &utc);
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                       days.at(static_cast<std::size_t>(utc.tm_wday)), utc.tm_mday,
                       months.at(static_cast<std::size_t>(utc.tm_mon)), utc.tm_year + 1900,
                       utc.tm_hour, utc.tm_min, utc.tm_sec);
}

} // namespace pawl::http::detail
