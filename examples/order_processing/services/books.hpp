#pragma once

#include "money.hpp"
#include "services/database.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace order_processing::services {

/// The answer of a service to an idempotency key, and the request that it belongs to.
struct kept_answer {
    std::string target; ///< method and path of the request
    std::uint64_t body_hash = 0;
    int status = 0;
    std::string body;
};

/// One effect, as the ledger shows it. Entries are never changed.
struct entry {
    std::int64_t sequence = 0; ///< given by the books; without gaps over all services
    std::string service;       ///< "payment", "inventory", "shipping"
    std::string kind;
    std::string key; ///< the idempotency key
    std::string order_id;
    std::string id; ///< of the object that was created or changed; empty if there is none
    std::optional<money> amount;
    std::optional<std::string> payment_method;
    std::optional<std::string> items; ///< JSON
    std::int64_t recorded_at = 0;     ///< given by the books; microseconds since the Unix epoch
};

struct payment {
    std::string id;
    std::string key; ///< of the charge
    std::string order_id;
    std::string method;
    std::string status; ///< "processing", "completed", "voided" or "refunded"
    money amount;
    money captured;
    money refunded;
    std::int64_t polls_left =
        0; ///< while processing: look-ups until it is completed; below 0: never
};

struct reservation {
    std::string id;
    std::string order_id;
    std::string items;  ///< JSON
    std::string status; ///< "reserved", "released" or "shipped"
};

struct shipped_order {
    std::string tracking_number;
    std::string reservation_id;
};

/// The tables of the three services, in one database. Each call is part of the transaction that
/// its caller has begun.
///
/// Errors: each function throws ledger_error.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class books {
public:
    /// Creates the tables in an empty database. @throws ledger_error also when the database belongs
    /// to another program, or to a newer version.
    explicit books(database& on);

    std::optional<kept_answer> find_answer(std::string_view service, std::string_view key);
    void keep_answer(std::string_view service, std::string_view key, const kept_answer& answer);

    /// An id for the object of the next entry: unique among all ledgers, e.g. "pay_1f08c2d9_17".
    std::string new_id(std::string_view prefix) const;
    void add_entry(entry added);

    /// Up to `limit` entries of the service after a sequence; an empty order id means all orders.
    std::vector<entry> entries(std::string_view service, std::string_view order_id,
                               std::int64_t after, std::size_t limit);

    std::optional<payment> find_payment(std::string_view id);
    void add_payment(const payment& added);
    void update_payment(const payment& changed);

    std::optional<reservation> find_reservation(std::string_view id);
    void add_reservation(const reservation& added);
    void set_reservation_status(std::string_view id, std::string_view status);

    /// The stock of a product; empty: unlimited.
    std::optional<std::int64_t> stock(std::string_view product_id);
    void set_stock(std::string_view product_id, std::int64_t quantity);

    std::optional<shipped_order> find_shipment(std::string_view order_id);
    void add_shipment(std::string_view order_id, std::string_view tracking_number,
                      std::string_view reservation_id);

    /// Reads the state of the database again, after a rollback.
    void reload();

private:
    database& database_;
    std::string instance_;
    std::int64_t last_sequence_ = 0;

    statement find_answer_;
    statement keep_answer_;
    statement add_entry_;
    statement entries_;
    statement entries_of_order_;
    statement find_payment_;
    statement add_payment_;
    statement update_payment_;
    statement find_reservation_;
    statement add_reservation_;
    statement set_reservation_status_;
    statement find_stock_;
    statement set_stock_;
    statement find_shipment_;
    statement add_shipment_;
};

} // namespace order_processing::services
