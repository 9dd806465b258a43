#pragma once

#include <map>
#include <string>
#include <string_view>

namespace pawl::core {

/// The stored form of stream_event::headers; empty if there are none.
std::string encode_headers(const std::map<std::string, std::string>& headers);

/// Throws error (store_corrupt) if the bytes are not a stored form.
std::map<std::string, std::string> decode_headers(std::string_view bytes);

} // namespace pawl::core
