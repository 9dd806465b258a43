#pragma once

#include "pawl/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace pawl::http::detail {

/// A strand of its own on `executor`, in the form that needs no allocation where that is possible.
boost::asio::any_io_executor new_strand(const boost::asio::any_io_executor& executor);

/// For co_await: an error is a result, not an exception.
constexpr auto result_of = boost::asio::as_tuple(boost::asio::use_awaitable);

/// `span` from now; a span beyond all use is cut so that it cannot overflow the clock.
std::chrono::steady_clock::time_point from_now(duration span);

} // namespace pawl::http::detail
