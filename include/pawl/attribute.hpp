#pragma once

#include "pawl/attribute_value.hpp"

#include <boost/describe/enumerators.hpp>
#include <boost/mp11/algorithm.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace pawl {

namespace detail {

template <class T>
inline constexpr bool is_wall_time = false;
template <class Duration>
inline constexpr bool is_wall_time<std::chrono::sys_time<Duration>> = true;

template <class T>
concept text_attribute = std::convertible_to<const T&, std::string_view>;

/// Integers whose values all fit into 64 bits with a sign.
template <class T>
concept integer_attribute =
    std::integral<T> && !std::same_as<T, bool> && (std::signed_integral<T> || sizeof(T) < 8);

template <class T>
inline constexpr bool is_described_enum = boost::describe::has_describe_enumerators<T>::value;

template <class T>
concept attribute_type = text_attribute<T> || integer_attribute<T> || std::same_as<T, bool> ||
                         std::is_enum_v<T> || is_wall_time<T>;

/// Types whose values have an order in a query.
template <class T>
concept ordered_attribute = integer_attribute<T> || is_wall_time<T>;

/// Whether a query may compare an attribute of type T with a U.
template <class T, class U>
concept comparable_attribute =
    (text_attribute<T> && text_attribute<U>) || (integer_attribute<T> && integer_attribute<U>) ||
    (is_wall_time<T> && is_wall_time<U>) || std::same_as<T, U>;

template <attribute_type T>
consteval attribute_kind attribute_kind_of()
{
    if constexpr (text_attribute<T>)
        return attribute_kind::text;
    else if constexpr (std::same_as<T, bool>)
        return attribute_kind::boolean;
    else if constexpr (is_wall_time<T>)
        return attribute_kind::time;
    else if constexpr (std::is_enum_v<T>)
        return is_described_enum<T> ? attribute_kind::text : attribute_kind::integer;
    else
        return attribute_kind::integer;
}

/// An enum as json_codec writes it: by its name, so that a later program may insert enumerators. A
/// value without a name is its number.
template <class T>
attribute_value enum_attribute(T value)
{
    const auto number = static_cast<std::int64_t>(value);
    if constexpr (is_described_enum<T>) {
        const char* name = nullptr;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto enumerator) {
            if (enumerator.value == value)
                name = enumerator.name;
        });
        return name ? std::string{name} : std::to_string(number);
    } else {
        return number;
    }
}

template <attribute_type T>
attribute_value make_attribute(const T& value)
{
    if constexpr (text_attribute<T>)
        return std::string{std::string_view{value}};
    else if constexpr (std::same_as<T, bool>)
        return value;
    else if constexpr (is_wall_time<T>)
        return std::chrono::floor<duration>(value);
    else if constexpr (std::is_enum_v<T>)
        return enum_attribute(value);
    else
        return static_cast<std::int64_t>(value);
}

template <class T>
struct attribute_field {
    using type = T;
    static std::optional<attribute_value> read(const T& value) { return make_attribute(value); }
};

template <class T>
struct attribute_field<std::optional<T>> {
    using type = T;
    static std::optional<attribute_value> read(const std::optional<T>& value)
    {
        return value ? std::optional{make_attribute(*value)} : std::nullopt;
    }
};

} // namespace detail

/// The name and the type of an attribute, declared once for the builder and the clients:
///
/// @code
/// inline constexpr pawl::attribute<std::string> customer{"customer"};
/// inline constexpr pawl::attribute<std::int64_t> cents{"cents"};
///
/// b.attribute(customer, &Order::customer_id);
/// co_await client.async_list({.attributes = {customer == "c-7", cents >= 100, cents < 500}});
/// @endcode
///
/// `T` is std::string, an integer, bool, an enum, or a std::chrono::sys_time. A value of another
/// type does not compile, nor does `<` for texts, enums and booleans. Only the name is stored: the
/// same name as a plain string means the same attribute.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class T>
class attribute {
    static_assert(detail::attribute_type<T>,
                  "an attribute is a std::string, an integer (of 64 bits with a sign, or smaller), "
                  "a bool, an enum or a std::chrono::sys_time");

public:
    using value_type = T;

    /// `name` has 1 to 128 bytes and must outlive this object: use a literal.
    constexpr explicit attribute(std::string_view name) noexcept : name_(name) {}

    /// The name of the attribute.
    std::string name() const { return std::string{name_}; }

    /// Runs whose attribute has this value.
    template <class U>
        requires detail::comparable_attribute<T, U>
    friend attribute_filter operator==(const attribute& declared, const U& value)
    {
        return declared.compare(value, attribute_comparison::equal);
    }

    /// Runs whose attribute is less; this and the following operators are for integers and times.
    template <class U>
        requires detail::ordered_attribute<T> && detail::comparable_attribute<T, U>
    friend attribute_filter operator<(const attribute& declared, const U& value)
    {
        return declared.compare(value, attribute_comparison::less);
    }
    template <class U>
        requires detail::ordered_attribute<T> && detail::comparable_attribute<T, U>
    friend attribute_filter operator<=(const attribute& declared, const U& value)
    {
        return declared.compare(value, attribute_comparison::less_or_equal);
    }
    template <class U>
        requires detail::ordered_attribute<T> && detail::comparable_attribute<T, U>
    friend attribute_filter operator>(const attribute& declared, const U& value)
    {
        return declared.compare(value, attribute_comparison::greater);
    }
    template <class U>
        requires detail::ordered_attribute<T> && detail::comparable_attribute<T, U>
    friend attribute_filter operator>=(const attribute& declared, const U& value)
    {
        return declared.compare(value, attribute_comparison::greater_or_equal);
    }

private:
    template <class U>
    attribute_filter compare(const U& value, attribute_comparison comparison) const
    {
        return {name(), detail::make_attribute(value), comparison};
    }

    std::string_view name_;
};

} // namespace pawl
