#pragma once

#include "api.hpp"
#include "metrics.hpp"
#include "order_options.hpp"
#include "pawl/clock.hpp"
#include "pawl/log.hpp"
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

    /// The server's name in GET /cluster. Empty: made up.
    std::string name;

    /// With PostgreSQL: how long this server keeps its orders without a sign of life. When it is
    /// killed, another one goes on with them after that. Default 10 s.
    pawl::duration lease_duration = std::chrono::seconds{10};

    /// Where the orders live instead of in `db`, if it is set.
    std::shared_ptr<pawl::record_store> store{};

    /// The ledger of the mock services. Empty: beside `db`, with ".services" behind its name;
    /// with PostgreSQL orders.services.
    std::string services_db;

    std::string address = "127.0.0.1"; ///< to listen on
    std::uint16_t port = 0;            ///< 0 picks a free one

    /// A port for operators: metrics, health, the cluster, pausing, resuming, deleting data. The
    /// port above is then for customers only. Same address; 0 picks a free one. Default: none, and
    /// all of it is on one port.
    std::optional<std::uint16_t> operator_port;

    /// PEM files for TLS on both ports: pawl::http::server_options. Default: plain HTTP.
    std::string certificate_chain_file;
    std::string private_key_file;

    /// Files of bearer tokens: see token_set. With customer_tokens_file, operator_tokens_file is
    /// needed, too. Default: no request needs a token.
    std::string customer_tokens_file;
    std::string operator_tokens_file;

    /// Write a line into the log for each answer: who asked what under which request id, the
    /// status, the size and the time. Default: no.
    bool access_log = false;

    /// Names that the Host of a request may have: pawl::http::server_options::hosts. An address and
    /// "localhost" are always known. Default: no other one.
    std::vector<std::string> hosts = {"localhost"};

    /// Connections of customers at a time, and connections to each service. Fewer where the
    /// process's limit on descriptors does not allow as many: see share_descriptors(). What is in
    /// force is logged. Default 10,000 and 64.
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

    /// Services that are only pretended: built-in mock ones, which charge and ship nothing. Each
    /// service has either a URL or is among these. Default: none.
    services::service_set mocks;

    order_options orders;

    /// How long stopping lets steps and requests go on, altogether: three quarters for the steps,
    /// the rest for requests to be answered. Default 10 s.
    pawl::duration drain = std::chrono::seconds{10};

    std::shared_ptr<pawl::clock> clock = pawl::default_clock();
    pawl::log_sink log = pawl::log_to_stderr;
};

/// The order server: the workflow on an engine, its REST interface, and mock services where they
/// are asked for.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, except for start, stop and destruction.
class order_server {
public:
    order_server(boost::asio::any_io_executor executor, server_settings settings);

    /// Precondition: never started, or async_stop has completed.
    ~order_server();

    /// Completes when orders are taken, and those of before are being driven again.
    ///
    /// @throws pawl::error for the database, boost::system::system_error for the address,
    /// pawl::definition_error for a setting; what() names it. Nothing runs then.
    boost::asio::awaitable<void> async_start();

    /// Takes no more orders, lets steps and requests go on for settings.drain, and completes when
    /// nothing runs any more. What has not ended goes on at the next start. Idempotent.
    boost::asio::awaitable<void> async_stop();

    /// The lines that say where everything listens.
    std::string announcement() const;

    const std::string& url() const noexcept;
    const std::string& operator_url() const noexcept; ///< as url() without an operator port
    const service_urls& services() const noexcept;

    /// Precondition of the rest: started.
    orders_client orders() const;
    const metrics& counters() const noexcept;

    /// Connections of customers that are open.
    std::size_t connections() const noexcept;

private:
    struct parts;
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
