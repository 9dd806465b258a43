#pragma once

#include "pawl/time.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pawl {

/// The types of the values of attributes, see builder::attribute(). Stored: never change a number.
enum class attribute_kind : std::uint8_t {
    text = 1,    ///< texts, and enums that are described with BOOST_DESCRIBE_ENUM
    integer = 2, ///< integers, and enums that are not described
    boolean = 3,
    time = 4, ///< times of the wall clock, in microseconds
};

/// Returns "text", "integer", "boolean" or "time".
std::string_view to_string(attribute_kind kind) noexcept;

/// The value of an attribute. The alternatives are in the order of attribute_kind.
using attribute_value = std::variant<std::string, std::int64_t, bool, time_point>;

/// Returns the kind of a value.
inline attribute_kind kind_of(const attribute_value& value) noexcept
{
    return static_cast<attribute_kind>(value.index() + 1);
}

/// The largest number of attributes of a workflow.
inline constexpr std::size_t max_attributes = 8;

/// The most bytes of a text that is the value of an attribute.
inline constexpr std::size_t max_attribute_size = 1024;

/// An attribute of a run.
struct stored_attribute {
    std::string name;
    std::optional<attribute_value> value; ///< empty: the object has no value

    friend bool operator==(const stored_attribute&, const stored_attribute&) = default;
};

/// What a change does to the attributes of a run, by which record_query::attributes finds it.
struct attribute_changes {
    /// True: the run has the attributes of `values` afterwards and no others. False: attributes
    /// that `values` does not name stay as they are.
    bool replaces_all = false;

    /// No name comes twice. An attribute without a value is removed.
    std::vector<stored_attribute> values;

    bool empty() const noexcept { return !replaces_all && values.empty(); }

    friend bool operator==(const attribute_changes&, const attribute_changes&) = default;
};

/// How record_query::attributes compares the value of an attribute with a given one. Texts and
/// booleans have no order: for them only `equal` is allowed.
enum class attribute_comparison : std::uint8_t {
    equal,
    less,
    less_or_equal,
    greater,
    greater_or_equal,
};

/// A condition of record_query::attributes: runs that have the attribute, with such a value.
///
/// Write it with pawl::attribute, which checks the type when it is compiled: `customer == "c-7"`.
/// For names that are known at run time only: `{"customer", "c-7"}`.
struct attribute_filter {
    std::string name;
    attribute_value value;
    attribute_comparison comparison = attribute_comparison::equal;
};

} // namespace pawl
