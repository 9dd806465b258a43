// How Boost.Test prints Pawl's types, so that a failing assertion shows both of its values.
#pragma once

#include "pawl/error.hpp"
#include "pawl/record_store.hpp"
#include "pawl/run_id.hpp"

#include <boost/describe/enum.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <optional>
#include <ostream>
#include <string>
#include <type_traits>

namespace pawl {

BOOST_DESCRIBE_ENUM(apply_status, accepted, conflict, fenced, not_found, duplicate, already_running,
                    already_ran, finished, inbox_full)
BOOST_DESCRIBE_ENUM(message_outcome, pending, handled, rejected, failed, expired)
BOOST_DESCRIBE_ENUM(pause_kind, none, by_request, by_error)

} // namespace pawl

namespace boost::test_tools::tt_detail {

/// By name where the enumerators are described, or have a to_string() or an operator<<; else as a
/// number.
template <class T>
    requires std::is_enum_v<T>
struct print_log_value<T> {
    void operator()(std::ostream& out, T value)
    {
        if constexpr (std::is_same_v<T, pawl::errc>)
            out << '"' << make_error_code(value).message() << '"';
        else if constexpr (boost::describe::has_describe_enumerators<T>::value)
            out << boost::describe::enum_to_string(value, "unknown enumerator");
        else if constexpr (requires { out << to_string(value); })
            out << to_string(value);
        else if constexpr (requires { out << value; })
            out << value;
        else
            out << static_cast<long long>(value);
    }
};

template <>
struct print_log_value<pawl::error_code> {
    void operator()(std::ostream& out, const pawl::error_code& value)
    {
        out << '"' << value.message() << '"';
    }
};

template <>
struct print_log_value<pawl::run_id> {
    void operator()(std::ostream& out, const pawl::run_id& value) { out << to_string(value); }
};

template <>
struct print_log_value<std::nullopt_t> {
    void operator()(std::ostream& out, std::nullopt_t) { out << "nothing"; }
};

template <class Number, class Period>
struct print_log_value<std::chrono::duration<Number, Period>> {
    void operator()(std::ostream& out, const std::chrono::duration<Number, Period>& value)
    {
        out << std::chrono::duration<double>{value}.count() << " s";
    }
};

template <class Clock, class Span>
struct print_log_value<std::chrono::time_point<Clock, Span>> {
    void operator()(std::ostream& out, const std::chrono::time_point<Clock, Span>& value)
    {
        print_log_value<Span>{}(out, value.time_since_epoch());
    }
};

template <class T>
struct print_log_value<std::optional<T>> {
    void operator()(std::ostream& out, const std::optional<T>& value)
    {
        if (value)
            print_log_value<T>{}(out, *value);
        else
            out << "nothing";
    }
};

} // namespace boost::test_tools::tt_detail
