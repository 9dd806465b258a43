#pragma once

#include "pawl/detail/json_io.hpp"
#include "pawl/json_path.hpp"
#include "pawl/schema.hpp"
#include "pawl/time.hpp"

#include <boost/describe.hpp>
#include <boost/json/value.hpp>

#include <string>
#include <string_view>
#include <type_traits>

namespace pawl {

/// How a type is represented inside a JSON document. Specialise it for a type of your own:
///
/// @code
/// template <>
/// struct pawl::json_codec<money> {
///     static void write(const money& value, std::string& out); // appends exactly one JSON value
///     static void read(const boost::json::value& json, money& target, const pawl::json_path&
///     path);
/// };
/// @endcode
///
/// `write` throws encode_error for a value that JSON cannot hold, `read` throws decode_error{path,
/// problem}; both reach the caller with the path of the member. A specialisation usually forwards
/// to the codec of another type, for example json_codec<std::int64_t>.
///
/// Provided are codecs for
/// - bool and integers (checked against their range; 1.0 is read as 1, 1.5 is rejected);
/// - float and double, written in the shortest form that reads back as the same number;
/// - std::string, which must be UTF-8;
/// - std::optional: empty is null, and is omitted if it is a struct's member;
/// - std::vector, std::array (of exactly its size), std::map and std::unordered_map with
///   std::string keys;
/// - enums: as their names if they are described with BOOST_DESCRIBE_ENUM, else as their numbers;
/// - structs and classes described with BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_CLASS, with the
///   members of described bases. A member that is not described is not stored;
/// - pawl::time_point and every std::chrono::sys_time as ISO 8601 in UTC, years 0000 to 9999, for
///   example "2026-11-23T00:18:18.123456Z". Fractions of 0 to 9 digits are read, truncated to the
///   type's precision, and so are offsets such as "+02:00";
/// - std::chrono durations of an integral type as a number of microseconds, truncated toward zero;
/// - boost::json::value as itself.
///
/// A document is read in one of two ways, see json_reading. A workflow's object is read tolerantly,
/// so that it may change while runs are stored: a missing member keeps the value of the default
/// constructor, an unknown one is ignored. A callback's payload and an effect's result are read
/// strictly: an unknown member is an error, and so is a missing one that is not a std::optional.
/// pawl::schema changes that for a type, and names members that are always required.
///
/// In both ways a value that is present must have the right type: "items[2].price: expected a
/// number, found a string". Of two equal names the last one counts. Documents with more than 32
/// nested levels are rejected, both when written and when read.
template <class T>
struct json_codec;

/// A type that json_codec can write and read.
template <class T>
concept json_codable = requires(const T& value, T& target, std::string& out,
                                const boost::json::value& json, const json_path& path) {
    json_codec<T>::write(value, out);
    json_codec<T>::read(json, target, path);
};

namespace detail {

struct default_codec {};

} // namespace detail

/// How an object, a payload or an effect becomes bytes and back: JSON, unless specialised.
///
/// Specialise it (instead of json_codec) to store values in a format of your own. The bytes are
/// stored as they are; a codec must read what its earlier versions wrote.
template <class T>
struct codec : detail::default_codec {
    /// Appends the encoded value to `out`.
    ///
    /// @throws encode_error when JSON cannot hold the value; `out` then has a part of the text.
    static void encode(const T& value, std::string& out)
    {
        static_assert(json_codable<T>,
                      "Pawl has no codec for this type: describe it with BOOST_DESCRIBE_STRUCT or "
                      "BOOST_DESCRIBE_ENUM, or specialise pawl::json_codec");
        json_codec<T>::write(value, out);
    }

    /// Reads tolerantly.
    ///
    /// @throws decode_error when `bytes` are not JSON or do not fit T.
    static T decode(std::string_view bytes) { return decode(bytes, json_reading::tolerant); }

    /// Reads in the given way. The path of the first ignored member is written to `*ignored`, if
    /// that is given and empty.
    ///
    /// @throws decode_error when `bytes` are not JSON or do not fit T.
    static T decode(std::string_view bytes, json_reading reading, std::string* ignored = nullptr)
    {
        static_assert(json_codable<T>,
                      "Pawl has no codec for this type: describe it with BOOST_DESCRIBE_STRUCT or "
                      "BOOST_DESCRIBE_ENUM, or specialise pawl::json_codec");
        static_assert(std::is_default_constructible_v<T>,
                      "Pawl reads into a default-constructed value: give this type a default "
                      "constructor, or specialise pawl::codec");
        const detail::json_document document{bytes};
        T result{};
        const json_path root{reading, ignored};
        json_codec<T>::read(document.root(), result, root);
        return result;
    }
};

/// Bytes that are stored as they are, for example a callback's body in a format of its own.
struct bytes {
    std::string data;

    friend bool operator==(const bytes&, const bytes&) = default;
};

template <>
struct codec<bytes> {
    static void encode(const bytes& value, std::string& out) { out += value.data; }
    static bytes decode(std::string_view stored) { return {std::string{stored}}; }
};

/// A type that can be a workflow's object, a callback's payload or an effect's result.
template <class T>
concept codable = json_codable<T> || !std::is_base_of_v<detail::default_codec, codec<T>>;

namespace detail {

template <class T>
inline constexpr bool is_json = std::is_base_of_v<default_codec, codec<T>>;

/// As codec<T>::decode. A codec of the user's own ignores `reading`.
template <class T>
T decode_as(std::string_view bytes, json_reading reading, std::string* ignored = nullptr)
{
    if constexpr (is_json<T>)
        return codec<T>::decode(bytes, reading, ignored);
    else
        return codec<T>::decode(bytes);
}

/// Reads a workflow's object.
template <class T>
T decode_object(std::string_view bytes, std::string* ignored = nullptr)
{
    return decode_as<T>(bytes, json_reading::tolerant, ignored);
}

/// Reads a payload or a result that was stored in `version` of its schema. `name` names it in an
/// error. Throws pawl::error.
template <class T>
T decode_stored(std::string_view bytes, std::uint32_t version, const std::string& name)
{
    constexpr auto present = schema<T>::version;
    static_assert(present >= 1, "the first version of a pawl::schema is 1");
    static_assert(present == 1 || upgradable<T>,
                  "a pawl::schema above version 1 has static void upgrade(std::uint32_t from, "
                  "boost::json::value& document)");
    if (version > present || version < 1)
        refuse_newer(name, version, present);
    if constexpr (upgradable<T>)
        if (version < present) {
            const auto upgraded = upgraded_document(bytes, version, present, &schema<T>::upgrade);
            return decode_as<T>(upgraded, json_reading::strict);
        }
    return decode_as<T>(bytes, json_reading::strict);
}

} // namespace detail
} // namespace pawl

#include "pawl/detail/json_codecs.hpp"
