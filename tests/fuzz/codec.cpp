// The JSON codec: any bytes are read into described types, or refused with a path; what was read
// can be written, and reads back as the same.
#include "pawl/codec.hpp"
#include "fuzz/fuzz.hpp"
#include "pawl/error.hpp"

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace {

enum class color { red, green };
BOOST_DESCRIBE_ENUM(color, red, green)

enum class number : std::int16_t {};

struct base {
    bool flag = false;
};
BOOST_DESCRIBE_STRUCT(base, (), (flag))

struct leaf : base {
    std::string name = "none";
    std::uint8_t small = 7;
    double real = 0.5;
    float single = 0;
};
BOOST_DESCRIBE_STRUCT(leaf, (base), (name, small, real, single))

struct tree {
    std::int64_t id = 0;
    std::uint64_t large = 0;
    color shade = color::red;
    number code{};
    std::optional<leaf> maybe;
    std::vector<leaf> leaves;
    std::array<int, 2> pair{};
    std::map<std::string, std::vector<tree>> below;
    pawl::time_point at;
    std::chrono::sys_time<std::chrono::nanoseconds> exactly;
    std::chrono::minutes span{};
    boost::json::value any;
};
BOOST_DESCRIBE_STRUCT(tree, (),
                      (id, large, shade, code, maybe, leaves, pair, below, at, exactly, span, any))

std::string write(const tree& from)
{
    std::string out;
    pawl::codec<tree>::encode(from, out);
    return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    tree read;
    try {
        read = pawl::codec<tree>::decode(fuzz::text(data, size));
    } catch (const pawl::decode_error& refused) {
        fuzz::require(!refused.detail().empty(), "a refusal says why");
        return 0;
    }
    const auto written = write(read);
    fuzz::require(write(pawl::codec<tree>::decode(written)) == written,
                  "what was written reads back as the same");
    return 0;
}
