#pragma once

#include <cstddef>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::http::detail {

/// Undoes percent-encoding. Empty when an escape is incomplete or not hexadecimal, or when the
/// result holds a NUL or is not UTF-8: what comes out may go into JSON and into logs.
std::optional<std::string> percent_decode(std::string_view text);

/// Reads "a=1&b=2". A name alone has the value "", and a '+' is a space, as forms and
/// URLSearchParams write it. Empty when a name or value cannot be decoded. The first name that is
/// given again is written to `repeated`.
std::optional<std::map<std::string, std::string, std::less<>>> parse_query(std::string_view text,
                                                                           std::string& repeated);

bool is_utf8(std::string_view text) noexcept;

/// Whether `text` is a token of RFC 9110, section 5.6.2: what a method or a header's name must be.
bool is_token(std::string_view text) noexcept;

/// Whether `text` may be sent as a header's value: no control characters but the tab.
bool is_field_value(std::string_view text) noexcept;

/// ASCII only, as HTTP compares names.
std::string to_lower(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// "OK" for 200; "Unknown" for a status that has no name.
std::string_view reason_phrase(int status) noexcept;

/// "Sun, 06 Nov 1994 08:49:37 GMT": RFC 9110, section 5.6.7.
std::string http_date(std::time_t at);

} // namespace pawl::http::detail
