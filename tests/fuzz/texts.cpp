// Short texts from outside, each read by all that read such: run ids, traceparent headers, request
// targets, queries, times. What is read is written as a text that reads back as the same.
#include "fuzz/fuzz.hpp"
#include "http/target.hpp"
#include "http/text.hpp"
#include "pawl/codec.hpp"
#include "pawl/error.hpp"
#include "pawl/run_id.hpp"
#include "pawl/trace.hpp"

#include <boost/json/value.hpp>

#include <algorithm>
#include <string>

namespace {

void check_run_id(std::string_view text)
{
    const auto id = pawl::parse_run_id(text);
    if (!id)
        return;
    std::string lower{text};
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    fuzz::require(to_string(*id) == lower, "a run id reads back");
}

void check_trace(std::string_view text)
{
    const auto context = pawl::trace_context::parse(text);
    if (!context)
        return;
    const auto again = pawl::trace_context::parse(to_string(*context));
    fuzz::require(again && to_string(*again) == to_string(*context), "a traceparent reads back");
}

void check_target(std::string_view text)
{
    const auto target = pawl::http::detail::parse_target(text);
    if (!target)
        return;
    std::string joined;
    for (const auto& segment : target->segments)
        joined += '/' + segment;
    fuzz::require(joined == target->path, "a path is its segments");
    fuzz::require(pawl::http::detail::is_utf8(joined), "a path is UTF-8");
    fuzz::require(joined.find('\0') == joined.npos, "a path has no NUL");
}

void check_time(std::string_view text)
{
    using codec = pawl::json_codec<pawl::time_point>;
    pawl::time_point read;
    try {
        codec::read(boost::json::value(boost::json::string_view{text.data(), text.size()}), read,
                    {});
    } catch (const pawl::decode_error&) {
        return;
    }
    std::string written;
    try {
        codec::write(read, written);
    } catch (const pawl::encode_error&) {
        return; // an offset may lead out of the years that are written
    }
    pawl::time_point again;
    codec::read(boost::json::value(written.substr(1, written.size() - 2)), again, {});
    fuzz::require(again == read, "a time reads back");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto text = fuzz::text(data, size);
    check_run_id(text);
    check_trace(text);
    check_target(text);
    check_time(text);
    std::string repeated;
    (void)pawl::http::detail::parse_query(text, repeated);
    return 0;
}
