// The reader of HTTP answers, which a service of somebody else sends: any bytes, and in any pieces,
// which lead to the same.
//
// The first byte of the input says how large the pieces are, and whether HEAD was asked.
#include "fuzz/fuzz.hpp"
#include "http/response_reader.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace {

using pawl::http::detail::response_reader;
using result = response_reader::result;

constexpr std::size_t body_limit = 1024;

/// The answer; empty when there is none.
std::optional<std::string> read_one(std::string_view bytes, std::size_t piece, bool to_head)
{
    response_reader reader{to_head, body_limit};
    std::string unread;
    auto outcome = result::need_more;
    while (outcome == result::need_more) {
        std::size_t consumed = 0;
        outcome = reader.read(unread, consumed);
        fuzz::require(consumed <= unread.size(), "no more is consumed than there is");
        unread.erase(0, consumed);
        if (outcome != result::need_more)
            break;
        if (bytes.empty()) {
            outcome = reader.end();
            fuzz::require(outcome != result::need_more, "the end is an end");
            break;
        }
        unread += bytes.substr(0, piece);
        bytes.remove_prefix(std::min(piece, bytes.size()));
    }
    if (outcome == result::failed) {
        fuzz::require(!reader.fault().empty(), "a failure says why");
        return std::nullopt;
    }
    const auto answer = reader.take();
    fuzz::require(answer.body.size() <= body_limit, "a body keeps to its limit");
    fuzz::require(answer.status >= 200, "interim answers are passed over");
    fuzz::require(!to_head || answer.body.empty(), "an answer to HEAD has no body");
    std::string all = std::to_string(answer.status) + (reader.keep_alive() ? " keep\n" : "\n");
    for (const auto& [name, value] : answer.headers)
        all += name + ": " + value + '\n';
    return all + answer.body;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const bool to_head = data[0] & 1;
    const auto bytes = fuzz::text(data + 1, size - 1);
    const auto pieces = read_one(bytes, 1 + data[0] / 2, to_head);
    fuzz::require(read_one(bytes, std::max<std::size_t>(1, bytes.size()), to_head) == pieces,
                  "pieces are understood as the whole is");
    return 0;
}
