#pragma once

#include "pawl/json_path.hpp"

#include <boost/json/value.hpp>

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace pawl {

/// The schema of a type for which pawl::schema is not specialised. Derive from it.
struct schema_defaults {
    /// The version of the form in which the program stores values of the type. The first is 1.
    static constexpr std::uint32_t version = 1;

    /// How the type is read, wherever it is in a document. Empty: as the value that contains it;
    /// payloads and results of effects are read strictly, objects tolerantly.
    static constexpr std::optional<json_reading> reading{};

    /// Names of members that must be present however the type is read.
    static constexpr std::array<std::string_view, 0> required{};
};

/// The stored form of a type: its version, and which members are checked when it is read.
/// Specialise it for an object, a callback's payload or an effect's result:
///
/// @code
/// template <>
/// struct pawl::schema<review> : pawl::schema_defaults {
///     static constexpr std::uint32_t version = 2;
///     static void upgrade(std::uint32_t from, boost::json::value& document); // to from + 1
///
///     static constexpr std::array<std::string_view, 1> required{"approved"};
///     static constexpr std::optional<pawl::json_reading> reading = pawl::json_reading::tolerant;
/// };
/// @endcode
///
/// The version is stored with each callback's payload and each recorded effect. Versions of types
/// inside another type, such as a member or a list item, are ignored. A value of an older version
/// is upgraded, version by version, before it is read. A value of a newer version is left alone:
/// the run waits, without using up an attempt, for an engine whose program knows the version.
///
/// A workflow's object is versioned either here or by builder::upgrade(), not by both.
template <class T>
struct schema : schema_defaults {};

namespace detail {

template <class T>
concept upgradable = requires(boost::json::value& document) {
    { schema<T>::upgrade(std::uint32_t{}, document) } -> std::same_as<void>;
};

template <class T>
constexpr json_reading reading_of(json_reading inherited) noexcept
{
    return schema<T>::reading.value_or(inherited);
}

using json_upgrade = std::function<void(std::uint32_t from, boost::json::value& document)>;

/// Returns the document upgraded from `version` to `target`.
///
/// @throws pawl::error: program_too_old when `version` is newer than `target`, else decode_failed.
std::string upgraded_document(std::string_view stored, std::uint32_t version, std::uint32_t target,
                              const json_upgrade& step);

/// Returns the document as `edit` changes it.
std::string edited_document(std::string_view stored,
                            const std::function<void(boost::json::value&)>& edit);

/// @throws pawl::error with program_too_old.
[[noreturn]] void refuse_newer(const std::string& name, std::uint32_t found, std::uint32_t known);

} // namespace detail
} // namespace pawl
