#pragma once

#include "api.hpp"
#include "metrics.hpp"
#include "order_options.hpp"
#include "pawl/clock.hpp"
#include "pawl/log.hpp"
#include "pawl/otlp.hpp"
#include "pawl/record_store.hpp"
#include "service_clients.hpp"
#include "services/start.hpp"
#include "workflow.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace order_processing {

struct server_settings {
    /// The database of the orders: a file, or a URI of PostgreSQL; ":memory:" keeps nothing.
    std::string db = "orders.db";

    /// The server's name among the engines of the admin API. Empty: a generated name.
    std::string name;

    /// With PostgreSQL: how long this server keeps its orders without a heartbeat. When it is
    /// killed, another server continues the orders after this time. Default 10 s.
    pawl::duration lease_duration = std::chrono::seconds{10};

    /// The store of the orders, instead of `db`, if it is set.
    std::shared_ptr<pawl::record_store> store{};

    /// The ledger of the mock services. Empty: `db` with ".services" appended;
    /// with PostgreSQL orders.services.
    std::string services_db;

    std::string address = "127.0.0.1"; ///< to listen on
    std::uint16_t port = 0;            ///< 0 picks a free one

    /// A port for operators: metrics, health, pausing, resuming, deleting data, the admin API. The
    /// port above is then for customers only. Same address; 0 picks a free port. Default: none, and
    /// all routes are on one port.
    std::optional<std::uint16_t> operator_port;

    /// PEM files for TLS on both ports: pawl::http::server_options. Default: plain HTTP.
    std::string certificate_chain_file;
    std::string private_key_file;

    /// Files of bearer tokens: see token_set. With customer_tokens_file, operator_tokens_file is
    /// needed too. Default: no request needs a token.
    std::string customer_tokens_file;
    std::string operator_tokens_file;

    /// Log a line for each answer: the request id, the peer, the token's name, the request, the
    /// status, the size and the time. Default: no.
    bool access_log = false;

    /// Names that the Host of a request may have: pawl::http::server_options::hosts. An address and
    /// "localhost" are always allowed. Default: no other name.
    std::vector<std::string> hosts = {"localhost"};

    /// Connections of customers at a time, and connections to each service. Fewer where the
    /// process's limit on descriptors does not allow as many: see share_descriptors(). The limits
    /// in force are logged. Default 10,000 and 64.
    std::size_t max_connections = 10'000;
    std::size_t max_service_connections = 64;

    /// How long a cancel waits for its effect: api_context::cancel_wait.
    pawl::duration cancel_wait = std::chrono::seconds{5};

    /// Requests that wait at a time: api_context::max_waiting. At most half of the connections.
    std::size_t max_waiting = 1'000;

    /// The size of a page, in bytes: api_context::max_page_bytes.
    std::size_t max_page_bytes = 1024 * 1024;

    /// The services to use.
    service_urls services;
    service_access access;

    /// Services that are replaced by built-in mock services, which charge and ship nothing. Each
    /// service has either a URL or is among these. Default: none.
    services::service_set mocks;

    order_options orders;

    /// Exports traces of orders and requests. Default: none.
    std::optional<pawl::otlp_settings> traces;

    /// How long a stop lets steps and requests continue, altogether: three quarters for the steps,
    /// the rest for requests to be answered. Default 10 s.
    pawl::duration drain = std::chrono::seconds{10};

    std::shared_ptr<pawl::clock> clock = pawl::default_clock();
    pawl::log_sink log = pawl::log_to_stderr;
};

/// The order server: the workflow on an engine, its REST interface, and mock services where
/// configured.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, except for start, stop and destruction.
class order_server {
public:
    order_server(boost::asio::any_io_executor executor, server_settings settings);

    /// Precondition: never started, or async_stop has completed.
    ~order_server();

    /// Completes when the server accepts orders and continues unfinished ones.
    ///
    /// @throws pawl::error for the database, boost::system::system_error for the address,
    /// pawl::definition_error for a setting; what() names it. Nothing is running then.
    boost::asio::awaitable<void> async_start();

    /// Accepts no more orders, lets steps and requests continue for settings.drain, and completes
    /// when nothing is running. Unfinished orders continue after the next start. Idempotent.
    boost::asio::awaitable<void> async_stop();

    /// The lines that say where everything listens.
    std::string announcement() const;

    const std::string& url() const noexcept;
    const std::string& operator_url() const noexcept; ///< as url() without an operator port
    const service_urls& services() const noexcept;

    /// Precondition of the functions below: started.
    orders_client orders() const;
    const metrics& counters() const noexcept;

    /// Connections of customers that are open.
    std::size_t connections() const noexcept;

private:
    struct parts;
    void start_tracing();
    void assemble();
    void listen(api_context context, std::size_t connections);
    void warn_if_exposed() const;
    void note_answer(const pawl::http::answer_record& answered);
    order_observer observer();

    const boost::asio::any_io_executor executor_;
    const server_settings settings_;
    metrics counters_;
    service_urls urls_;
    std::string url_;
    std::string operator_url_;
    std::unique_ptr<parts> parts_;
};

} // namespace order_processing
