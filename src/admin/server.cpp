#include "pawl/admin/server.hpp"

#include "pawl/error.hpp"

#include <boost/asio/ip/address.hpp>

#include <fmt/format.h>

namespace pawl::admin {
namespace {

/// Rejects a server whose users on other machines nobody identifies.
void check_exposure(const api_options& options, const http::server_options& listen)
{
    if (!listen.socket_path.empty() || !options.authenticator || options.authenticator->is_remote())
        return;
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(listen.address, error);
    if (error || address.is_loopback())
        return;
    throw definition_error(
        fmt::format("other machines can reach the address {}, and api_options::authenticator does "
                    "not identify their users: use token_file() or trusted_proxy(), or listen on "
                    "127.0.0.1 or on a Unix socket",
                    listen.address));
}

} // namespace

server::server(boost::asio::any_io_executor executor, operations core, api_options options,
               http::server_options listen)
    : prefix_(options.prefix)
{
    check_exposure(options, listen);
    listen.hosts = options.hosts;
    listen.body_limit = options.max_body;
    const api routes(std::move(core), std::move(options));
    http_ = std::make_unique<http::server>(std::move(executor), routes.routes(), std::move(listen));
}

server::~server() = default;
server::server(server&&) noexcept = default;

std::string server::url() const
{
    const auto url = http_->url();
    return url.starts_with("unix:") ? url : url + prefix_;
}

void server::start()
{
    http_->start();
}

boost::asio::awaitable<void> server::async_stop(any_duration timeout)
{
    return http_->async_stop(timeout);
}

} // namespace pawl::admin
