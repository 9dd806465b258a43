#include "pawl/detail/json_io.hpp"

#include <array>
#include <optional>

namespace pawl::detail {

namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr std::chrono::seconds first_second =
    sys_days{std::chrono::year{0} / 1 / 1}.time_since_epoch();
constexpr std::chrono::seconds last_second =
    sys_days{std::chrono::year{10'000} / 1 / 1}.time_since_epoch() - std::chrono::seconds{1};

void write_digits(char*& out, unsigned value, int width)
{
    for (int i = width - 1; i >= 0; --i, value /= 10)
        out[i] = static_cast<char>('0' + value % 10);
    out += width;
}

/// Parses a text from its front.
struct time_reader {
    std::string_view rest;
    bool failed = false;

    bool skip_char(char wanted)
    {
        if (rest.empty() || rest.front() != wanted)
            return false;
        rest.remove_prefix(1);
        return true;
    }

    void expect(char wanted) { failed |= !skip_char(wanted); }

    bool at_digit() const { return !rest.empty() && rest.front() >= '0' && rest.front() <= '9'; }

    int number(int width, int most)
    {
        int value = 0;
        for (int i = 0; i < width; ++i) {
            if (!at_digit()) {
                failed = true;
                return 0;
            }
            value = value * 10 + (rest.front() - '0');
            rest.remove_prefix(1);
        }
        failed |= value > most;
        return value;
    }

    std::chrono::nanoseconds fraction()
    {
        std::int64_t value = 0;
        int digits = 0;
        for (; at_digit() && digits < 9; ++digits) {
            value = value * 10 + (rest.front() - '0');
            rest.remove_prefix(1);
        }
        failed |= digits == 0;
        for (int i = digits; i < 9; ++i)
            value *= 10;
        return std::chrono::nanoseconds{value};
    }

    std::chrono::seconds offset()
    {
        if (skip_char('Z'))
            return {};
        const bool east = skip_char('+');
        if (!east)
            expect('-');
        const std::chrono::hours hours{number(2, 23)};
        expect(':');
        const std::chrono::minutes minutes{number(2, 59)};
        const std::chrono::seconds span = hours + minutes;
        return east ? span : -span;
    }
};

std::optional<split_time> parse_time(std::string_view text)
{
    time_reader in{text};
    const std::chrono::year year{in.number(4, 9999)};
    in.expect('-');
    const std::chrono::month month{static_cast<unsigned>(in.number(2, 12))};
    in.expect('-');
    const std::chrono::day day{static_cast<unsigned>(in.number(2, 31))};
    in.expect('T');
    const std::chrono::hours hours{in.number(2, 23)};
    in.expect(':');
    const std::chrono::minutes minutes{in.number(2, 59)};
    in.expect(':');
    const std::chrono::seconds seconds{in.number(2, 59)};
    split_time time;
    if (in.skip_char('.'))
        time.rest = in.fraction();
    const auto offset = in.offset();
    const year_month_day date{year, month, day};
    if (in.failed || !in.rest.empty() || !date.ok())
        return {};
    time.seconds = sys_days{date}.time_since_epoch() + hours + minutes + seconds - offset;
    if (time.seconds < first_second || time.seconds > last_second)
        return {};
    return time;
}

} // namespace

void write_time(const split_time& from, std::string& out)
{
    if (from.seconds < first_second || from.seconds > last_second)
        throw encode_error{"a time outside the years 0000 to 9999"};
    const auto date = std::chrono::floor<days>(from.seconds);
    const year_month_day calendar{sys_days{date}};
    const auto second = static_cast<unsigned>((from.seconds - date).count());

    std::array<char, 40> text;
    char* end = text.data();
    *end++ = '"';
    write_digits(end, static_cast<unsigned>(static_cast<int>(calendar.year())), 4);
    *end++ = '-';
    write_digits(end, static_cast<unsigned>(calendar.month()), 2);
    *end++ = '-';
    write_digits(end, static_cast<unsigned>(calendar.day()), 2);
    *end++ = 'T';
    write_digits(end, second / 3600, 2);
    *end++ = ':';
    write_digits(end, second / 60 % 60, 2);
    *end++ = ':';
    write_digits(end, second % 60, 2);
    auto fraction = static_cast<unsigned>(from.rest.count());
    if (fraction != 0) {
        int width = 9;
        for (; fraction % 1000 == 0; width -= 3)
            fraction /= 1000;
        *end++ = '.';
        write_digits(end, fraction, width);
    }
    *end++ = 'Z';
    *end++ = '"';
    out.append(text.data(), end);
}

split_time read_time(const boost::json::value& from, const json_path& path)
{
    const auto text = read_text(from, path);
    if (const auto time = parse_time(text))
        return *time;
    constexpr std::size_t shown = 40;
    throw decode_error{path, "expected a time such as \"2026-11-23T00:18:18.123456Z\", found \"" +
                                 std::string{text.substr(0, shown)} + "\""};
}

} // namespace pawl::detail
