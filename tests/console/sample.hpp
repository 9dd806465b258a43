// Runs in each state, whose texts would do harm if a page did not treat them as texts.
#pragma once

#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/record_store.hpp"

#include <boost/describe.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace console_test {

/// Markup, a script, a quote that ends an attribute, a text that is read from right to left.
inline constexpr const char* hostile =
    "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}\u202egnitirw";

struct order {
    std::string customer;
    std::string note;
    std::uint64_t number = 0; ///< above what a double can hold
    double amount = 0;
    std::vector<std::string> items{};
};
BOOST_DESCRIBE_STRUCT(order, (), (customer, note, number, amount, items))

struct payment {
    std::string reference;
    std::uint64_t cents = 0;
};
BOOST_DESCRIBE_STRUCT(payment, (), (reference, cents))

enum class stage { created = 1, checked, awaiting_payment, paid, shipped, abandoned };
BOOST_DESCRIBE_ENUM(stage, created, checked, awaiting_payment, paid, shipped, abandoned)

struct parcel {
    int grams = 0;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (grams))

enum class parcel_stage { packed = 1, on_the_way, delivered };
BOOST_DESCRIBE_ENUM(parcel_stage, packed, on_the_way, delivered)

/// An order whose customer is empty fails for some hours; one of a customer "unknown" pauses.
pawl::workflow<order, stage> orders();
pawl::workflow<parcel, parcel_stage> parcels();

/// A workflow that has no engine in the host, so that its runs are overdue.
pawl::workflow<parcel, parcel_stage> returns();

/// Plays three hours until now.
std::shared_ptr<pawl::record_store> make_history();

/// Connectors, one with dead letters.
void connect(pawl::engine& engine, const std::shared_ptr<pawl::record_store>& store,
             const pawl::workflow<order, stage>& flow);

} // namespace console_test
