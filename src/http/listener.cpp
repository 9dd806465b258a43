#include "http/listener.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/system/system_error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace pawl::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using boost::system::system_error;

namespace {

/// Enables TCP keep-alive, so that vanished peers are noticed. On Linux accepted sockets inherit
/// the options of the listening socket. Failures are ignored.
void enable_keep_alive(acceptor& listening)
{
    const auto set = [&](int level, int name, int value) {
        ::setsockopt(listening.native_handle(), level, name, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 30); // seconds of silence
    set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

/// Removes the socket of a process that has ended.
void remove_stale_socket(const std::string& path, const asio::local::stream_protocol::endpoint& at)
{
    struct stat found{};
    if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode))
        return;
    asio::io_context unused;
    asio::local::stream_protocol::socket probe(unused);
    error_code error;
    probe.connect(at, error);
    if (error == asio::error::connection_refused)
        ::unlink(path.c_str());
}

/// Throws system_error that names the path.
acceptor listen_on_path(const asio::any_io_executor& executor, const std::string& path)
{
    const auto fail = [&path](const error_code& error) {
        throw system_error(error, fmt::format("cannot listen on the Unix socket '{}'", path));
    };
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        fail(asio::error::name_too_long);
    const asio::local::stream_protocol::endpoint endpoint(path);
    remove_stale_socket(path, endpoint);
    acceptor created(executor);
    error_code error;
    created.open(endpoint.protocol(), error);
    if (!error)
        created.bind(endpoint, error);
    // Nobody can connect before listen().
    if (!error && ::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0)
        error.assign(errno, boost::system::system_category());
    if (!error)
        created.listen(asio::socket_base::max_listen_connections, error);
    if (error)
        fail(error);
    return created;
}

} // namespace

acceptor listen_on(const asio::any_io_executor& executor, const server_options& options)
{
    if (!options.socket_path.empty())
        return listen_on_path(executor, options.socket_path);
    error_code error;
    acceptor created(executor);
    const auto address = asio::ip::make_address(options.address, error);
    const tcp::endpoint endpoint(address, options.port);
    if (!error)
        created.open(endpoint.protocol(), error);
    if (!error)
        created.set_option(asio::socket_base::reuse_address(true), error);
    if (!error)
        created.bind(endpoint, error);
    if (!error)
        created.listen(asio::socket_base::max_listen_connections, error);
    if (error)
        throw system_error(error,
                           fmt::format("cannot listen on {}:{}", options.address, options.port));
    enable_keep_alive(created);
    return created;
}

std::uint16_t port_of(const acceptor& listening)
{
    const auto local = listening.local_endpoint();
    if (local.protocol().family() == AF_UNIX)
        return 0;
    tcp::endpoint address(local.protocol().family() == AF_INET6 ? tcp::v6() : tcp::v4(), 0);
    std::memcpy(address.data(), local.data(), std::min(address.size(), local.size()));
    return address.port();
}

} // namespace pawl::http::detail
