#pragma once

#include <map>
#include <string>
#include <string_view>

namespace pawl::core {

/// The stored form of a stream_event's headers; empty when there are none.
std::string encode_headers(const std::map<std::string, std::string>& headers);

/// Throws error (store_corrupt) when the bytes are not such a form.
std::map<std::string, std::string> decode_headers(std::string_view bytes);

} // namespace pawl::core
