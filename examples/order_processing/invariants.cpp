#include "invariants.hpp"

#include "pawl/http/client.hpp"
#include "pawl/record.hpp"
#include "percent.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace order_processing {
namespace {

using boost::asio::awaitable;
using ledger_entries = std::vector<ledger_entry>;

struct ledger_page {
    ledger_entries entries;
};
BOOST_DESCRIBE_STRUCT(ledger_page, (), (entries))

template <class Page>
awaitable<Page> read_page(pawl::http::client& from, std::string target)
{
    pawl::http::client_request request;
    request.target = std::move(target);
    const std::string name = "GET " + from.url() + request.target;
    pawl::http::client_response answer;
    try {
        answer = co_await from.request(std::move(request));
    } catch (const pawl::http::client_error& error) {
        throw service_error{service_failure::not_sent, error.what()};
    }
    if (answer.status != 200)
        throw service_error{service_failure::unexpected,
                            name + ": status " + std::to_string(answer.status)};
    co_return pawl::codec<Page>::decode(answer.body);
}

awaitable<void> read_ledger(pawl::http::client from, ledger_entries& all)
{
    constexpr std::size_t page_size = 1'000;
    std::uint64_t after = 0;
    for (;;) {
        auto page = co_await read_page<ledger_page>(
            from, "/ledger?limit=" + std::to_string(page_size) + "&after=" + std::to_string(after));
        const bool last = page.entries.size() < page_size;
        if (!page.entries.empty())
            after = page.entries.back().sequence;
        std::move(page.entries.begin(), page.entries.end(), std::back_inserter(all));
        if (last)
            co_return;
    }
}

std::string run_of(const ledger_entry& entry)
{
    return entry.key.substr(0, entry.key.find('/'));
}

money sum_of(const ledger_entries& of_run, std::initializer_list<std::string_view> kinds)
{
    money sum;
    for (const ledger_entry& entry : of_run)
        if (std::find(kinds.begin(), kinds.end(), entry.kind) != kinds.end() && entry.amount)
            sum += *entry.amount;
    return sum;
}

const ledger_entry* find_kind(const ledger_entries& of_run, std::string_view kind)
{
    const auto found = std::find_if(of_run.begin(), of_run.end(),
                                    [&](const ledger_entry& entry) { return entry.kind == kind; });
    return found == of_run.end() ? nullptr : &*found;
}

/// The value of what was shipped, at the prices of the order.
money value_shipped(const Order& order, const ledger_entries& of_run)
{
    std::map<std::string, money> prices;
    for (const auto* list : {&order.items, &order.dropped_items})
        for (const OrderItem& item : *list)
            prices[item.product_id] = item.price;
    money sum;
    for (const ledger_entry& entry : of_run)
        if (entry.kind == "shipment")
            for (const OrderItem& item : entry.items)
                sum += prices[item.product_id] * item.quantity;
    return sum;
}

bool has_ended(const order_view& order)
{
    const auto state = pawl::parse_run_state(order.run_state);
    return state && pawl::is_finished(*state);
}

void check_end(const order_view& order, std::vector<std::string>& broken)
{
    if (order.run_state == "Paused") {
        if (order.reason.empty() && order.last_error.empty())
            broken.push_back(order.order_id + " is paused without a reason");
        return;
    }
    if (!has_ended(order)) {
        broken.push_back(order.order_id + " has not ended: " +
                         std::string{to_string(order.status)} + ", " + order.run_state);
        return;
    }
    if (order.status != OrderStatus::Fulfilled && order.status != OrderStatus::Refunded &&
        order.status != OrderStatus::Cancelled)
        broken.push_back(order.order_id + " ended as " + std::string{to_string(order.status)});
}

void check_effects(const order_view& order, const ledger_entries& of_run,
                   std::vector<std::string>& broken)
{
    const ledger_entry* shipment = find_kind(of_run, "shipment");
    const ledger_entry* reservation = find_kind(of_run, "reserve");
    const money captured = sum_of(of_run, {"charge", "capture"});
    if (shipment && captured == money{})
        broken.push_back(order.order_id + " was shipped without a captured payment");
    if (shipment && !reservation)
        broken.push_back(order.order_id + " was shipped without a reservation");
    if (!has_ended(order))
        return;

    const money kept = captured - sum_of(of_run, {"refund"});
    const money shipped = value_shipped(order.order, of_run);
    if (kept != shipped)
        broken.push_back(order.order_id + ": captured less refunded is " + to_string(kept) +
                         ", but the value shipped is " + to_string(shipped));

    std::set<std::string> held;
    for (const ledger_entry& entry : of_run) {
        if (entry.kind == "reserve")
            held.insert(entry.id);
        if (entry.kind == "release")
            held.erase(entry.id);
    }
    const std::size_t to_ship = shipment ? 1 : 0;
    if (held.size() != to_ship)
        broken.push_back(order.order_id + ": " + std::to_string(held.size()) +
                         " reservations were neither released nor, with " +
                         std::to_string(to_ship) + " shipments, shipped");
}

void check_keys(const ledger_entries& ledgers, std::vector<std::string>& broken)
{
    std::set<std::pair<std::string, std::string>> keys;
    for (const ledger_entry& entry : ledgers)
        if (!keys.emplace(entry.service, entry.key).second)
            broken.push_back("the " + entry.service + " ledger has two effects with the key " +
                             entry.key);
}

} // namespace

awaitable<ledger_entries> read_ledgers(boost::asio::any_io_executor executor, service_urls urls)
{
    ledger_entries all;
    for (std::string* url : {&urls.payment, &urls.inventory, &urls.shipping})
        co_await read_ledger(pawl::http::client{executor, std::move(*url)}, all);
    co_return all;
}

awaitable<std::vector<order_view>> read_orders(boost::asio::any_io_executor executor,
                                               std::string url)
{
    pawl::http::client server{executor, std::move(url)};
    std::vector<order_view> all;
    std::string after;
    do {
        auto page = co_await read_page<order_page>(server, "/orders?limit=500" + after);
        std::move(page.orders.begin(), page.orders.end(), std::back_inserter(all));
        after = page.next ? "&after=" + percent_encoded(*page.next) : "";
    } while (!after.empty());
    co_return all;
}

ledger_entries entries_of(const ledger_entries& ledgers, const std::string& run_id)
{
    ledger_entries of_run;
    for (const ledger_entry& entry : ledgers)
        if (run_of(entry) == run_id)
            of_run.push_back(entry);
    return of_run;
}

std::vector<std::string> broken_invariants(const std::vector<order_view>& orders,
                                           const ledger_entries& ledgers)
{
    std::vector<std::string> broken;
    check_keys(ledgers, broken);

    std::map<std::string, ledger_entries> by_run;
    for (const ledger_entry& entry : ledgers)
        by_run[run_of(entry)].push_back(entry);
    for (const order_view& order : orders) {
        check_end(order, broken);
        check_effects(order, by_run[order.run_id], broken);
        by_run.erase(order.run_id);
    }
    for (const auto& [run, unknown] : by_run)
        broken.push_back("effects were made for " + unknown.front().order_id + ", run " + run +
                         ", which is not in the store");
    return broken;
}

} // namespace order_processing
