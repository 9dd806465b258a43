#include "descriptors.hpp"

#include <algorithm>

#include <sys/resource.h>

namespace order_processing {

std::size_t descriptor_limit() noexcept
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<std::size_t>(limit.rlim_cur);
}

std::size_t raise_descriptor_limit() noexcept
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    return descriptor_limit();
}

descriptor_shares share_descriptors(std::size_t limit) noexcept
{
    constexpr std::size_t one = 1;
    const auto reserve = std::clamp<std::size_t>(limit / 4, 16, 64);
    const auto rest = limit > reserve ? limit - reserve : 0;
    return {.customers = std::max(rest / 2, one), .each_service = std::max(rest / 12, one)};
}

} // namespace order_processing
