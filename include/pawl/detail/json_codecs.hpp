#pragma once

#include "pawl/codec.hpp"
#include "pawl/detail/json_io.hpp"

#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

/// The codecs that pawl/codec.hpp promises; it includes this file.
namespace pawl {

template <>
struct json_codec<bool> {
    static void write(bool from, std::string& out) { out += from ? "true" : "false"; }
    static void read(const boost::json::value& from, bool& to, const json_path& at)
    {
        to = detail::read_bool(from, at);
    }
};

namespace detail {

template <class T, class... Others>
concept none_of = (!std::same_as<T, Others> && ...);

template <class T>
concept number_type =
    std::integral<T> && sizeof(T) <= 8 &&
    none_of<std::remove_cv_t<T>, bool, char, wchar_t, char8_t, char16_t, char32_t>;

} // namespace detail

template <detail::number_type T>
struct json_codec<T> {
    static void write(T from, std::string& out)
    {
        if constexpr (std::is_signed_v<T>)
            detail::write_signed(from, out);
        else
            detail::write_unsigned(from, out);
    }

    static void read(const boost::json::value& from, T& to, const json_path& at)
    {
        using limits = std::numeric_limits<T>;
        if constexpr (std::is_signed_v<T>)
            to = static_cast<T>(detail::read_signed(from, limits::min(), limits::max(), at));
        else
            to = static_cast<T>(detail::read_unsigned(from, limits::max(), at));
    }
};

template <>
struct json_codec<double> {
    static void write(double from, std::string& out) { detail::write_number(from, out); }
    static void read(const boost::json::value& from, double& to, const json_path& at)
    {
        to = detail::read_number(from, std::numeric_limits<double>::max(), at);
    }
};

template <>
struct json_codec<float> {
    static void write(float from, std::string& out) { detail::write_number(from, out); }
    static void read(const boost::json::value& from, float& to, const json_path& at)
    {
        to = static_cast<float>(detail::read_number(from, std::numeric_limits<float>::max(), at));
    }
};

template <>
struct json_codec<std::string> {
    static void write(const std::string& from, std::string& out) { detail::write_text(from, out); }
    static void read(const boost::json::value& from, std::string& to, const json_path& at)
    {
        to = detail::read_text(from, at);
    }
};

template <>
struct json_codec<boost::json::value> {
    static void write(const boost::json::value& from, std::string& out)
    {
        detail::write_value(from, out);
    }
    static void read(const boost::json::value& from, boost::json::value& to, const json_path& at)
    {
        detail::check_value(from, at);
        to = from;
    }
};

template <json_codable T>
struct json_codec<std::optional<T>> {
    static void write(const std::optional<T>& from, std::string& out)
    {
        if (from)
            json_codec<T>::write(*from, out);
        else
            out += "null";
    }

    static void read(const boost::json::value& from, std::optional<T>& to, const json_path& at)
    {
        if (from.is_null())
            to.reset();
        else
            json_codec<T>::read(from, to.emplace(), at);
    }
};

template <class Duration>
    requires std::integral<typename Duration::rep>
struct json_codec<std::chrono::sys_time<Duration>> {
    using type = std::chrono::sys_time<Duration>;
    using seconds = std::chrono::seconds;
    using real_seconds = std::chrono::duration<double>; ///< for comparisons that cannot overflow

    static void write(const type& from, std::string& out)
    {
        const auto since = from.time_since_epoch();
        if (abs(real_seconds{since}) > real_seconds{1e12})
            return detail::write_time({seconds::max(), {}}, out); // refuses it
        auto whole = std::chrono::duration_cast<seconds>(since);
        auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(since - whole);
        if (rest < rest.zero()) {
            whole -= seconds{1};
            rest += seconds{1};
        }
        detail::write_time({whole, rest}, out);
    }

