#include "core/cron.hpp"

#include "pawl/error.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <span>
#include <vector>

namespace pawl::core {

namespace {

using minute_span = std::chrono::minutes;

[[noreturn]] void reject(std::string problem)
{
    throw error{errc::invalid_argument, std::move(problem)};
}

std::string lower(std::string_view text)
{
    std::string lowered{text};
    std::ranges::transform(lowered, lowered.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return lowered;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators)
{
    std::vector<std::string_view> parts;
    while (true) {
        const auto end = text.find_first_of(separators);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos)
            return parts;
        text.remove_prefix(end + 1);
    }
}

std::vector<std::string_view> words(std::string_view text)
{
    auto parts = split(text, " \t");
    std::erase_if(parts, [](std::string_view part) { return part.empty(); });
    return parts;
}

std::optional<unsigned> to_number(std::string_view text)
{
    unsigned value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size())
        return {};
    return value;
}

/// The values that one of the five fields may have.
struct field_rules {
    std::string_view name;
    unsigned first;
    unsigned last;
    std::span<const std::string_view> names; ///< for the values from `first` on
};

constexpr std::array<std::string_view, 12> month_names{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> weekday_names{"sun", "mon", "tue", "wed",
                                                        "thu", "fri", "sat"};

constexpr field_rules minute_rules{"minute", 0, 59, {}};
constexpr field_rules hour_rules{"hour", 0, 23, {}};
constexpr field_rules day_rules{"day of month", 1, 31, {}};
constexpr field_rules month_rules{"month", 1, 12, month_names};
constexpr field_rules weekday_rules{"day of week", 0, 7, weekday_names}; // 7 is Sunday, too

unsigned parse_value(const field_rules& rules, std::string_view text)
{
    if (const auto named = std::ranges::find(rules.names, text); named != rules.names.end())
        return rules.first + static_cast<unsigned>(named - rules.names.begin());
    const auto value = to_number(text);
    if (!value || *value < rules.first || *value > rules.last)
        reject(std::string{rules.name} + ": \"" + std::string{text} + "\" is not from " +
               std::to_string(rules.first) + " to " + std::to_string(rules.last) +
               (rules.names.empty() ? "" : ", nor a name"));
    return *value;
}

/// One element of a field's list: "*", "5", "5-10", each with an optional "/2".
void parse_element(const field_rules& rules, std::string_view text, std::vector<unsigned>& values)
{
    const auto fail = [&](const std::string& problem) {
        reject(std::string{rules.name} + ": \"" + std::string{text} + "\" " + problem);
    };
    const auto parts = split(text, "/");
    if (parts.size() > 2)
        fail("has more than one step");
    unsigned step = 1;
    if (parts.size() == 2) {
        const auto given = to_number(parts[1]);
        if (!given || *given < 1 || *given > rules.last)
            fail("has a step that is not from 1 to " + std::to_string(rules.last));
        step = *given;
    }
    unsigned first = rules.first;
    unsigned last = rules.last;
    if (parts[0] != "*") {
        const auto ends = split(parts[0], "-");
        if (ends.size() > 2)
            fail("has more than two ends");
        first = parse_value(rules, ends[0]);
        if (ends.size() == 2)
            last = parse_value(rules, ends[1]);
        else if (parts.size() == 1)
            last = first;
        if (first > last)
            fail("ends before it begins");
    }
    for (auto value = first; value <= last; value += step)
        values.push_back(value);
}

std::vector<unsigned> parse_field(const field_rules& rules, std::string_view text)
{
    std::vector<unsigned> values;
    for (const auto element : split(text, ","))
        parse_element(rules, element, values);
    return values;
}

bool is_any(std::string_view text)
{
    return text == "*" || text == "?";
}

/// "?" means "any" in one of the two day fields, so that the other one decides.
std::string_view day_field(std::string_view text)
{
    return text == "?" ? "*" : text;
}

std::string_view expand(std::string_view expression)
{
    static constexpr std::pair<std::string_view, std::string_view> shorthands[] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
        {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
        {"@hourly", "0 * * * *"},
    };
    const auto found = std::ranges::find(shorthands, expression,
                                         &std::pair<std::string_view, std::string_view>::first);
    if (found != std::end(shorthands))
        return found->second;
    if (expression.starts_with('@'))
        reject("cron: \"" + std::string{expression} +
               "\" is none of @yearly, @monthly, @weekly, @daily, @hourly and @every <time>");
    return expression;
}

/// "1h30m", "90s", "250ms"
duration parse_interval(std::string_view text)
{
    static constexpr std::pair<std::string_view, duration> units[] = {
        {"ms", std::chrono::milliseconds{1}},
        {"h", std::chrono::hours{1}},
        {"m", minute_span{1}},
        {"s", std::chrono::seconds{1}},
    };
    const auto fail = [whole = std::string{text}] {
        reject("@every: \"" + whole +
               "\" is not a time such as 90s, 15m or 1h30m, of 1 s to 10,000 h");
    };
    duration sum{};
    if (text.empty())
        fail();
    while (!text.empty()) {
        const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
        const auto count = to_number(text.substr(0, digits));
        text.remove_prefix(digits);
        const auto found = std::ranges::find_if(
            units, [&](const auto& unit) { return text.starts_with(unit.first); });
        if (!count || *count > 36'000'000 || found == std::end(units))
            fail();
        sum += *count * found->second;
        text.remove_prefix(found->first.size());
    }
    if (sum < std::chrono::seconds{1} || sum > std::chrono::hours{10'000})
        fail();
    return sum;
}

/// Whether the text is a zone name and not a path: the zone library would open any file.
bool is_zone_name(std::string_view name)
{
    constexpr std::size_t longest = 64;
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '+' || c == '-' || c == '/';
    };
    return !name.empty() && name.size() <= longest && std::ranges::all_of(name, allowed) &&
           name.front() != '/' && name != "localtime";
}

std::optional<absl::TimeZone> find_zone(std::string_view name)
{
    if (name == "UTC")
        return {};
    absl::TimeZone found;
    if (!is_zone_name(name) || !absl::LoadTimeZone(std::string{name}, &found))
        reject("zone: \"" + std::string{name} +
               "\" is not in this machine's time zone database; use a name such as Europe/Berlin, "
               "or UTC");
    return found;
}

/// A period in which a zone's offset from UTC stays the same.
struct zone_period {
    time_point begin = time_point::min();
    time_point end = time_point::max(); ///< exclusive
    std::chrono::seconds offset{};      ///< local time minus UTC
    std::chrono::seconds offset_before{};
};

zone_period period_at(const absl::TimeZone& zone, time_point time)
{
    using seconds = std::chrono::seconds;
    const auto second = std::chrono::floor<seconds>(time).time_since_epoch().count();
    const auto utc_of = [](absl::CivilSecond local, seconds offset) {
        return time_point{seconds{local - absl::CivilSecond{1970}} - offset};
    };
    zone_period found;
    found.offset = found.offset_before = seconds{zone.At(absl::FromUnixSeconds(second)).offset};
    absl::TimeZone::CivilTransition change;
    if (zone.PrevTransition(absl::FromUnixSeconds(second + 1), &change)) {
        found.begin = utc_of(change.to, found.offset);
        found.offset_before = found.offset - seconds{change.to - change.from};
    }
    if (zone.NextTransition(absl::FromUnixSeconds(second), &change))
        found.end = utc_of(change.from, found.offset);
    return found;
}

/// The Gregorian calendar, with its weekdays, repeats after 400 years.
constexpr auto calendar_cycle = std::chrono::days{146'097};

/// The zone library lists the changes of a zone's offset for at least the next 400 years only, so a
/// later time is computed as if it were this span earlier.
duration span_past_zone_list(time_point time)
{
    constexpr time_point year_2400{std::chrono::sys_days{std::chrono::year{2400} / 1 / 1}};
    return time < year_2400 ? duration{}
                            : ((time - year_2400) / calendar_cycle + 1) * calendar_cycle;
}

} // namespace

cron::cron(std::string_view expression, std::string_view zone, time_point anchor)
    : zone_(find_zone(zone)), anchor_(anchor)
{
    const auto lowered = lower(expression);
    const auto parts = words(lowered);
    if (!parts.empty() && parts.front() == "@every") {
        if (parts.size() != 2)
            reject("@every: it takes one time, such as 90s, 15m or 1h30m");
        when_ = parse_interval(parts[1]);
        return;
    }
    if (parts.size() == 1 && parts.front().starts_with('@'))
        when_ = parse_fields(expand(parts.front()));
    else
        when_ = parse_fields(lowered);
}

cron::fields cron::parse_fields(std::string_view expression)
{
    const auto parts = words(expression);
    if (parts.size() != 5)
        reject("cron: \"" + std::string{expression} + "\" has " + std::to_string(parts.size()) +
               " fields instead of 5: minute, hour, day of month, month, day of week");
    fields parsed;
    for (const auto value : parse_field(minute_rules, parts[0]))
        parsed.minutes.set(value);
    for (const auto value : parse_field(hour_rules, parts[1]))
        parsed.hours.set(value);
    for (const auto value : parse_field(day_rules, day_field(parts[2])))
        parsed.days.set(value);
    for (const auto value : parse_field(month_rules, parts[3]))
        parsed.months.set(value);
    for (const auto value : parse_field(weekday_rules, day_field(parts[4])))
        parsed.weekdays.set(value % 7);
    parsed.any_day = is_any(parts[2]);
    parsed.any_weekday = is_any(parts[4]);

    const auto occurs = [&] {
        for (unsigned month = 1; month <= 12; ++month)
            for (unsigned day = 1; day <= 31; ++day)
                if (parsed.months[month] && parsed.days[day] &&
                    std::chrono::year_month_day{std::chrono::year{2024}, std::chrono::month{month},
                                                std::chrono::day{day}}
                        .ok())
                    return true;
        return false;
    };
    if (parsed.any_weekday && !occurs())
        reject("day of month: " + std::string{parts[2]} + " never comes in month " +
               std::string{parts[3]});
    return parsed;
}

bool cron::fields::has(unsigned month, unsigned day, unsigned weekday) const
{
    if (!months[month])
        return false;
    if (any_day || any_weekday)
        return days[day] && weekdays[weekday];
    return days[day] || weekdays[weekday]; // the classic cron rule
}

std::optional<time_point> cron::fields::at_or_after(time_point from) const
{
    // 29 February is at most 8 years away.
    constexpr int longest_wait = 9 * 366;
    auto time = std::chrono::ceil<minute_span>(from);
    auto today = std::chrono::floor<std::chrono::days>(time);
    for (int i = 0; i < longest_wait; ++i, today += std::chrono::days{1}, time = today) {
        const std::chrono::year_month_day day{today};
        if (!has(static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()),
                 std::chrono::weekday{today}.c_encoding()))
            continue;
        const auto minute_of_day = static_cast<std::size_t>((time - today).count());
        auto minute = minute_of_day % 60;
        for (auto hour = minute_of_day / 60; hour < 24; ++hour, minute = 0)
            for (; hours[hour] && minute < 60; ++minute)
                if (minutes[minute])
                    return today + std::chrono::hours{hour} + std::chrono::minutes{minute};
    }
    return {};
}

std::optional<time_point> cron::next(time_point from) const
{
    if (const auto* interval = std::get_if<duration>(&when_)) {
        const auto passed = std::max(from - anchor_, duration::zero()) / *interval;
        return anchor_ + (passed + 1) * *interval;
    }
    if (zone_) {
        const auto shift = span_past_zone_list(from);
        const auto found = next_in_zone(from + duration{1} - shift);
        return found ? std::optional{*found + shift} : std::nullopt;
    }
    return std::get<fields>(when_).at_or_after(from + duration{1});
}

std::optional<time_point> cron::next_in_zone(time_point from) const
{
    const auto& wanted = std::get<fields>(when_);
    const bool every_hour = wanted.hours.all();
    for (int periods = 0; periods < 100; ++periods) {
        const auto period = period_at(*zone_, from);
        auto local = from + period.offset;
        if (!every_hour && period.begin != time_point::min()) {
            // A slot in a skipped hour is due when the clocks have been changed.
            if (period.offset_before < period.offset && from <= period.begin) {
                const auto skipped = wanted.at_or_after(period.begin + period.offset_before);
                if (skipped && *skipped < period.begin + period.offset)
                    return period.begin;
            }
            // A slot in a repeated hour is due the first time only.
            local = std::max(local, period.begin + period.offset_before);
        }
        const auto found = wanted.at_or_after(local);
        if (!found)
            return {};
        if (*found - period.offset < period.end)
            return *found - period.offset;
        from = period.end;
    }
    return {};
}

} // namespace pawl::core
