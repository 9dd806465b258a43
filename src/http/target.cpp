#include "http/target.hpp"

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

std::optional<target> parse_target(std::string_view text)
{
    if (!text.starts_with('/') || text.find('#') != text.npos)
        return std::nullopt;
    const auto question = text.find('?');
    const auto path = text.substr(0, question);

    target out;
    auto decoded_path = percent_decode(path);
    if (!decoded_path)
        return std::nullopt;
    out.path = std::move(*decoded_path);

    // Right as a whole means right in its parts: a slash stands neither in an escape nor within a
    // UTF-8 sequence.
    for (const auto part : split_path(path))
        out.segments.push_back(percent_decode(part).value());
    if (question != text.npos) {
        auto query = parse_query(text.substr(question + 1));
        if (!query)
            return std::nullopt;
        out.query = std::move(*query);
    }
    return out;
}

} // namespace pawl::http::detail
