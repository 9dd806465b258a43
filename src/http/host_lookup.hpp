#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pawl::http::detail {

struct host_addresses {
    boost::system::error_code error;
    std::vector<boost::asio::ip::tcp::endpoint> endpoints; ///< in the order of the resolver
};

/// Looks up the addresses of a host name.
///
/// getaddrinfo() cannot be interrupted, and Asio's resolver calls it on a single thread. Here each
/// look-up has a thread of its own: one that hangs delays neither other look-ups nor the end of the
/// context, for which it is no work.
///
/// Completes: with `done` on the strand; never, if the context ends first. At most 64 look-ups of a
/// context are in progress; one more fails at once with host_not_found_try_again.
void look_up_host(const boost::asio::any_io_executor& strand, const std::string& host,
                  std::uint16_t port, std::function<void(host_addresses)> done);

} // namespace pawl::http::detail
