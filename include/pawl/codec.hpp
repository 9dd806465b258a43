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

/// How a type stands inside a JSON document. Specialise it for a type of your own:
///
/// @code
/// template <>
/// struct pawl::json_codec<money> {
///     static void write(const money& from, std::string& out);  // appends exactly one JSON value
///     static void read(const boost::json::value& from, money& to, const pawl::json_path& at);
/// };
/// @endcode
///
/// `write` throws encode_error for what JSON cannot hold, `read` throws decode_error{at, problem};
/// both end up with the member's path. A specialisation usually forwards to another type's, e.g.
/// json_codec<std::int64_t>.
///
/// Ready are:
/// - bool, integers (checked against their range; 1.0 is read as 1, 1.5 is refused);
/// - float and double, written in the shortest form that reads back as the same number;
/// - std::string, UTF-8 both ways;
/// - std::optional: empty is null, and left out where it is a struct's member;
/// - std::vector, std::array (of exactly its size), std::map and std::unordered_map with
///   std::string keys;
/// - enums: described with BOOST_DESCRIBE_ENUM as their names, others as their numbers;
/// - structs and classes described with BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_CLASS, with the
///   members of described bases. A member that is not described is not stored;
/// - pawl::time_point and every std::chrono::sys_time as ISO 8601 in UTC, years 0000 to 9999, e.g.
///   "2026-11-23T00:18:18.123456Z". Read are fractions of 0 to 9 digits, cut off at the type's own
///   precision, and offsets such as "+02:00";
/// - std::chrono durations of an integral type as a number of microseconds, cut off toward zero;
/// - boost::json::value as itself.
///
/// A document is read in one of two ways, see json_reading. A workflow's object is read tolerantly,
/// so that it may grow while runs of it are stored: a missing member keeps the value that the
/// default constructor gave it, an unknown one is ignored. A callback's payload and an effect's
/// result are read strictly: a member that is missing, and is no std::optional, or that is unknown,
/// is an error. pawl::schema chooses otherwise for a type, and names members that must be there
/// whichever way it is read.
///
/// Either way, what is there must have the right type: "items[2].price: expected a number, found a
/// string". Of two equal names the last one counts. Documents nested deeper than 32 levels are
/// refused, both ways.
template <class T>
struct json_codec;

/// A type that json_codec can write and read.
template <class T>
concept json_codable = requires(const T& from, T& to, std::string& out,
                                const boost::json::value& value, const json_path& at) {
    json_codec<T>::write(from, out);
    json_codec<T>::read(value, to, at);
};

namespace detail {

struct default_codec {};

} // namespace detail

/// How an object, a payload or an effect becomes bytes and comes back: JSON, unless specialised.
///
/// Specialise it (not json_codec) to store a whole object in a format of your own. The bytes are
/// stored as they are; a codec must read what its earlier versions wrote.
template <class T>
struct codec : detail::default_codec {
    /// Appends `from` to `out`. Throws encode_error, and leaves `out` with a part of the text then.
    static void encode(const T& from, std::string& out)
    {
        static_assert(json_codable<T>,
                      "Pawl has no codec for this type: describe it with BOOST_DESCRIBE_STRUCT or "
                      "BOOST_DESCRIBE_ENUM, or specialise pawl::json_codec");
        json_codec<T>::write(from, out);
    }

    /// Reads tolerantly. Throws decode_error when `bytes` are not JSON or do not fit T.
    static T decode(std::string_view bytes) { return decode(bytes, json_reading::tolerant); }

    /// Reads as it is told. `ignored`: see json_path.
    static T decode(std::string_view bytes, json_reading reading, std::string* ignored = nullptr)
    {
        static_assert(json_codable<T>,
                      "Pawl has no codec for this type: describe it with BOOST_DESCRIBE_STRUCT or "
                      "BOOST_DESCRIBE_ENUM, or specialise pawl::json_codec");
        static_assert(std::is_default_constructible_v<T>,
                      "Pawl reads into a default-constructed value: give this type a default "
                      "constructor, or specialise pawl::codec");
        const detail::json_document document{bytes};
        T to{};
        const json_path root{reading, ignored};
        json_codec<T>::read(document.root(), to, root);
        return to;
    }
};

/// Bytes that pass through as they are, e.g. a callback's body in a format of its own.
struct bytes {
    std::string data;

    friend bool operator==(const bytes&, const bytes&) = default;
};

template <>
struct codec<bytes> {
    static void encode(const bytes& from, std::string& out) { out += from.data; }
    static bytes decode(std::string_view stored) { return {std::string{stored}}; }
};

/// A type that can be a workflow's object, a callback's payload or an effect's result.
template <class T>
concept codable = json_codable<T> || !std::is_base_of_v<detail::default_codec, codec<T>>;

namespace detail {

template <class T>
inline constexpr bool is_json = std::is_base_of_v<default_codec, codec<T>>;

/// As codec<T>::decode. A codec of the user's own reads in its own way.
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

/// Reads a payload or a result that was stored in `version` of its schema. `what` names it in an
/// error. Throws pawl::error.
template <class T>
T decode_stored(std::string_view bytes, std::uint32_t version, const std::string& what)
{
    constexpr auto present = schema<T>::version;
    static_assert(present >= 1, "the first version of a pawl::schema is 1");
    static_assert(present == 1 || upgradable<T>,
                  "a pawl::schema above version 1 has static void upgrade(std::uint32_t from, "
                  "boost::json::value& document)");
    if (version > present || version < 1)
        refuse_newer(what, version, present);
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