    static void read(const boost::json::value& from, type& to, const json_path& at)
    {
        const auto time = detail::read_time(from, at);
        if (real_seconds{time.seconds} < real_seconds{Duration::min()} ||
            real_seconds{time.seconds} + seconds{1} > real_seconds{Duration::max()})
            throw decode_error{at, "this time is out of the range of its type"};
        if constexpr (std::ratio_less_v<typename Duration::period, std::ratio<1>>)
            to = type{std::chrono::duration_cast<Duration>(time.seconds) +
                      std::chrono::duration_cast<Duration>(time.rest)};
        else
            to = std::chrono::floor<Duration>(std::chrono::sys_seconds{time.seconds});
    }
};

template <std::signed_integral Rep, class Period>
struct json_codec<std::chrono::duration<Rep, Period>> {
    using type = std::chrono::duration<Rep, Period>;
    using exact = std::ratio_divide<Period, std::micro>; ///< microseconds per tick

    static void write(const type& from, std::string& out)
    {
        detail::write_signed(detail::scale(from.count(), exact::num, exact::den), out);
    }

    static void read(const boost::json::value& from, type& to, const json_path& at)
    {
        using limits = std::numeric_limits<Rep>;
        to = type{static_cast<Rep>(
            detail::read_scaled(from, exact::den, exact::num, limits::min(), limits::max(), at))};
    }
};

namespace detail {

template <class Container>
struct list_codec {
    using item = typename Container::value_type;

    static void write(const Container& from, std::string& out)
    {
        const write_level level;
        out += '[';
        std::size_t index = 0;
        try {
            for (const item& each : from) {
                json_codec<item>::write(each, out);
                out += ',';
                ++index;
            }
        } catch (const encode_error& failure) {
            throw encode_error{failure, index};
        }
        close_list(']', out);
    }
};

template <class Map>
struct map_codec {
    using item = typename Map::mapped_type;

    static void write(const Map& from, std::string& out)
    {
        const write_level level;
        out += '{';
        for (const auto& [name, each] : from) {
            try {
                write_text(name, out);
                out += ':';
                json_codec<item>::write(each, out);
                out += ',';
            } catch (const encode_error& failure) {
                throw encode_error{failure, name};
            }
        }
        close_list('}', out);
    }

    static void read(const boost::json::value& from, Map& to, const json_path& at)
    {
        to.clear();
        for (const auto& pair : read_object(from, at)) {
            const std::string_view name{pair.key().data(), pair.key().size()};
            const json_path here{at, name};
            json_codec<item>::read(pair.value(), to[std::string{name}], here);
        }
    }
};

} // namespace detail

template <json_codable T, class Allocator>
struct json_codec<std::vector<T, Allocator>> : detail::list_codec<std::vector<T, Allocator>> {
    static void read(const boost::json::value& from, std::vector<T, Allocator>& to,
                     const json_path& at)
    {
        const auto& list = detail::read_array(from, at);
        to.clear();
        to.reserve(list.size());
        for (const auto& each : list) {
            const json_path here{at, to.size()};
            T value{};
            json_codec<T>::read(each, value, here);
            to.push_back(std::move(value));
        }
    }
};

template <json_codable T, std::size_t Size>
struct json_codec<std::array<T, Size>> : detail::list_codec<std::array<T, Size>> {
    static void read(const boost::json::value& from, std::array<T, Size>& to, const json_path& at)
    {
        const auto& list = detail::read_array_of(Size, from, at);
        for (std::size_t i = 0; i < Size; ++i) {
            const json_path here{at, i};
            json_codec<T>::read(list[i], to[i], here);
        }
    }
};

template <json_codable T, class... Rest>
struct json_codec<std::map<std::string, T, Rest...>>
    : detail::map_codec<std::map<std::string, T, Rest...>> {};

template <json_codable T, class... Rest>
struct json_codec<std::unordered_map<std::string, T, Rest...>>
    : detail::map_codec<std::unordered_map<std::string, T, Rest...>> {};

template <class T>
    requires std::is_enum_v<T>
struct json_codec<T> {
    using number = std::underlying_type_t<T>;

