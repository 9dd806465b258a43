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

/// What pawl::schema says of a type that it is not specialised for. Derive from it.
struct schema_defaults {
    /// The version of the form in which the program stores values of the type. The first is 1.
    static constexpr std::uint32_t version = 1;

    /// How the type is read, wherever it stands in a document. Empty: as what contains it; payloads
    /// and results of effects are read strictly, objects tolerantly.
    static constexpr std::optional<json_reading> reading{};

    /// Names of members that must be there however the type is read.
    static constexpr std::array<std::string_view, 0> required{};
};

/// The stored form of a type: its version, and which of its members are checked when it is read.
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
/// The version is stored with each callback's payload and each recorded effect; of a type inside
/// another one, a member or an item of a list, it is not looked at. A value of an older version is
/// upgraded, step by step, before it is read. A value of a newer version is left alone: the run
/// waits, without an attempt being counted, for an engine whose program knows the version.
///
/// A workflow's object may be versioned here or by builder::upgrade(), not by both.
template <class T>
struct schema : schema_defaults {};

namespace detail {

template <class T>
concept upgradable = requires(boost::json::value& document) {
    { schema<T>::upgrade(std::uint32_t{}, document) } -> std::same_as<void>;
};

template <class T>
constexpr json_reading reading_of(json_reading around) noexcept
{
    return schema<T>::reading.value_or(around);
}

using json_upgrade = std::function<void(std::uint32_t from, boost::json::value& document)>;

/// The document brought from version `from` to version `to`. Throws pawl::error: program_too_old
/// when `from` is newer, else decode_failed.
std::string upgraded_document(std::string_view stored, std::uint32_t from, std::uint32_t to,
                              const json_upgrade& step);

/// The document as `edit` leaves it.
std::string edited_document(std::string_view stored,
                            const std::function<void(boost::json::value&)>& edit);

/// Throws pawl::error (program_too_old).
[[noreturn]] void refuse_newer(const std::string& what, std::uint32_t found, std::uint32_t known);

} // namespace detail
} // namespace pawl
