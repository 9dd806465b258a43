#include "http/request_id.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <random>

namespace pawl::http::detail {
namespace {

bool may_stand_in_a_log(char c) noexcept
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

std::uint64_t random_number()
{
    thread_local std::mt19937_64 engine = [] {
        std::random_device seed;
        return std::mt19937_64{(std::uint64_t{seed()} << 32) | seed()};
    }();
    return engine();
}

} // namespace

std::string choose_request_id(std::string_view sent)
{
    constexpr std::size_t longest = 128;
    if (!sent.empty() && sent.size() <= longest && std::ranges::all_of(sent, may_stand_in_a_log))
        return std::string{sent};
    return fmt::format("{:016x}", random_number());
}

} // namespace pawl::http::detail
