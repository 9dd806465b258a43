#pragma once

#include <chrono>
#include <compare>

namespace pawl {

/// A duration as Pawl stores it: whole microseconds.
using duration = std::chrono::microseconds;

/// A duration as Pawl's functions take it: of any std::chrono type, truncated to whole
/// microseconds.
///
/// A value out of range becomes the nearest one in range instead of overflowing:
/// `async_stop(std::chrono::hours::max())` waits without limit. NaN becomes zero. Most members of
/// option structs are of type `duration`, to which std::chrono converts without a check: write
/// `pawl::duration::max()` there. `std::chrono::hours::max()` is a negative value there, which is
/// refused by name.
class any_duration {
public:
    template <class Rep, class Period>
    constexpr any_duration(std::chrono::duration<Rep, Period> span) noexcept : value_(cut(span))
    {
    }

    constexpr operator duration() const noexcept { return value_; }

    friend constexpr auto operator<=>(any_duration, any_duration) noexcept = default;

private:
    template <class Rep, class Period>
    static constexpr duration cut(std::chrono::duration<Rep, Period> span) noexcept
    {
        using wide = std::chrono::duration<long double, duration::period>;
        const auto micros = std::chrono::duration_cast<wide>(span);
        if (micros >= wide{duration::max()})
            return duration::max();
        if (micros <= wide{duration::min()})
            return duration::min();
        return micros == micros ? std::chrono::duration_cast<duration>(span) : duration::zero();
    }

    duration value_;
};

/// A wall-clock instant as Pawl stores it: microseconds since the Unix epoch, UTC.
///
/// Records and events hold wall-clock times. Waits inside a process are measured on the steady
/// clock (see clock.hpp), so that setting the wall clock fires nothing early.
using time_point = std::chrono::sys_time<duration>;

} // namespace pawl
