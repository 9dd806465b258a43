#pragma once

#include "pawl/record_store.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// How stores keep the values of attributes: as bytes, whose order is that of the values.
namespace pawl::core {

/// The bytes of a value. Values of one kind are ordered by their bytes; values of two kinds differ.
/// Stored format: never change.
std::string encode_attribute(const attribute_value& value);

/// The values of one attribute that a query allows.
struct attribute_range {
    std::string name;
    std::string first; ///< the least bytes of an allowed value
    std::string end;   ///< the least bytes that are greater than those of all allowed values

    /// Whether `first` is the only value.
    bool is_equality() const noexcept;

    bool is_empty() const noexcept { return first >= end; }
    bool contains(std::string_view value) const noexcept { return first <= value && value < end; }
};

/// The conditions of the query, one range for each attribute. The one to be searched in the index
/// comes first.
std::vector<attribute_range> attribute_ranges(const record_query& query);

/// Throw error (invalid_argument).
void check_attribute_filters(const record_query& query);
void check_attributes(const attribute_changes& changes);

} // namespace pawl::core
