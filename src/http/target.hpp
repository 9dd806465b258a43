#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::http::detail {

/// A request's target, taken apart.
struct target {
    std::string path; ///< decoded

    /// Between the slashes, split before decoding, so that an encoded slash stays inside its
    /// segment. "/a/" has the segments "a" and "".
    std::vector<std::string> segments;

    std::map<std::string, std::string, std::less<>> query;

    /// The first name that the query gives again; empty when there is none.
    std::string repeated;

    /// HOST or HOST:PORT of the absolute form; empty for the origin form.
    std::string authority;
};

/// Reads the origin form, "/PATH?QUERY", and the absolute form, "http://HOST/PATH?QUERY". Empty
/// when `text` is neither, or cannot be decoded, or has a fragment.
std::optional<target> parse_target(std::string_view text);

/// The parts of `path` between slashes; `path` begins with one.
std::vector<std::string_view> split_path(std::string_view path);

} // namespace pawl::http::detail
