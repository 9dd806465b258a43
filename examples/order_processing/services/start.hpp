#pragma once

#include "pawl/http/server.hpp"
#include "pawl/log.hpp"
#include "pawl/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace order_processing::services {

struct services_options {
    /// The ledger's file; ":memory:" keeps nothing.
    std::string database = ":memory:";

    std::uint16_t payment_port = 0; ///< on 127.0.0.1; 0 picks a free one; so the others
    std::uint16_t inventory_port = 0;
    std::uint16_t shipping_port = 0;

    /// Connections to each service at a time: pawl::http::server_options::max_connections.
    std::size_t max_connections = 10'000;

    /// How long to wait for another process to let the file go. Default 5 s.
    std::chrono::milliseconds lock_wait = std::chrono::seconds{5};

    pawl::log_sink log = pawl::log_to_stderr;
};

/// The three services, listening on loopback.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class running_services {
public:
    running_services(pawl::http::server payment, pawl::http::server inventory,
                     pawl::http::server shipping);

    /// "http://127.0.0.1:PORT"
    std::string payment_url() const;
    std::string inventory_url() const;
    std::string shipping_url() const;

    /// Three lines for people and scripts: "payment service listening on URL", and so on.
    std::string announcement() const;

    /// Stops to accept, lets requests finish until `deadline` from now, and completes when the
    /// last connection is closed. Precondition of the destructor.
    boost::asio::awaitable<void> async_stop(pawl::duration deadline);

private:
    pawl::http::server payment_;
    pawl::http::server inventory_;
    pawl::http::server shipping_;
};

/// Opens the ledger, binds three ports and begins to serve on `executor`. Blocks up to
/// services_options::lock_wait.
///
/// @throws ledger_error when the file cannot be used; boost::system::system_error when a port
/// cannot be bound. what() names the file or the address.
running_services start_services(boost::asio::any_io_executor executor, services_options options);

} // namespace order_processing::services
