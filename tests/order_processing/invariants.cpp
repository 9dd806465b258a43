// The invariants can fail: each kind of wrong book is reported, and right ones are not.
#include "invariants.hpp"

#include "orders.hpp"

#include <boost/test/unit_test.hpp>

#include <functional>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(invariants)

using namespace order_processing;

namespace {

struct books {
    std::vector<order_view> orders;
    std::vector<ledger_entry> ledgers;
};

ledger_entry entry(const char* service, const char* kind, const char* name, const char* id,
                   std::optional<money> amount = {})
{
    ledger_entry made;
    made.service = service;
    made.kind = kind;
    made.key = std::string{"run-1/"} + name;
    made.order_id = "order-001";
    made.id = id;
    made.amount = amount;
    return made;
}

books fulfilled()
{
    books right;
    order_view order;
    order.order_id = "order-001";
    order.run_id = "run-1";
    order.status = OrderStatus::Fulfilled;
    order.run_state = "Completed";
    order.order = sample_order();
    right.orders.push_back(order);
    right.ledgers = {entry("payment", "charge", "charge", "pay_1", order.order.total),
                     entry("inventory", "reserve", "reserve", "res_1"),
                     entry("shipping", "shipment", "ship", "TRACK_order-001")};
    right.ledgers[2].items = {{"laptop", 1, {}}};
    return right;
}

struct wrong_books {
    const char* words;
    std::function<void(books&)> spoil;
};

const std::vector<wrong_books>& table()
{
    static const std::vector<wrong_books> all{
        {"value shipped is 0.00",
         [](books& b) {
             b.ledgers.pop_back();
         }},
        {"captured less refunded is 49.99",
         [](books& b) {
             b.ledgers.push_back(
                 entry("payment", "refund", "refund", "ref_1", money::from_minor(5'000)));
         }},
        {"captured less refunded is 199.98",
         [](books& b) {
             b.ledgers.push_back(
                 entry("payment", "capture", "other", "pay_2", money::from_minor(9'999)));
         }},
        {"shipped without a captured payment",
         [](books& b) {
             b.ledgers.erase(b.ledgers.begin());
         }},
        {"shipped without a reservation",
         [](books& b) {
             b.ledgers.erase(b.ledgers.begin() + 1);
         }},
        {"2 reservations",
         [](books& b) {
             b.ledgers.push_back(entry("inventory", "reserve", "more", "res_2"));
         }},
        {"0 reservations",
         [](books& b) {
             b.ledgers.push_back(entry("inventory", "release", "undo", "res_1"));
         }},
        {"two effects with the key run-1/charge",
         [](books& b) {
             b.ledgers.push_back(b.ledgers.front());
         }},
        {"has not ended",
         [](books& b) {
             b.orders[0].run_state = "Running";
         }},
        {"paused without a reason",
         [](books& b) {
             b.orders[0].run_state = "Paused";
         }},
        {"ended as Validated",
         [](books& b) {
             b.orders[0].status = OrderStatus::Validated;
         }},
        {"not in the store",
         [](books& b) {
             b.orders.clear();
         }},
    };
    return all;
}

} // namespace

BOOST_AUTO_TEST_CASE(right_books_break_none)
{
    const books right = fulfilled();
    const auto broken = broken_invariants(right.orders, right.ledgers);
    BOOST_TEST(broken.empty());
}

BOOST_AUTO_TEST_CASE(each_wrong_book_is_reported)
{
    for (const wrong_books& wrong : table()) {
        books spoilt = fulfilled();
        wrong.spoil(spoilt);
        bool said = false;
        for (const std::string& sentence : broken_invariants(spoilt.orders, spoilt.ledgers))
            said = said || sentence.find(wrong.words) != std::string::npos;
        BOOST_TEST(said, wrong.words);
    }
}

BOOST_AUTO_TEST_CASE(a_paused_order_may_be_in_the_middle)
{
    books paused = fulfilled();
    paused.orders[0].run_state = "Paused";
    paused.orders[0].reason = "shipping does not answer";
    paused.ledgers.pop_back();
    BOOST_TEST(broken_invariants(paused.orders, paused.ledgers).empty());
}

BOOST_AUTO_TEST_CASE(runs_of_the_same_order_have_books_of_their_own)
{
    books two = fulfilled();
    books more = fulfilled();
    more.orders[0].run_id = "run-2";
    for (ledger_entry& each : more.ledgers)
        each.key.replace(0, 5, "run-2");
    two.orders.push_back(more.orders[0]);
    two.ledgers.insert(two.ledgers.end(), more.ledgers.begin(), more.ledgers.end());
    BOOST_TEST(broken_invariants(two.orders, two.ledgers).empty());
    BOOST_TEST(entries_of(two.ledgers, "run-2").size() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
