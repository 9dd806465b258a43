#pragma once

#include "metrics.hpp"
#include "order.hpp"
#include "pawl/client.hpp"
#include "pawl/clock.hpp"
#include "pawl/error.hpp"
#include "pawl/http/server.hpp"
#include "pawl/time.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace order_processing {

using orders_client = pawl::client<Order, OrderStatus>;

/// The objects that the routes use.
struct api_context {
    orders_client orders;
    metrics& counters; ///< outlives the server

    /// Why the server does not accept and process orders; no error while it does.
    std::function<pawl::error_code()> readiness;

    /// Brings the engine's metrics in the registry of `counters` up to date. Default: nothing.
    std::function<boost::asio::awaitable<void>()> update_metrics{};

    /// The routes of the admin API, which are for operators. Default: none.
    std::vector<pawl::http::route> admin_routes{};

    /// The clock for the arrival of orders. Default: the machine's clock.
    std::shared_ptr<pawl::clock> clock = pawl::default_clock();

    /// How long a cancel waits for its effect. After that the answer is 202 with `pending`: the
    /// cancel is stored, and is decided when the order's current step ends. Default 5 s.
    pawl::duration cancel_wait = std::chrono::seconds{5};

    /// The longest `GET /orders/{id}/wait`. Default 10 min.
    pawl::duration max_wait = std::chrono::minutes{10};

    /// Requests that wait at a time, in `GET /orders/{id}/wait` and in `POST /orders/{id}/cancel`
    /// each. One more is answered 503 with Retry-After. Default 1,000; 0 for no limit.
    std::size_t max_waiting = 1'000;

    /// Requests that read much at a time, in `GET /orders`, in `GET /orders/{id}/history`, and in
    /// `GET /metrics` each. One more is answered 503 with Retry-After. Default 16; 0 for no limit.
    std::size_t max_listing = 16;

    /// The size of a page of orders or of a history, in bytes of JSON. A page ends before the item
    /// that would exceed it, but has at least one item. Default 1 MiB.
    std::size_t max_page_bytes = 1024 * 1024;
};

/// The order server's REST interface.
///
/// Errors are application/problem+json; 503 means that the same request may succeed later.
std::vector<pawl::http::route> order_routes(api_context context);

/// The routes of order_routes() for customers.
std::vector<pawl::http::route> customer_routes(api_context context);

/// The routes for operators: metrics, pausing, resuming, deleting data, the admin API. Health and
/// the description of the interface are in both sets.
std::vector<pawl::http::route> operator_routes(api_context context);

/// The interface, as OpenAPI 3.1 describes it: openapi.json of this folder.
extern const char* const openapi_document;

} // namespace order_processing
