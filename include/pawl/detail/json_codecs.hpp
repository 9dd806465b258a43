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

/// The codecs that pawl/codec.hpp documents; it includes this file.
namespace pawl {

template <>
struct json_codec<bool> {
    static void write(bool value, std::string& out) { out += value ? "true" : "false"; }
    static void read(const boost::json::value& json, bool& target, const json_path& path)
    {
        target = detail::read_bool(json, path);
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
    static void write(T value, std::string& out)
    {
        if constexpr (std::is_signed_v<T>)
            detail::write_signed(value, out);
        else
            detail::write_unsigned(value, out);
    }

    static void read(const boost::json::value& json, T& target, const json_path& path)
    {
        using limits = std::numeric_limits<T>;
        if constexpr (std::is_signed_v<T>)
            target = static_cast<T>(detail::read_signed(json, limits::min(), limits::max(), path));
        else
            target = static_cast<T>(detail::read_unsigned(json, limits::max(), path));
    }
};

template <>
struct json_codec<double> {
    static void write(double value, std::string& out) { detail::write_number(value, out); }
    static void read(const boost::json::value& json, double& target, const json_path& path)
    {
        target = detail::read_number(json, std::numeric_limits<double>::max(), path);
    }
};

template <>
struct json_codec<float> {
    static void write(float value, std::string& out) { detail::write_number(value, out); }
    static void read(const boost::json::value& json, float& target, const json_path& path)
    {
        target =
            static_cast<float>(detail::read_number(json, std::numeric_limits<float>::max(), path));
    }
};

template <>
struct json_codec<std::string> {
    static void write(const std::string& value, std::string& out)
    {
        detail::write_text(value, out);
    }
    static void read(const boost::json::value& json, std::string& target, const json_path& path)
    {
        target = detail::read_text(json, path);
    }
};

template <>
struct json_codec<boost::json::value> {
    static void write(const boost::json::value& value, std::string& out)
    {
        detail::write_value(value, out);
    }
    static void read(const boost::json::value& json, boost::json::value& target,
                     const json_path& path)
    {
        detail::check_value(json, path);
        target = json;
    }
};

template <json_codable T>
struct json_codec<std::optional<T>> {
    static void write(const std::optional<T>& value, std::string& out)
    {
        if (value)
            json_codec<T>::write(*value, out);
        else
            out += "null";
    }

    static void read(const boost::json::value& json, std::optional<T>& target,
                     const json_path& path)
    {
        if (json.is_null())
            target.reset();
        else
            json_codec<T>::read(json, target.emplace(), path);
    }
};

template <class Duration>
    requires std::integral<typename Duration::rep>
struct json_codec<std::chrono::sys_time<Duration>> {
    using type = std::chrono::sys_time<Duration>;
    using seconds = std::chrono::seconds;
    using real_seconds = std::chrono::duration<double>; ///< for comparisons that cannot overflow

    static void write(const type& value, std::string& out)
    {
        const auto since = value.time_since_epoch();
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

    static void read(const boost::json::value& json, type& target, const json_path& path)
    {
        const auto time = detail::read_time(json, path);
        if (real_seconds{time.seconds} < real_seconds{Duration::min()} ||
            real_seconds{time.seconds} + seconds{1} > real_seconds{Duration::max()})
            throw decode_error{path, "this time is out of the range of its type"};
        if constexpr (std::ratio_less_v<typename Duration::period, std::ratio<1>>)
            target = type{std::chrono::duration_cast<Duration>(time.seconds) +
                          std::chrono::duration_cast<Duration>(time.rest)};
        else
            target = std::chrono::floor<Duration>(std::chrono::sys_seconds{time.seconds});
    }
};

template <std::signed_integral Rep, class Period>
struct json_codec<std::chrono::duration<Rep, Period>> {
    using type = std::chrono::duration<Rep, Period>;
    using exact = std::ratio_divide<Period, std::micro>; ///< microseconds per tick

    static void write(const type& value, std::string& out)
    {
        detail::write_signed(detail::scale(value.count(), exact::num, exact::den), out);
    }

    static void read(const boost::json::value& json, type& target, const json_path& path)
    {
        using limits = std::numeric_limits<Rep>;
        target = type{static_cast<Rep>(
            detail::read_scaled(json, exact::den, exact::num, limits::min(), limits::max(), path))};
    }
};

namespace detail {

template <class Container>
struct list_codec {
    using item = typename Container::value_type;

