#pragma once

#include "pawl/http/server.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <cstdint>

namespace pawl::http::detail {

using acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

/// Listens on the address, or the Unix socket, of the options.
/// @throws boost::system::system_error that names the address or the path.
acceptor listen_on(const boost::asio::any_io_executor& executor, const server_options& options);

/// The port that was bound; 0 for a Unix socket.
std::uint16_t port_of(const acceptor& listening);

} // namespace pawl::http::detail
