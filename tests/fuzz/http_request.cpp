// The reader of HTTP requests: any bytes, and in any pieces, which lead to the same.
//
// The first byte of the input says how large the pieces are.
#include "fuzz/fuzz.hpp"
#include "http/request_reader.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using pawl::http::detail::request_reader;
using result = request_reader::result;

constexpr std::size_t header_limit = 512;
constexpr std::size_t body_limit = 1024;

struct seen {
    std::vector<std::string> requests;
    int refused = 0;
    bool operator==(const seen&) const = default;
};

std::string describe(request_reader& reader)
{
    const auto& message = reader.message();
    std::string all = message.method + ' ' + message.path + '\n';
    for (const auto& [name, value] : message.headers)
        all += name + ": " + value + '\n';
    for (const auto& [name, value] : message.query)
        all += name + '=' + value + '\n';
    fuzz::require(message.body.size() <= body_limit, "a body keeps to its limit");
    fuzz::require(message.path.starts_with('/'), "a path begins with a slash");
    fuzz::require(message.path.find('\0') == message.path.npos, "a path has no NUL");
    return all + message.body;
}

seen read_all(std::string_view bytes, std::size_t piece)
{
    seen out;
    request_reader reader{header_limit, body_limit};
    std::string unread;
    for (;;) {
        std::size_t consumed = 0;
        const auto outcome = reader.read(unread, consumed);
        fuzz::require(consumed <= unread.size(), "no more is consumed than there is");
        unread.erase(0, consumed);
        if (outcome == result::refused) {
            out.refused = reader.refusal().status;
            fuzz::require(out.refused >= 400 && out.refused < 600, "a refusal has a status");
            fuzz::require(!reader.keep_alive(), "a refused connection is closed");
            return out;
        }
        if (outcome == result::complete) {
            out.requests.push_back(describe(reader));
            if (!reader.keep_alive())
                return out;
            reader.next();
            continue;
        }
        reader.take_continue();
        fuzz::require(unread.size() <= header_limit + body_limit + piece, "little is held back");
        if (bytes.empty())
            return out;
        unread += bytes.substr(0, piece);
        bytes.remove_prefix(std::min(piece, bytes.size()));
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const auto bytes = fuzz::text(data + 1, size - 1);
    const auto pieces = read_all(bytes, 1 + data[0]);
    fuzz::require(read_all(bytes, std::max<std::size_t>(1, bytes.size())) == pieces,
                  "pieces are understood as the whole is");
    return 0;
}