    static void write(const Container& value, std::string& out)
    {
        const write_level level;
        out += '[';
        std::size_t index = 0;
        try {
            for (const item& element : value) {
                json_codec<item>::write(element, out);
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

    static void write(const Map& value, std::string& out)
    {
        const write_level level;
        out += '{';
        for (const auto& [name, element] : value) {
            try {
                write_text(name, out);
                out += ':';
                json_codec<item>::write(element, out);
                out += ',';
            } catch (const encode_error& failure) {
                throw encode_error{failure, name};
            }
        }
        close_list('}', out);
    }

    static void read(const boost::json::value& json, Map& target, const json_path& path)
    {
        target.clear();
        for (const auto& pair : read_object(json, path)) {
            const std::string_view name{pair.key().data(), pair.key().size()};
            const json_path here{path, name};
            json_codec<item>::read(pair.value(), target[std::string{name}], here);
        }
    }
};

} // namespace detail

template <json_codable T, class Allocator>
struct json_codec<std::vector<T, Allocator>> : detail::list_codec<std::vector<T, Allocator>> {
    static void read(const boost::json::value& json, std::vector<T, Allocator>& target,
                     const json_path& path)
    {
        const auto& list = detail::read_array(json, path);
        target.clear();
        target.reserve(list.size());
        for (const auto& element : list) {
            const json_path here{path, target.size()};
            T value{};
            json_codec<T>::read(element, value, here);
            target.push_back(std::move(value));
        }
    }
};

template <json_codable T, std::size_t Size>
struct json_codec<std::array<T, Size>> : detail::list_codec<std::array<T, Size>> {
    static void read(const boost::json::value& json, std::array<T, Size>& target,
                     const json_path& path)
    {
        const auto& list = detail::read_array_of(Size, json, path);
        for (std::size_t i = 0; i < Size; ++i) {
            const json_path here{path, i};
            json_codec<T>::read(list[i], target[i], here);
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

    static void write(T value, std::string& out)
    {
        if constexpr (boost::describe::has_describe_enumerators<T>::value) {
            const char* name = nullptr;
            boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
                [&](auto enumerator) {
                    if (enumerator.value == value)
                        name = enumerator.name;
                });
            if (!name)
                throw encode_error{"the enum's value " +
                                   std::to_string(static_cast<number>(value)) + " has no name"};
            detail::write_text(name, out);
        } else {
            json_codec<number>::write(static_cast<number>(value), out);
        }
    }

    static void read(const boost::json::value& json, T& target, const json_path& path)
    {
        if constexpr (boost::describe::has_describe_enumerators<T>::value) {
            const auto text = detail::read_text(json, path);
            bool found = false;
            boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
                [&](auto enumerator) {
                    if (!found && text == enumerator.name) {
                        target = enumerator.value;
                        found = true;
                    }
                });
            if (!found)
                refuse(text, path);
        } else {
            number value{};
            json_codec<number>::read(json, value, path);
            target = static_cast<T>(value);
        }
    }

private:
    [[noreturn]] static void refuse(std::string_view text, const json_path& path)
    {
        std::vector<std::string_view> names;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
            [&](auto enumerator) { names.push_back(enumerator.name); });
        detail::refuse_name(text, names, path);
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
void report_unknown(const boost::json::object& object, const json_path& path, json_reading reading)
{
    for (const auto& pair : object) {
        const std::string_view name{pair.key().data(), pair.key().size()};
        bool known = false;
        boost::mp11::mp_for_each<stored_members<T>>(
            [&](auto member) { known = known || name == member.name; });
        if (known)
            continue;
        const json_path here{path, name, reading};
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
    static void write(const T& value, std::string& out)
    {
        const detail::write_level level;
        out += '{';
        const char* name = "";
        try {
            boost::mp11::mp_for_each<detail::stored_members<T>>([&](auto member) {
                using type = std::remove_cvref_t<decltype(value.*member.pointer)>;
                detail::check_member_type<type>();
                name = member.name;
                const type& member_value = value.*member.pointer;
                if constexpr (detail::is_optional<type>)
                    if (!member_value)
                        return;
                detail::write_name(member.name, out);
                json_codec<type>::write(member_value, out);
                out += ',';
            });
        } catch (const encode_error& failure) {
            throw encode_error{failure, std::string_view{name}};
        }
        detail::close_list('}', out);
    }

    static void read(const boost::json::value& json, T& target, const json_path& path)
    {
        static_assert(detail::requires_what_it_has<T>(),
                      "pawl::schema<T>::required names a member that is not described");
        const auto& object = detail::read_object(json, path);
        const auto reading = detail::reading_of<T>(path.reading());
        std::size_t known = 0;
        boost::mp11::mp_for_each<detail::stored_members<T>>([&](auto member) {
            using type = std::remove_cvref_t<decltype(target.*member.pointer)>;
            detail::check_member_type<type>();
            const json_path here{path, std::string_view{member.name}, reading};
            if (const auto* found = object.if_contains(member.name)) {
                json_codec<type>::read(*found, target.*member.pointer, here);
                ++known;
                return;
            }
            if (detail::is_required<T>(member.name) ||
                (reading == json_reading::strict && !detail::is_optional<type>))
                detail::refuse_missing(here);
            if constexpr (detail::is_optional<type>)
                (target.*member.pointer).reset();
        });
        if (known < object.size() && (reading == json_reading::strict || path.notes_ignored()))
            detail::report_unknown<T>(object, path, reading);
    }
};

} // namespace pawl
