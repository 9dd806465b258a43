#pragma once

#include "pawl/http/server.hpp"
#include "pawl/log.hpp"
#include "pawl/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace order_processing::services {

/// Some of the three services.
struct service_set {
    bool payment = false;
    bool inventory = false;
    bool shipping = false;

    bool empty() const noexcept { return !payment && !inventory && !shipping; }
};

struct services_options {
    /// The services to start. Default: all.
    service_set which = {true, true, true};

    /// The ledger's file; ":memory:" keeps nothing.
    std::string database = ":memory:";

    std::uint16_t payment_port = 0; ///< on 127.0.0.1; 0 picks a free one; so the others
    std::uint16_t inventory_port = 0;
    std::uint16_t shipping_port = 0;

    /// Connections to each service at a time: pawl::http::server_options::max_connections.
    std::size_t max_connections = 10'000;

    /// How long to wait until another process closes the ledger. Default 5 s.
    std::chrono::milliseconds lock_wait = std::chrono::seconds{5};

    pawl::log_sink log = pawl::log_to_stderr;

    pawl::span_recording tracing; ///< of requests
};

/// Mock services, listening on loopback.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class running_services {
public:
    running_services(std::optional<pawl::http::server> payment,
                     std::optional<pawl::http::server> inventory,
                     std::optional<pawl::http::server> shipping);

    /// "http://127.0.0.1:PORT"; empty for a service that is not started.
    std::string payment_url() const;
    std::string inventory_url() const;
    std::string shipping_url() const;

    /// One line for each service, such as "payment service listening on URL".
    std::string announcement() const;

    /// Stops accepting, lets requests finish until `deadline` from now, and completes when the
    /// last connection is closed. Precondition of the destructor.
    boost::asio::awaitable<void> async_stop(pawl::duration deadline);

private:
    std::optional<pawl::http::server> payment_;
    std::optional<pawl::http::server> inventory_;
    std::optional<pawl::http::server> shipping_;
};

/// Opens the ledger, binds a port for each service and begins to serve on `executor`. Blocks up to
/// services_options::lock_wait.
///
/// @throws ledger_error when the file cannot be used; boost::system::system_error when a port
/// cannot be bound. what() names the file or the address.
running_services start_services(boost::asio::any_io_executor executor, services_options options);

} // namespace order_processing::services
