#include "core/stream_headers.hpp"

#include "stores/common/varint.hpp"

#include <utility>

namespace pawl::core {

namespace {

constexpr char headers_version = 1;
constexpr std::size_t min_header_size = 2;

} // namespace

std::string encode_headers(const std::map<std::string, std::string>& headers)
{
    std::string bytes;
    if (headers.empty())
        return bytes;
    binary_writer out{bytes};
    out.byte(headers_version);
    out.number(headers.size());
    for (const auto& [name, value] : headers) {
        out.text(name);
        out.text(value);
    }
    return bytes;
}

std::map<std::string, std::string> decode_headers(std::string_view bytes)
{
    std::map<std::string, std::string> headers;
    if (bytes.empty())
        return headers;
    binary_reader in{bytes, "headers of an event"};
    if (in.byte() != headers_version)
        in.fail("unknown version");
    for (auto left = in.count(min_header_size); left > 0; --left) {
        auto name = in.text();
        headers[std::move(name)] = in.text();
    }
    if (in.left() != 0)
        in.fail("trailing bytes");
    return headers;
}

} // namespace pawl::core