    static void write(T from, std::string& out)
    {
        if constexpr (boost::describe::has_describe_enumerators<T>::value) {
            const char* name = nullptr;
            boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto each) {
                if (each.value == from)
                    name = each.name;
            });
            if (!name)
                throw encode_error{"the enum's value " + std::to_string(static_cast<number>(from)) +
                                   " has no name"};
            detail::write_text(name, out);
        } else {
            json_codec<number>::write(static_cast<number>(from), out);
        }
    }

    static void read(const boost::json::value& from, T& to, const json_path& at)
    {
        if constexpr (boost::describe::has_describe_enumerators<T>::value) {
            const auto text = detail::read_text(from, at);
            bool found = false;
            boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto each) {
                if (!found && text == each.name) {
                    to = each.value;
                    found = true;
                }
            });
            if (!found)
                refuse(text, at);
        } else {
            number value{};
            json_codec<number>::read(from, value, at);
            to = static_cast<T>(value);
        }
    }

private:
    [[noreturn]] static void refuse(std::string_view text, const json_path& at)
    {
        std::vector<std::string_view> names;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
            [&](auto each) { names.push_back(each.name); });
        detail::refuse_name(text, names, at);
    }
};

namespace detail {

template <class T>
using stored_members = boost::describe::describe_members<T, boost::describe::mod_any_access |
                                                                boost::describe::mod_inherited>;

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// Refuses or notes the members of a document that the type does not have.
template <class T>
void report_unknown(const boost::json::object& object, const json_path& at, json_reading reading)
{
    for (const auto& pair : object) {
        const std::string_view name{pair.key().data(), pair.key().size()};
        bool known = false;
        boost::mp11::mp_for_each<stored_members<T>>(
            [&](auto member) { known = known || name == member.name; });
        if (known)
            continue;
        const json_path here{at, name, reading};
        if (reading == json_reading::strict)
            refuse_unknown(here);
        here.note_ignored();
    }
}

template <class T>
constexpr bool is_required(std::string_view name)
{
    for (const std::string_view required : schema<T>::required)
        if (name == required)
            return true;
    return false;
}

template <class T>
consteval bool requires_what_it_has()
{
    for (const std::string_view required : schema<T>::required) {
        bool known = false;
        boost::mp11::mp_for_each<stored_members<T>>(
            [&](auto member) { known = known || required == member.name; });
        if (!known)
            return false;
    }
    return true;
}

template <class T>
void check_member_type()
{
    static_assert(json_codable<T>,
                  "Pawl has no codec for the type of a described member: describe it too, or "
                  "specialise pawl::json_codec");
}

} // namespace detail

template <class T>
    requires(std::is_class_v<T> && boost::describe::has_describe_members<T>::value)
struct json_codec<T> {
    static void write(const T& from, std::string& out)
    {
        const detail::write_level level;
        out += '{';
        const char* name = "";
        try {
            boost::mp11::mp_for_each<detail::stored_members<T>>([&](auto member) {
                using type = std::remove_cvref_t<decltype(from.*member.pointer)>;
                detail::check_member_type<type>();
                name = member.name;
                const type& value = from.*member.pointer;
                if constexpr (detail::is_optional<type>)
                    if (!value)
                        return;
                detail::write_name(member.name, out);
                json_codec<type>::write(value, out);
                out += ',';
            });
        } catch (const encode_error& failure) {
            throw encode_error{failure, std::string_view{name}};
        }
        detail::close_list('}', out);
    }

    static void read(const boost::json::value& from, T& to, const json_path& at)
    {
        static_assert(detail::requires_what_it_has<T>(),
                      "pawl::schema<T>::required names a member that is not described");
        const auto& object = detail::read_object(from, at);
        const auto reading = detail::reading_of<T>(at.reading());
        std::size_t known = 0;
        boost::mp11::mp_for_each<detail::stored_members<T>>([&](auto member) {
            using type = std::remove_cvref_t<decltype(to.*member.pointer)>;
            detail::check_member_type<type>();
            const json_path here{at, std::string_view{member.name}, reading};
            if (const auto* found = object.if_contains(member.name)) {
                json_codec<type>::read(*found, to.*member.pointer, here);
                ++known;
                return;
            }
            if (detail::is_required<T>(member.name) ||
                (reading == json_reading::strict && !detail::is_optional<type>))
                detail::refuse_missing(here);
            if constexpr (detail::is_optional<type>)
                (to.*member.pointer).reset();
        });
        if (known < object.size() && (reading == json_reading::strict || at.notes_ignored()))
            detail::report_unknown<T>(object, at, reading);
    }
};

} // namespace pawl
