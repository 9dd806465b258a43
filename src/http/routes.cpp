#include "http/routes.hpp"

#include "http/target.hpp"
#include "http/text.hpp"
#include "pawl/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pawl::http::detail {
namespace {

std::string join_path(std::span<const std::string> segments)
{
    std::string out = segments.front();
    for (const auto& segment : segments.subspan(1))
        out.append("/").append(segment);
    return out;
}

} // namespace

route_table::route_table(std::vector<route> routes)
{
    for (auto& added : routes)
        add(std::move(added));
    std::ranges::sort(resources_, &route_table::tried_before);
}

void route_table::add(route added)
{
    const auto refuse = [&added](std::string_view why) {
        throw definition_error(fmt::format("route {} {}: {}", added.method, added.pattern, why));
    };
    if (!is_token(added.method))
        refuse("the method is not an HTTP method");
    if (!added.answer)
        refuse("it has no handler");
    if (!added.pattern.starts_with('/'))
        refuse("the pattern must begin with '/'");
    if (added.pattern.find_first_of("?#%") != added.pattern.npos)
        refuse("the pattern is a decoded path, without '?', '#' and '%'");

    resource place;
    place.pattern = added.pattern;
    method_answer answer{
        .method = added.method, .names = {}, .answer = added.answer, .gate = nullptr};
    if (added.max_requests > 0)
        answer.gate = std::make_unique<route_gate>(added.max_requests);
    for (const auto part : split_path(added.pattern)) {
        if (!place.segments.empty() && place.segments.back().kind == segment_kind::tail)
            refuse("a capture {name...} must be the last segment");
        if (part.find_first_of("{}") == part.npos) {
            place.segments.push_back({.kind = segment_kind::literal, .text = std::string(part)});
            continue;
        }
        auto name = part.size() > 2 ? part.substr(1, part.size() - 2) : std::string_view{};
        const bool is_tail = name.ends_with("...");
        if (is_tail)
            name.remove_suffix(3);
        if (name.empty() || !part.starts_with('{') || !part.ends_with('}') ||
            name.find_first_of("{}") != name.npos)
            refuse("a capture is a whole segment, {name}");
        if (std::ranges::find(answer.names, name) != answer.names.end())
            refuse("two captures have the same name");
        answer.names.emplace_back(name);
        place.segments.push_back(
            {.kind = is_tail ? segment_kind::tail : segment_kind::capture, .text = {}});
    }

    auto same = std::ranges::find(resources_, place.segments, &resource::segments);
    if (same == resources_.end())
        same = resources_.insert(same, std::move(place));
    if (std::ranges::find(same->methods, answer.method, &method_answer::method) !=
        same->methods.end())
        refuse("it is there already");
    same->methods.push_back(std::move(answer));
}

bool route_table::tried_before(const resource& a, const resource& b)
{
    return std::ranges::lexicographical_compare(a.segments, b.segments, {}, &segment::kind,
                                                &segment::kind);
}

bool route_table::matches(const resource& candidate, std::span<const std::string> segments)
{
    std::span<const segment> wanted(candidate.segments);
    if (wanted.back().kind == segment_kind::tail) {
        wanted = wanted.first(wanted.size() - 1);
        if (segments.size() <= wanted.size())
            return false;
        segments = segments.first(wanted.size());
    }
    return std::ranges::equal(wanted, segments, [](const segment& want, const std::string& have) {
        return want.kind == segment_kind::capture ? !have.empty() : want.text == have;
    });
}

route_match route_table::find(std::string_view method, std::span<const std::string> segments) const
{
    route_match found;
    const auto at = std::ranges::find_if(
        resources_, [&](const resource& candidate) { return matches(candidate, segments); });
    if (at == resources_.end())
        return found;

    found.pattern = at->pattern;
    auto answer = std::ranges::find(at->methods, method, &method_answer::method);
    if (answer == at->methods.end() && method == "HEAD")
        answer = std::ranges::find(at->methods, "GET", &method_answer::method);
    if (answer == at->methods.end()) {
        const auto allow = [&found](std::string_view name) {
            if (!found.allow.empty())
                found.allow += ", ";
            found.allow += name;
        };
        bool has_head = false;
        for (const auto& known : at->methods)
            has_head = has_head || known.method == "HEAD";
        for (const auto& known : at->methods) {
            allow(known.method);
            if (known.method == "GET" && !has_head)
                allow("HEAD");
        }
        return found;
    }

    found.answer = &answer->answer;
    found.gate = answer->gate.get();
    auto name = answer->names.begin();
    for (std::size_t i = 0; i < at->segments.size(); ++i) {
        const auto kind = at->segments[i].kind;
        if (kind == segment_kind::capture)
            found.captures.emplace(*name++, segments[i]);
        else if (kind == segment_kind::tail)
            found.captures.emplace(*name++, join_path(segments.subspan(i)));
    }
    return found;
}

} // namespace pawl::http::detail
