#pragma once

#include "pawl/codec.hpp"

#include <boost/json/fwd.hpp>

#include <compare>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace order_processing {

/// An amount that cannot be held exactly. what() continues the name of a field: "must be …".
class money_error : public std::range_error {
public:
    using std::range_error::range_error;
};

/// An exact amount in the only currency of the example: whole cents, also negative.
/// Outside it is a decimal number with at most two decimals.
///
/// The range is -10^12 to 10^12, so that each amount has a `double` of its own.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class money {
public:
    static constexpr std::int64_t minor_per_major = 100;
    static constexpr std::int64_t max_minor = 1'000'000'000'000 * minor_per_major;

    constexpr money() noexcept = default;

    /// @throws money_error when the amount is out of range.
    static money from_minor(std::int64_t cents);

    /// Whole units. @throws money_error when the amount is out of range.
    static money from_major(std::int64_t units);

    /// The amount that is written with at most two decimals and whose nearest `double` is `value`,
    /// or lies two steps beside it: some JSON readers round twice.
    ///
    /// @throws money_error for a NaN, an infinity, more decimals, or an amount out of range.
    static money from_double(double value);

    /// Reads a JSON number of any kind. @throws money_error as from_double(), and for anything
    /// that is not a number.
    static money from_json(const boost::json::value& value);

    constexpr std::int64_t minor() const noexcept { return minor_; }

    /// @throws money_error when the result is out of range; also the other operators.
    money& operator+=(money other);
    money& operator-=(money other);
    friend money operator+(money left, money right) { return left += right; }
    friend money operator-(money left, money right) { return left -= right; }

    /// A price times a quantity.
    friend money operator*(money price, std::int64_t quantity);

    friend constexpr bool operator==(money, money) noexcept = default;
    friend constexpr auto operator<=>(money, money) noexcept = default;

private:
    constexpr explicit money(std::int64_t cents) noexcept : minor_(cents) {}

    std::int64_t minor_ = 0;
};

/// Decimal text with two decimals: "99.99", "1500.00", "-0.05". It is also the JSON number.
std::string to_string(money amount);

} // namespace order_processing

/// An amount in a document is the decimal number of to_string(money). A negative one is refused:
/// no document of the example needs one.
template <>
struct pawl::json_codec<order_processing::money> {
    static void write(order_processing::money from, std::string& out);
    static void read(const boost::json::value& document, order_processing::money& amount,
                     const pawl::json_path& path);
};
