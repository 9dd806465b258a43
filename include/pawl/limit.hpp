#pragma once

#include "pawl/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl {

/// The largest number of limits of one step.
inline constexpr std::size_t max_limits_per_step = 4;

/// The most bytes of a limit's key. Keys with the same first bytes are the same key.
inline constexpr std::size_t max_limit_key_size = 1024;

/// The most keys of a limit that have pools of their own in an engine; further keys share one pool.
/// A pool is removed some time after its last attempt, when its rate has made up for that attempt.
inline constexpr std::size_t max_limit_keys = 1'000'000;

/// The numbers of a limit. At least one of `rate` and `concurrency` is set.
///
/// builder::build() reports numbers out of their range.
struct limit_options {
    /// How many attempts may begin in each `per`. 1 to 1,000,000. Default: empty, no limit of the
    /// rate.
    std::optional<std::int64_t> rate{};

    /// The time of `rate`. 1 ms to 30 days. Default 1 s.
    duration per = std::chrono::seconds{1};

    /// How many attempts may begin at once after a time with fewer attempts than `rate` allows: in
    /// a time t, at most `burst` + `rate` * t / `per` attempts begin. 1 to 1,000,000. Default:
    /// empty, the attempts of 100 ms, at least 1. With 1 no attempt makes up for a timer that was
    /// late.
    std::optional<std::int64_t> burst{};

    /// How many attempts may run at a time. 1 to 1,000,000. Default: empty, no limit of
    /// concurrency.
    std::optional<std::int64_t> concurrency{};

    friend bool operator==(const limit_options&, const limit_options&) = default;
};

/// A limit of the rate and the concurrency of attempts, declared once for the steps that share it:
///
/// @code
/// inline constexpr pawl::limit card_api{"card-api", {.rate = 100, .concurrency = 20}};
/// inline constexpr pawl::limit per_merchant{"merchant", {.concurrency = 2}};
///
/// b.step<Validated>(charge).within(card_api).within(per_merchant, &Order::merchant);
/// @endcode
///
/// In a shared store the numbers are for all engines together: each has a part of them, see the
/// guide.
///
/// A limit counts attempts of steps, and only while their handlers run: a run that waits, is paused
/// or backs off takes nothing from it. See step_options::within().
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class limit {
public:
    /// `name` has 1 to 128 letters, digits, '-', '_' and '.', and must outlive this object: use a
    /// literal. In one engine all steps that name a limit give it the same numbers.
    constexpr limit(std::string_view name, limit_options numbers) noexcept
        : name_(name), numbers_(numbers)
    {
    }

    /// The name of the limit.
    std::string name() const { return std::string{name_}; }

    /// The numbers that the program declares.
    constexpr const limit_options& numbers() const noexcept { return numbers_; }

private:
    std::string_view name_;
    limit_options numbers_;
};

} // namespace pawl
