#include "http/stream.hpp"

#include "http/executors.hpp"
#include "pawl/error.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

namespace pawl::http::detail {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;

std::string peer_address(const stream_socket& socket)
{
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    if (error)
        return {};
    const auto family = remote.protocol().family();
    if (family == AF_UNIX)
        return "unix";
    asio::ip::tcp::endpoint address(family == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(),
                                    0);
    std::memcpy(address.data(), remote.data(), std::min(address.size(), remote.size()));
    return address.address().to_string();
}

struct tls_context::impl {
    ssl::context context;

    /// OpenSSL's error codes do not name a missing file.
    static void check_readable(std::string_view option, const std::string& file)
    {
        if (!std::ifstream{file})
            throw definition_error(fmt::format("{} '{}' cannot be read", option, file));
    }

    static void check(std::string_view option, const std::string& file, const error_code& error)
    {
        if (error)
            throw definition_error(fmt::format("{} '{}': {}", option, file, error.message()));
    }
};

tls_context::tls_context(std::unique_ptr<impl> created) : impl_(std::move(created))
{
}

tls_context::~tls_context() = default;

std::shared_ptr<tls_context> tls_context::for_server(const std::string& chain_file,
                                                     const std::string& key_file)
{
    constexpr std::string_view chain_option = "server_options::certificate_chain_file";
    constexpr std::string_view key_option = "server_options::private_key_file";
    impl::check_readable(chain_option, chain_file);
    impl::check_readable(key_option, key_file);

    std::unique_ptr<impl> created(new impl{ssl::context(ssl::context::tls_server)});
    auto& context = created->context;
    auto* const native = context.native_handle();
    SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    error_code error;
    context.use_certificate_chain_file(chain_file, error);
    impl::check(chain_option, chain_file, error);
    // Without a callback, OpenSSL asks for a password at the terminal.
    context.set_password_callback(
        [](std::size_t, ssl::context::password_purpose) { return std::string{}; }, error);
    context.use_private_key_file(key_file, ssl::context::pem, error);
    impl::check(key_option, key_file, error);
    return std::shared_ptr<tls_context>(new tls_context(std::move(created)));
}

std::shared_ptr<tls_context> tls_context::for_client(const std::string& ca_file)
{
    constexpr std::string_view option = "client_options::ca_file";
    std::unique_ptr<impl> created(new impl{ssl::context(ssl::context::tls_client)});
    auto& context = created->context;
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    context.set_verify_mode(ssl::verify_peer);
    error_code error;
    if (ca_file.empty()) {
        context.set_default_verify_paths(error);
    } else {
        impl::check_readable(option, ca_file);
        context.load_verify_file(ca_file, error);
    }
    impl::check(option, ca_file, error);
    return std::shared_ptr<tls_context>(new tls_context(std::move(created)));
}

struct stream::tls {
    tls(stream_socket& socket, std::shared_ptr<tls_context> shared)
        : context(std::move(shared)), ssl(socket, context->impl_->context)
    {
    }

    std::shared_ptr<tls_context> context;
    ssl::stream<stream_socket&> ssl;
};

stream::stream(stream_socket socket) : socket_(std::move(socket))
{
}

stream::~stream() = default;

asio::awaitable<std::tuple<error_code>> stream::handshake(std::shared_ptr<tls_context> shared)
{
    tls_ = std::make_unique<tls>(socket_, std::move(shared));
    return tls_->ssl.async_handshake(ssl::stream_base::server, result_of);
}

asio::awaitable<std::tuple<error_code>> stream::handshake(std::shared_ptr<tls_context> shared,
                                                          const std::string& host)
{
    tls_ = std::make_unique<tls>(socket_, std::move(shared));
    auto* const native = tls_->ssl.native_handle();
    error_code not_an_address;
    asio::ip::make_address(host, not_an_address);
    if (not_an_address) {
        SSL_set_tlsext_host_name(native, host.c_str());
        SSL_set_hostflags(native, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        SSL_set1_host(native, host.c_str());
    } else {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(native), host.c_str());
    }
    return tls_->ssl.async_handshake(ssl::stream_base::client, result_of);
}

std::string stream::handshake_fault(const error_code& error) const
{
    const auto verdict = SSL_get_verify_result(tls_->ssl.native_handle());
    if (verdict == X509_V_OK)
        return "TLS failed: " + error.message();
    return fmt::format("the server's certificate is not accepted: {}",
                       X509_verify_cert_error_string(verdict));
}

asio::awaitable<stream::io_result> stream::read_some(asio::mutable_buffer space)
{
    if (tls_)
        return tls_->ssl.async_read_some(space, result_of);
    return socket_.async_read_some(space, result_of);
}

asio::awaitable<stream::io_result> stream::write(std::array<asio::const_buffer, 2> bytes)
{
    if (tls_)
        return asio::async_write(tls_->ssl, bytes, result_of);
    return asio::async_write(socket_, bytes, result_of);
}

asio::awaitable<std::tuple<error_code>> stream::shut_down_tls()
{
    return tls_->ssl.async_shutdown(result_of);
}

} // namespace pawl::http::detail
