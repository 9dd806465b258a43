// The escapes of JSON and of diagrams: any text is written so that a reader gets it back, or is
// refused; and no name of a workflow or a status breaks out of its line of a diagram.
#include "fuzz/fuzz.hpp"
#include "pawl/codec.hpp"
#include "pawl/diagram.hpp"
#include "pawl/error.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>
#include <string>

namespace {

void check_json(std::string_view text)
{
    std::string written;
    try {
        pawl::detail::write_text(text, written);
    } catch (const pawl::encode_error&) {
        return; // not UTF-8
    }
    boost::system::error_code failure;
    const auto read = boost::json::parse(written, failure);
    fuzz::require(!failure && read.is_string(), "what is written is JSON");
    fuzz::require(std::string_view{read.get_string()} == text, "what is written reads back");
}

pawl::definition with_names(std::string_view text)
{
    pawl::definition rules;
    rules.name = text;
    pawl::status_rules first{.id = 1, .label = std::string{text}, .start = true};
    first.edges = {{.to = 2, .cause = pawl::edge_cause::callback, .name = std::string{text}},
                   {.to = -2'147'483'647 - 1}};
    rules.statuses = {first, {.id = 2, .label = "two", .end = true}};
    return rules;
}

void check_diagram(std::string_view text)
{
    const auto drawn = pawl::diagram(with_names(text));
    constexpr auto lines = 11;
    fuzz::require(std::ranges::count(drawn, '\n') == lines, "a name adds no line");
    fuzz::require(drawn.find('\r') == drawn.npos, "a name adds no line in Mermaid's eyes");
    const auto body = std::string_view{drawn}.substr(drawn.find("\n---\n") + 5);
    const auto label = body.substr(body.find("state \"") + 7);
    const auto ends = label.find("\" as s1\n");
    fuzz::require(ends != label.npos, "a label ends where it should");
    fuzz::require(label.substr(0, ends).find_first_of("\"<>%{}[]:\\`") == label.npos,
                  "a label holds no mark of Mermaid");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    check_json(fuzz::text(data, size));
    check_diagram(fuzz::text(data, size));
    return 0;
}
