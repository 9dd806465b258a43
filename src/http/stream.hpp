#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/system/error_code.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <tuple>

namespace pawl::http::detail {

/// Certificates and options shared by the TLS connections of a server or a client. TLS 1.2 and 1.3.
class tls_context {
public:
    /// PEM files: the server's certificate followed by the intermediate certificates, and its
    /// private key without a password.
    /// @throws definition_error that names the option and the file.
    static std::shared_ptr<tls_context> for_server(const std::string& chain_file,
                                                   const std::string& key_file);

    /// @param ca_file PEM certificates of the CAs that are trusted; empty: those of the system.
    /// @throws definition_error that names the option and the file.
    static std::shared_ptr<tls_context> for_client(const std::string& ca_file);

    ~tls_context();
    tls_context(const tls_context&) = delete;
    tls_context& operator=(const tls_context&) = delete;

private:
    friend class stream;
    struct impl;
    explicit tls_context(std::unique_ptr<impl> created);
    std::unique_ptr<impl> impl_;
};

/// A socket of TCP or of a Unix path.
using stream_socket = boost::asio::generic::stream_protocol::socket;

/// The address that a connection came from; "unix" for a Unix socket, "" if it has been closed.
std::string peer_address(const stream_socket& socket);

/// A connection, plain or with TLS. At most one read and one write at a time. With TLS, each
/// consists of several socket operations, which only closing the socket ends for certain.
class stream {
public:
    using io_result = std::tuple<boost::system::error_code, std::size_t>;

    explicit stream(stream_socket socket);
    ~stream();
    stream(const stream&) = delete;
    stream& operator=(const stream&) = delete;

    stream_socket& socket() noexcept { return socket_; }

    /// Whether handshake() was called.
    bool is_secure() const noexcept { return tls_ != nullptr; }

    /// The server's side of TLS.
    boost::asio::awaitable<std::tuple<boost::system::error_code>>
    handshake(std::shared_ptr<tls_context> context);

    /// The client's side. Fails unless the server shows a valid certificate for `host`, a name or
    /// an address.
    boost::asio::awaitable<std::tuple<boost::system::error_code>>
    handshake(std::shared_ptr<tls_context> context, const std::string& host);

    /// Describes why a client's handshake has failed.
    std::string handshake_fault(const boost::system::error_code& error) const;

    boost::asio::awaitable<io_result> read_some(boost::asio::mutable_buffer space);
    boost::asio::awaitable<io_result> write(std::array<boost::asio::const_buffer, 2> bytes);

    /// Sends the TLS close_notify, and waits for the peer's.
    /// Precondition: is_secure().
    boost::asio::awaitable<std::tuple<boost::system::error_code>> shut_down_tls();

private:
    struct tls;
    stream_socket socket_;
    std::unique_ptr<tls> tls_;
};

} // namespace pawl::http::detail
