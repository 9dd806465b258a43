// Checks of a conformance suite: a failure names the member that differs, its expected and its
// actual value.
#pragma once

#include "pawl/record_store.hpp"

#include <boost/describe.hpp>
#include <boost/mp11/algorithm.hpp>

#include <fmt/format.h>

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace pawl {

BOOST_DESCRIBE_ENUM(apply_status, accepted, duplicate, conflict, already_running, already_ran,
                    finished, fenced, not_found, inbox_full)
BOOST_DESCRIBE_ENUM(message_kind, callback, pause, resume, cancel, delete_data)
BOOST_DESCRIBE_ENUM(message_outcome, pending, handled, rejected, failed, expired)
BOOST_DESCRIBE_ENUM(pause_kind, none, by_error, by_request)

BOOST_DESCRIBE_STRUCT(deadline, (), (timeout, at, attempt, round))
BOOST_DESCRIBE_STRUCT(callback_retry, (), (message, attempt, not_before))
BOOST_DESCRIBE_STRUCT(effect, (), (name, value, for_run, version, handler))
BOOST_DESCRIBE_STRUCT(stored_attribute, (), (name, value))
BOOST_DESCRIBE_STRUCT(record, (),
                      (id, workflow, foreign_id, version, state, status, visit, entered_at, attempt,
                       step_done, round, not_before, deadlines, effects, callback_retries,
                       suspicion, wake_at, object, object_version, attributes, last_error, reason,
                       requested_by, pause, auto_resumes, resume_at, start_key, trace_parent,
                       created_at, updated_at, inbox_last, inbox_pending))
BOOST_DESCRIBE_STRUCT(event, (),
                      (shard, sequence, kind, run, workflow, foreign_id, version, from, to, state,
                       attempt, error, requested_by, at))
BOOST_DESCRIBE_STRUCT(message, (),
                      (run, sequence, kind, name, payload, payload_version, key, requested_by,
                       sent_at, expires_at))
BOOST_DESCRIBE_STRUCT(settlement, (), (sequence, outcome, detail))
BOOST_DESCRIBE_STRUCT(due_position, (), (at, id))
BOOST_DESCRIBE_STRUCT(lease, (), (shard, epoch, owner, until))
BOOST_DESCRIBE_STRUCT(role_lease, (), (role, epoch, owner, until))
BOOST_DESCRIBE_STRUCT(stream_event, (),
                      (id, key, type, headers, payload, trace_parent, at, position))

} // namespace pawl

namespace pawl::testing {

[[noreturn]] void fail(const std::string& text);
void expect(bool condition, std::string_view violation);

template <class T>
concept described_struct = boost::describe::has_describe_members<T>::value;

// The text of a value in a failure. Long and binary strings are abbreviated.
std::string text_of(std::string_view value);
std::string text_of(time_point value);
template <class... Values>
std::string text_of(const std::variant<Values...>& value);

template <class T>
    requires std::is_arithmetic_v<T>
std::string text_of(T value)
{
    return fmt::format("{}", value);
}

template <class T>
    requires requires(const T& value) {
        { to_string(value) } -> std::convertible_to<std::string>;
    }
std::string text_of(const T& value)
{
    return to_string(value);
}

template <class T>
    requires boost::describe::has_describe_enumerators<T>::value
std::string text_of(T value)
{
    return boost::describe::enum_to_string(value, "unknown value");
}

template <class T>
std::string text_of(const std::optional<T>& value);
template <class T>
std::string text_of(const std::vector<T>& values);
template <class K, class V>
std::string text_of(const std::map<K, V>& values);

template <described_struct T>
std::string text_of(const T& value)
{
    std::string text;
    boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>(
        [&](auto member) {
            text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", member.name,
                                text_of(value.*member.pointer));
        });
    return "{" + text + "}";
}

template <class... Values>
std::string text_of(const std::variant<Values...>& value)
{
    return std::visit([](const auto& known) { return text_of(known); }, value);
}

template <class T>
std::string text_of(const std::optional<T>& value)
{
    return value ? text_of(*value) : "nothing";
}

template <class T>
std::string text_of(const std::vector<T>& values)
{
    std::string text;
    for (const T& value : values)
        text += (text.empty() ? "" : ", ") + text_of(value);
    return "[" + text + "]";
}

template <class K, class V>
std::string text_of(const std::map<K, V>& values)
{
    std::string text;
    for (const auto& [key, value] : values)
        text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", text_of(key), text_of(value));
    return "{" + text + "}";
}

template <class Actual, class Expected>
[[noreturn]] void fail_unequal(const Actual& actual, const Expected& expected,
                               std::string_view subject)
{
    fail(fmt::format("{}: expected {}, got {}", subject, text_of(expected), text_of(actual)));
}

// These fail unless the values are equal. Structs, vectors and optionals are compared member by
// member, so that the failure names the member.
template <class Actual, class Expected>
void expect_equal(const Actual& actual, const Expected& expected, std::string_view subject);
template <described_struct T>
void expect_equal(const T& actual, const T& expected, std::string_view subject);
template <class T>
void expect_equal(const std::vector<T>& actual, const std::vector<T>& expected,
                  std::string_view subject);
template <class T>
void expect_equal(const std::optional<T>& actual, const std::optional<T>& expected,
                  std::string_view subject);

template <class Actual, class Expected>
void expect_equal(const Actual& actual, const Expected& expected, std::string_view subject)
{
    bool is_equal = false;
    if constexpr (std::integral<Actual> && std::integral<Expected> &&
                  !std::same_as<Actual, Expected>)
        is_equal = std::cmp_equal(actual, expected);
    else
        is_equal = actual == expected;
    if (!is_equal)
        fail_unequal(actual, expected, subject);
}

template <described_struct T>
void expect_equal(const T& actual, const T& expected, std::string_view subject)
{
    if (actual == expected)
        return;
    boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>(
        [&](auto member) {
            expect_equal(actual.*member.pointer, expected.*member.pointer,
                         fmt::format("{}: {}", subject, member.name));
        });
    fail_unequal(actual, expected, subject); // in a member that is not described above
}

template <class T>
void expect_equal(const std::vector<T>& actual, const std::vector<T>& expected,
                  std::string_view subject)
{
    for (std::size_t i = 0; i < actual.size() && i < expected.size(); ++i)
        expect_equal(actual[i], expected[i], fmt::format("{}: element {}", subject, i));
    if (actual.size() != expected.size())
        fail_unequal(actual, expected, subject);
}

template <class T>
void expect_equal(const std::optional<T>& actual, const std::optional<T>& expected,
                  std::string_view subject)
{
    if (actual && expected)
        expect_equal(*actual, *expected, subject);
    else if (actual.has_value() != expected.has_value())
        fail_unequal(actual, expected, subject);
}

/// Fails unless `actual` is greater than `bound`.
template <class T>
void expect_greater(const T& actual, const T& bound, std::string_view subject)
{
    if (!(actual > bound))
        fail(fmt::format("{}: expected more than {}, got {}", subject, text_of(bound),
                         text_of(actual)));
}

// These fail unless there is no value.
template <class T>
void expect_none(const std::optional<T>& actual, std::string_view subject)
{
    if (actual)
        fail(fmt::format("{}: expected nothing, got {}", subject, text_of(*actual)));
}

template <class T>
void expect_none(const std::vector<T>& actual, std::string_view subject)
{
    if (!actual.empty())
        fail(fmt::format("{}: expected nothing, got {}", subject, text_of(actual)));
}

} // namespace pawl::testing
