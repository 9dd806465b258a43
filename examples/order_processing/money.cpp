#include "money.hpp"

#include <boost/json/value.hpp>

#include <cmath>
#include <limits>

void pawl::json_codec<order_processing::money>::write(order_processing::money from,
                                                      std::string& out)
{
    out += to_string(from);
}

void pawl::json_codec<order_processing::money>::read(const boost::json::value& from,
                                                     order_processing::money& to,
                                                     const pawl::json_path& at)
{
    try {
        to = order_processing::money::from_json(from);
    } catch (const order_processing::money_error& problem) {
        throw pawl::decode_error{at, problem.what()};
    }
    if (to < order_processing::money{})
        throw pawl::decode_error{at, "must not be negative"};
}

namespace order_processing {

namespace {

[[noreturn]] void throw_out_of_range()
{
    throw money_error("must be an amount from -10^12 to 10^12");
}

constexpr bool in_range(std::int64_t cents) noexcept
{
    return -money::max_minor <= cents && cents <= money::max_minor;
}

} // namespace

money money::from_minor(std::int64_t cents)
{
    if (!in_range(cents))
        throw_out_of_range();
    return money{cents};
}

money money::from_major(std::int64_t units)
{
    return money{minor_per_major} * units;
}

money money::from_double(double value)
{
    if (!std::isfinite(value))
        throw money_error("must be a finite amount");
    if (std::fabs(value) > static_cast<double>(max_minor / minor_per_major))
        throw_out_of_range();
    const auto cents = std::llround(value * minor_per_major);
    // A third decimal moves the value by at least 0.001; two steps of a double are less than half
    // of that at the end of the range.
    const auto nearest = static_cast<double>(cents) / minor_per_major;
    const auto two_steps = 2 * std::numeric_limits<double>::epsilon() * std::fabs(value);
    if (std::fabs(nearest - value) > two_steps)
        throw money_error("must have at most two decimals");
    return from_minor(cents);
}

money money::from_json(const boost::json::value& value)
{
    if (const auto* number = value.if_int64())
        return from_major(*number);
    if (value.is_uint64())
        throw_out_of_range(); // a number is of this kind only past the range of int64
    if (const auto* number = value.if_double())
        return from_double(*number);
    throw money_error("must be a number");
}

money& money::operator+=(money other)
{
    *this = from_minor(minor_ + other.minor_); // the range leaves room for the sum
    return *this;
}

money& money::operator-=(money other)
{
    *this = from_minor(minor_ - other.minor_);
    return *this;
}

money operator*(money price, std::int64_t quantity)
{
    std::int64_t cents = 0;
    if (__builtin_mul_overflow(price.minor_, quantity, &cents))
        throw_out_of_range();
    return money::from_minor(cents);
}

std::string to_string(money amount)
{
    const auto cents = amount.minor() < 0 ? -amount.minor() : amount.minor();
    const auto fraction = cents % money::minor_per_major;
    std::string text = amount.minor() < 0 ? "-" : "";
    text += std::to_string(cents / money::minor_per_major);
    text += fraction < 10 ? ".0" : ".";
    text += std::to_string(fraction);
    return text;
}

} // namespace order_processing
