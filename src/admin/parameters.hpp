#pragma once

#include "pawl/attribute_value.hpp"
#include "pawl/http/message.hpp"
#include "pawl/time.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Reads the parts of a request. All functions throw refusal, with status 400 for a query or path
/// and 422 for a body; the text names the parameter, its value and what it must be.
namespace pawl::admin::detail {

/// Refuses a query with another parameter than these.
void allow_parameters(const http::request& message, std::initializer_list<std::string_view> names);

/// The value of a parameter; "" if it is absent.
std::string text_parameter(const http::request& message, std::string_view name);

std::uint64_t number_parameter(const http::request& message, std::string_view name,
                               std::uint64_t otherwise, std::uint64_t lowest,
                               std::uint64_t highest);

/// "true" or "false"; false if it is absent.
bool flag_parameter(const http::request& message, std::string_view name);

std::optional<time_point> time_parameter(const http::request& message, std::string_view name);

/// The parts of a value between commas; empty if the parameter is absent.
std::optional<std::vector<std::string>> list_parameter(const http::request& message,
                                                       std::string_view name);

/// "NAME=VALUE", several separated by commas. A value is a text, or "integer:5", "boolean:true",
/// "time:2027-01-31T00:00:00Z".
std::vector<attribute_filter> attributes_parameter(const http::request& message,
                                                   std::string_view name);

/// Reads a time in RFC 3339.
std::optional<time_point> parse_time(std::string_view text);

/// The members of a body: a JSON object. An empty body has none.
class body_reader {
public:
    explicit body_reader(const http::request& message);

    /// The text of a member; "" if it is absent.
    std::string text(std::string_view name);

    /// The JSON text of a member of any type; empty if it is absent.
    std::optional<std::string> document(std::string_view name);

    /// A number, as a number or as a text.
    std::optional<std::uint64_t> number(std::string_view name);

    bool flag(std::string_view name);

    /// Refuses members that were not read.
    void finish() const;

private:
    const boost::json::value* find(std::string_view name);

    boost::json::object members_;
    std::vector<std::string> read_;
};

} // namespace pawl::admin::detail
