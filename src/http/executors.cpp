#include "http/executors.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>

namespace pawl::http::detail {

namespace asio = boost::asio;

asio::any_io_executor new_strand(const asio::any_io_executor& executor)
{
    // A strand of a concrete executor fits into any_io_executor; a strand of any_io_executor does
    // not, and each copy that must be tracked as work would be allocated.
    if (const auto* context = executor.target<asio::io_context::executor_type>())
        return asio::make_strand(*context);
    if (const auto* pool = executor.target<asio::thread_pool::executor_type>())
        return asio::make_strand(*pool);
    return asio::make_strand(executor);
}

std::chrono::steady_clock::time_point from_now(duration span)
{
    constexpr duration longest = std::chrono::hours{24 * 365};
    return std::chrono::steady_clock::now() + std::min(span, longest);
}

} // namespace pawl::http::detail
