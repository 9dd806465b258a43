#include "http/target.hpp"

#include "http/authority.hpp"
#include "http/text.hpp"

#include <utility>

namespace pawl::http::detail {

std::vector<std::string_view> split_path(std::string_view path)
{
    std::vector<std::string_view> parts;
    path.remove_prefix(1);
    for (;;) {
        const auto slash = path.find('/');
        parts.push_back(path.substr(0, slash));
        if (slash == path.npos)
            return parts;
        path.remove_prefix(slash + 1);
    }
}

namespace {

/// Cuts "http://HOST" off the front of `text`. Empty for the origin form, and for what is neither.
std::string_view take_authority(std::string_view& text)
{
    const auto scheme_end = text.find("://");
    if (text.starts_with('/') || scheme_end == text.npos)
        return {};
    const auto scheme = text.substr(0, scheme_end);
    if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https"))
        return {};
    const auto rest = text.substr(scheme_end + 3);
    const auto authority = rest.substr(0, rest.find_first_of("/?#"));
    // User information would be taken for a host by somebody: RFC 9110, section 4.2.4.
    if (!is_authority(authority))
        return {};
    text = rest.substr(authority.size());
    return authority;
}

} // namespace

std::optional<target> parse_target(std::string_view text)
{
    const auto authority = take_authority(text);
    std::string with_path;
    if (!authority.empty() && !text.starts_with('/')) {
        with_path.append("/").append(text); // RFC 9112, section 3.2.1: an empty path is "/"
        text = with_path;
    }
    if (!text.starts_with('/') || text.find('#') != text.npos)
        return std::nullopt;
    const auto question = text.find('?');
    const auto path = text.substr(0, question);

    target out;
    out.authority = authority;
    auto decoded_path = percent_decode(path);
    if (!decoded_path)
        return std::nullopt;
    out.path = std::move(*decoded_path);

    // Right as a whole means right in its parts: a slash stands neither in an escape nor within a
    // UTF-8 sequence.
    for (const auto part : split_path(path))
        out.segments.push_back(percent_decode(part).value());
    if (question != text.npos) {
        auto query = parse_query(text.substr(question + 1), out.repeated);
        if (!query)
            return std::nullopt;
        out.query = std::move(*query);
    }
    return out;
}

} // namespace pawl::http::detail
