// The order workflow's three services in memory, with the rules and the ledger of the real ones.
#pragma once

#include "invariants.hpp"
#include "pawl/http/client.hpp"
#include "pawl/testing/simulation.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace simulation_test {

class order_world {
public:
    /// Answers a request, and makes its effect, at once. The same key again has the first answer.
    pawl::http::client_response answer(const std::string& service,
                                       const pawl::http::client_request& asked);

    void set_stock(const std::string& product, std::int64_t quantity)
    {
        stock_[product] = quantity;
    }
    void set_pending_polls(int polls) { pending_polls_ = polls; }

    /// From now on so many requests with an effect go wrong: the effect comes after the caller has
    /// timed out, an error follows the effect, the key is forgotten, the request is refused for
    /// good, or a reservation expires.
    void misbehave(pawl::testing::simulated_random random, int faults)
    {
        random_.emplace(random);
        faults_left_ = faults;
    }

    /// Lets every request that is still on its way arrive.
    void deliver_late_requests();

    const std::vector<order_processing::ledger_entry>& ledger() const noexcept { return ledger_; }

    /// Clients of the services, in the hands of one process.
    order_processing::order_services services_of(pawl::testing::simulated_process& process);

private:
    using response = pawl::http::client_response;
    struct payment {
        std::string key, order_id, method, status;
        order_processing::money amount, captured, refunded;
        int polls_left = 0; ///< below 0: never completed
    };
    struct reservation {
        std::string order_id, status;
        std::vector<order_processing::OrderItem> items;
    };

    response answer_once(const std::string& service, const std::string& key,
                         const pawl::http::client_request& asked);
    response fail(const std::string& service, const std::string& key,
                  const pawl::http::client_request& asked);
    response act(const std::string& service, const std::string& key,
                 const pawl::http::client_request& asked);
    response charge(const std::string& key, const std::string& body);
    response look_up(const std::string& id);
    response look_up_by_key(const std::string& key);
    response void_payment(const std::string& key, const std::string& id);
    response refund(const std::string& key, const std::string& id, const std::string& body);
    response reserve(const std::string& key, const std::string& body);
    response availability(const std::string& body);
    response release(const std::string& key, const std::string& id);
    response ship(const std::string& key, const std::string& body);
    order_processing::ledger_entry& enter(std::string service, std::string kind, std::string key,
                                          std::string order_id, std::string id);
    std::string new_id(const char* prefix) { return prefix + std::to_string(++last_id_); }

    std::map<std::pair<std::string, std::string>, response> answers_; ///< by service and key
    std::map<std::string, payment> payments_;
    std::map<std::string, reservation> reservations_;
    std::map<std::string, std::int64_t> stock_;
    std::map<std::string, std::string> shipments_; ///< reservation by order
    std::vector<order_processing::ledger_entry> ledger_;
    struct late_request {
        std::string service, key;
        pawl::http::client_request request;
    };
    std::vector<late_request> late_;
    std::optional<pawl::testing::simulated_random> random_;
    int faults_left_ = 0;
    int pending_polls_ = 0;
    int last_id_ = 0;
};

} // namespace simulation_test
