#pragma once

#include "pawl/admin.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace pawl::admin {

/// A server for programs that have none: it serves the admin API, and nothing else.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class server {
public:
    /// Binds the address, or the path, of `listen` and listens. start() begins to accept
    /// connections. `listen.hosts` and `listen.body_limit` are set from `options`.
    ///
    /// Errors: throws definition_error when an option is out of its range, or when other machines
    /// can reach the address and `options.authenticator` does not identify their users
    /// (authenticator::is_remote()); boost::system::system_error if the address cannot be bound.
    server(boost::asio::any_io_executor executor, operations core, api_options options,
           http::server_options listen = {});

    /// Precondition: never started, or async_stop has completed.
    ~server();

    server(server&&) noexcept;
    server& operator=(server&&) = delete;

    /// The URL of the API's prefix; "unix:PATH" for a Unix socket.
    std::string url() const;

    /// As http::server::start().
    void start();

    /// As http::server::async_stop().
    boost::asio::awaitable<void> async_stop(any_duration timeout);

private:
    std::string prefix_;
    std::unique_ptr<http::server> http_;
};

} // namespace pawl::admin
