#pragma once

#include "pawl/codec.hpp"
#include "printing.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <string_view>

namespace codec_test {

template <class T>
std::string encode(const T& value)
{
    std::string out;
    pawl::codec<T>::encode(value, out);
    return out;
}

template <class T>
T decode(std::string_view text)
{
    return pawl::codec<T>::decode(text);
}

template <class T>
T round_trip(const T& value)
{
    return decode<T>(encode(value));
}

/// The text of the decode_error that reading `text` as T throws, with the path checked.
template <class T>
std::string decode_failure(std::string_view text, std::string_view path)
{
    try {
        (void)decode<T>(text);
    } catch (const pawl::decode_error& failure) {
        BOOST_TEST(failure.code() == pawl::errc::decode_failed);
        BOOST_TEST(failure.path() == path);
        return failure.what();
    }
    return "nothing was thrown for " + std::string{text};
}

/// The text of the encode_error that writing `value` throws, with the path checked.
template <class T>
std::string encode_failure(const T& value, std::string_view path)
{
    try {
        return "nothing was thrown, but written: " + encode(value);
    } catch (const pawl::encode_error& failure) {
        BOOST_TEST(failure.code() == pawl::errc::encode_failed);
        BOOST_TEST(failure.path() == path);
        return failure.what();
    }
}

inline boost::test_tools::assertion_result contains(const std::string& text, std::string_view part)
{
    boost::test_tools::assertion_result found{text.find(part) != text.npos};
    found.message() << '"' << part << "\" in: " << text;
    return found;
}

} // namespace codec_test
