#pragma once

#include "pawl/time.hpp"

#include <absl/time/time.h>

#include <bitset>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace pawl::core {

/// When a schedule fires: a cron expression in a time zone, or a fixed interval.
///
/// Pure: the same expression, zone database and time give the same slots. See schedule_options for
/// the grammar and for what happens when clocks are changed.
class cron {
public:
    /// Throws error (invalid_argument), which names the field and its content.
    ///
    /// The slots of an interval are counted from `anchor`, which is not a slot itself.
    cron(std::string_view expression, std::string_view zone, time_point anchor);

    /// The first slot after `from`; empty if there is none for decades.
    std::optional<time_point> next(time_point from) const;

private:
    struct fields {
        std::bitset<60> minutes;
        std::bitset<24> hours;
        std::bitset<32> days;   ///< of the month, from 1
        std::bitset<13> months; ///< from 1
        std::bitset<7> weekdays;
        bool any_day = false;
        bool any_weekday = false;

        bool has(unsigned month, unsigned day, unsigned weekday) const;

        /// The first matching minute of local time at or after `from`.
        std::optional<time_point> at_or_after(time_point from) const;
    };

    static fields parse_fields(std::string_view expression);

    std::optional<time_point> next_in_zone(time_point from) const;

    std::variant<duration, fields> when_;
    std::optional<absl::TimeZone> zone_; ///< empty: UTC
    time_point anchor_;
};

} // namespace pawl::core
