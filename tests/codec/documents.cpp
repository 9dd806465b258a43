// Whole documents: what is no JSON, how deep it may go, raw JSON values, and codecs that are no
// JSON at all.
#include "codec/support.hpp"

#include <boost/json/parse.hpp>

#include <cmath>

using namespace codec_test;

namespace {

struct blob {
    std::string bytes;
};

struct unknown {};

std::string nested(std::size_t levels)
{
    return std::string(levels, '[') + std::string(levels, ']');
}

} // namespace

template <>
struct pawl::codec<blob> {
    static void encode(const blob& from, std::string& out) { out += from.bytes; }
    static blob decode(std::string_view bytes) { return {std::string{bytes}}; }
};

BOOST_AUTO_TEST_SUITE(codec_documents)

BOOST_AUTO_TEST_CASE(text_that_is_no_json_is_refused_with_its_place)
{
    BOOST_TEST(contains(decode_failure<int>("", ""), "not JSON at byte 0: incomplete"));
    BOOST_TEST(contains(decode_failure<int>("[1,2", ""), "not JSON at byte 4: incomplete"));
    BOOST_TEST(contains(decode_failure<int>("1 2", ""), "not JSON at byte 2: extra"));
    BOOST_TEST(contains(decode_failure<int>("NaN", ""), "not JSON at byte 0"));
    BOOST_TEST(contains(decode_failure<int>("01", ""), "not JSON"));
    BOOST_TEST(decode<int>(" \n\t1 ") == 1);
}

BOOST_AUTO_TEST_CASE(depth_is_limited)
{
    using boost::json::value;
    BOOST_TEST(encode(decode<value>(nested(32))) == nested(32));
    BOOST_TEST(contains(decode_failure<value>(nested(33), ""), "deeper than 32"));
    value deep = boost::json::array{};
    for (int i = 1; i < 32; ++i)
        deep = boost::json::array{std::move(deep)};
    BOOST_TEST(encode(deep) == nested(32));
    deep = boost::json::array{std::move(deep)};
    BOOST_TEST(contains(encode_failure(deep, ""), "deeper than 32"));
}

BOOST_AUTO_TEST_CASE(raw_json_passes_through)
{
    const std::string text = R"({"a":[null,true,-1,18446744073709551615,0.1,"é\n"],"b":{},"c":[]})";
    auto value = decode<boost::json::value>(text);
    BOOST_TEST(encode(value) == text);
    // It owns its memory: the document that it was read from is gone.
    value.as_object()["a"].as_array().emplace_back("more");
    BOOST_TEST(contains(encode(value), "\"more\""));
    BOOST_TEST(contains(encode_failure(boost::json::value{std::nan("")}, ""), "not-a-number"));
    // What could not be written again is not read.
    BOOST_TEST(contains(decode_failure<boost::json::value>(R"({"a": [1, 1e400]})", "a[1]"),
                        "found a larger one"));
}

BOOST_AUTO_TEST_CASE(a_document_larger_than_the_stack_buffers_is_read)
{
    std::vector<std::string> many(5'000, "a text that is too long to stand in place");
    BOOST_TEST((round_trip(many) == many));
    const std::string long_text(1 << 20, 'x');
    BOOST_TEST((round_trip(long_text) == long_text));
}

BOOST_AUTO_TEST_CASE(a_codec_may_be_no_json)
{
    BOOST_TEST(encode(blob{"\xff raw"}) == "\xff raw");
    BOOST_TEST(decode<blob>("\xff raw").bytes == "\xff raw");
    static_assert(pawl::codable<blob> && !pawl::json_codable<blob>);
    static_assert(pawl::codable<int> && pawl::json_codable<int>);
    static_assert(!pawl::codable<unknown> && !pawl::codable<std::vector<unknown>>);
    static_assert(!pawl::codable<char> && !pawl::codable<const char*>);
}

BOOST_AUTO_TEST_CASE(encoding_appends)
{
    std::string out = "before ";
    pawl::codec<int>::encode(1, out);
    pawl::codec<std::vector<int>>::encode({}, out);
    BOOST_TEST(out == "before 1[]");
}

BOOST_AUTO_TEST_CASE(paths_are_written_as_one_reads_them)
{
    const pawl::json_path root;
    const pawl::json_path items{root, "items"};
    const pawl::json_path second{items, 2};
    const pawl::json_path price{second, "price"};
    const pawl::json_path odd{second, "unit price"};
    BOOST_TEST(root.str() == "");
    BOOST_TEST(price.str() == "items[2].price");
    BOOST_TEST(odd.str() == R"(items[2]["unit price"])");
}

BOOST_AUTO_TEST_SUITE_END()
