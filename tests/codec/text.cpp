// Text as JSON: what is escaped, what stands as it is, and that only UTF-8 goes in.
#include "codec/support.hpp"

BOOST_AUTO_TEST_SUITE(codec_text)

using namespace codec_test;

BOOST_AUTO_TEST_CASE(escapes_what_must_be_escaped)
{
    BOOST_TEST(encode(std::string{"plain"}) == R"("plain")");
    BOOST_TEST(encode(std::string{}) == R"("")");
    BOOST_TEST(encode(std::string{"a\"b\\c/d"}) == R"("a\"b\\c/d")");
    BOOST_TEST(encode(std::string{"\b\f\n\r\t"}) == R"("\b\f\n\r\t")");
    BOOST_TEST(encode(std::string("\0\x1f\x7f", 3)) == "\"\\u0000\\u001f\x7f\"");
    BOOST_TEST(encode(std::string{"Zoë 漢字 🦀"}) == "\"Zoë 漢字 🦀\"");
}

BOOST_AUTO_TEST_CASE(every_character_comes_back)
{
    std::string all;
    for (int c = 0; c < 0x80; ++c)
        all += static_cast<char>(c);
    // The first and last code points of each length of sequence.
    all += "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80"
           "\xf4\x8f\xbf\xbf";
    BOOST_TEST(round_trip(all) == all);
    BOOST_TEST(decode<std::string>(R"("\u00e9\ud83e\udd80\/")") == "é🦀/");
}

BOOST_AUTO_TEST_CASE(bytes_that_are_not_utf8_are_refused)
{
    for (const char* bad :
         {"\x80", "\xc0\xaf", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
          "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x28\xa1"}) {
        BOOST_TEST_CONTEXT(bad)
        {
            BOOST_TEST(contains(encode_failure("ok " + std::string{bad}, ""), "UTF-8 at byte 3"));
            BOOST_TEST(contains(decode_failure<std::string>('"' + std::string{bad} + '"', ""),
                                "not JSON"));
        }
    }
}

BOOST_AUTO_TEST_CASE(other_types_are_no_text)
{
    BOOST_TEST(contains(decode_failure<std::string>("7", ""), "expected a string, found a number"));
    BOOST_TEST(contains(decode_failure<std::string>("[]", ""), "found an array"));
    BOOST_TEST(contains(decode_failure<std::string>("{}", ""), "found an object"));
}

BOOST_AUTO_TEST_SUITE_END()
