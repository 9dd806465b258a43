#pragma once

#include "pawl/http/server.hpp"
#include "services/faults.hpp"
#include "services/ledger.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace order_processing::services {

/// The state that the routes of one service share; they keep it alive.
struct service {
    std::string name; ///< as in the ledger: "payment", "inventory", "shipping"
    std::shared_ptr<ledger> books_of_all;
    faults misbehaviour;
};

/// Reads a request and returns the function that answers it in a transaction of the ledger.
/// @throws field_error for a malformed request, which is answered 400.
using read_query = std::function<ledger::work(const pawl::http::request&)>;

/// Performs an effect, or refuses it, under an idempotency key. The answer is stored either way.
using effect = std::function<pawl::http::response(books&, const std::string& key)>;

/// As read_query, for a request with an effect.
using read_effect = std::function<effect(const pawl::http::request&)>;

// Each route answers 415 to a body that is not application/json.

/// A route with the injected faults of the service.
pawl::http::route query_route(const std::shared_ptr<service>& owner, std::string method,
                              std::string pattern, read_query read);

/// A route with the injected faults of the service, which needs an Idempotency-Key, 1 to 255
/// visible ASCII characters: without it the answer is 400. A repeated key with the same method,
/// path and body gets the first answer again, with the header `Idempotent-Replay: true` and no
/// second effect; with another request it gets 422.
pawl::http::route effect_route(const std::shared_ptr<service>& owner, std::string method,
                               std::string pattern, read_effect read);

/// A route without injected faults.
pawl::http::route plain_route(const std::shared_ptr<service>& owner, std::string method,
                              std::string pattern, read_query read);

/// GET /ledger, /healthz and /faults, PUT /faults.
std::vector<pawl::http::route> common_routes(const std::shared_ptr<service>& owner);

} // namespace order_processing::services
