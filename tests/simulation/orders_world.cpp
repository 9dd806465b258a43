// Customers of the order workflow: what they send, and what must hold of their money and goods.
#include "simulation/scenes.hpp"
#include "simulation/services.hpp"
#include "simulation/worlds.hpp"

#include "order_view.hpp"
#include "workflow.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace simulation_test {

using namespace std::chrono_literals;
using namespace order_processing;
namespace asio = boost::asio;
using pawl::errc;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;
using orders = pawl::client<Order, OrderStatus>;

namespace {

/// Products of which there is little.
constexpr std::int64_t few = 3;

/// Longer than a customer waits before a cancel is handled.
constexpr pawl::duration slowest_request = 8s;

Order draw_order(std::string id, simulated_random& random)
{
    order_request sent;
    sent.id = std::move(id);
    sent.customer_id = random.below(3) == 0 ? "premium_customer" : "customer";
    const auto lines = 1 + random.below(2);
    for (std::uint64_t i = 0; i < lines; ++i) {
        const bool dear = random.below(5) == 0;
        sent.items.push_back({"product-" + std::to_string(2 * i + random.below(2)),
                              1 + static_cast<int>(random.below(3)),
                              money::from_minor(dear ? 60'000 : 1'999)});
    }
    sent.total = value_of(sent.items);
    constexpr const char* methods[] = {"credit_card", "debit_card", "stuck_card", "invalid_card"};
    const auto drawn = random.below(10);
    sent.payment_method = methods[drawn < 5 ? 0 : drawn < 8 ? 1 : drawn < 9 ? 2 : 3];
    sent.shipping_address = {"1 Main St", "Town", "CA", "1",
                             random.below(10) == 0 ? "Nowhere" : "USA"};
    sent.allow_partial = random.below(2) == 0;
    return new_order(std::move(sent), {});
}

struct shop {
    simulation& sim;
    orders client;
};

asio::awaitable<void> send_cancellation(shop* in, pawl::run_id run, simulated_random random)
{
    co_await in->sim.sleep(random.between(0s, 2min));
    for (;;) {
        pawl::error_code result;
        try {
            co_await in->client.async_call(run, "cancel", cancel_request{"drawn"},
                                           {.idempotency_key = "cancel"});
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (!may_be_retried(result))
            co_return;
        co_await in->sim.sleep(random.between(100ms, 2s));
    }
}

asio::awaitable<void> buy(shop* in, int number, simulated_random random)
{
    co_await in->sim.sleep(random.between(0s, 2min));
    const auto id = "order-" + std::to_string(number);
    const auto order = draw_order(id, random);
    std::optional<pawl::run_id> run;
    while (!run) {
        pawl::error_code result;
        try {
            run = co_await in->client.async_trigger(id, order, {.idempotency_key = id});
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (run)
            break;
        if (!may_be_retried(result))
            in->sim.report_violation(id + ": the trigger failed: " + result.message());
        co_await in->sim.sleep(random.between(100ms, 2s));
    }
    if (random.below(4) == 0)
        in->sim.spawn("cancellation " + std::to_string(number),
                      send_cancellation(in, *run, random.fork()));
    for (bool seen = false; !seen;) {
        try {
            const auto end = co_await in->client.async_await_finished(*run);
            seen = is_finished(end.state);
        } catch (const pawl::system_error& e) {
            if (!may_be_retried(e.code()))
                in->sim.report_violation(id + ": an await failed: " + e.code().message());
        }
        if (!seen)
            co_await in->sim.sleep(random.between(100ms, 2s));
    }
}

std::vector<order_view> views_of(simulation& sim, const orders& client)
{
    std::vector<order_view> views;
    pawl::record_query query;
    query.limit = 1'000;
    for (const auto& run : sim.read(sim.store().list(query)).runs)
        views.push_back(view_of(pawl::make_snapshot(client.definition(), run)));
    return views;
}

/// Each order must end, and each of its effects must be in the ledger once.
std::vector<std::string> check_books(simulation& sim, const orders& client, order_world& services)
{
    services.deliver_late_requests();
    return broken_invariants(views_of(sim, client), services.ledger());
}

} // namespace

simulation_result run_orders(simulation_options options)
{
    simulated_random random{options.seed ^ 0x0de5};
    options.faults.latency_max = slowest_request;
    order_world services;
    services.set_stock("product-1", few);
    services.set_stock("product-3", 0);
    services.set_pending_polls(static_cast<int>(random.below(3)));
    services.misbehave(random.fork(), static_cast<int>(random.below(6)));
    order_options rules;
    if (options.engines == 1)
        options.engines = 1 + 2 * static_cast<int>(random.below(2));
    simulation sim{std::move(options)};
    std::deque<order_services> clients; // of each life
    auto client = sim.add<Order, OrderStatus>([&](simulated_process& process) {
        clients.push_back(services.services_of(process));
        const auto told = [](const order_snapshot&) {
        };
        return order_workflow(clients.back(), rules, {told, told, told});
    });
    shop in{sim, client};
    const auto customers = 3 + static_cast<int>(random.below(3));
    for (int i = 0; i < customers; ++i)
        sim.spawn("customer " + std::to_string(i), buy(&in, i, random.fork()));
    sim.check([&] { return check_books(sim, client, services); });
    return sim.run();
}

namespace {

/// Sends the order and, maybe, the cancellation, each until it is answered.
asio::awaitable<void> buy_one(shop* in, Order order, bool cancels)
{
    std::optional<pawl::run_id> run;
    bool cancelled = !cancels;
    for (bool seen = false; !seen;) {
        pawl::error_code result;
        try {
            if (!run)
                run = co_await in->client.async_trigger(order.id, order,
                                                        {.idempotency_key = "start"});
            if (!cancelled) {
                // Cancelled: by this customer, in an earlier life of the server.
                co_await in->client.async_await(
                    *run, {OrderStatus::PaymentProcessing, OrderStatus::Cancelled});
                co_await in->client.async_call(*run, "cancel", cancel_request{"drawn"},
                                               {.idempotency_key = "cancel"});
                cancelled = true;
            }
            const auto end = co_await in->client.async_await_finished(*run);
            seen = is_finished(end.state);
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (result == errc::finished_in_other_status || result == errc::already_finished)
            cancelled = true; // the answer to the cancellation was lost
        else if (result && !may_be_retried(result))
            throw pawl::system_error(result);
        if (!seen)
            co_await in->sim.sleep(500ms);
    }
}

} // namespace

simulation_result run_one_order(simulation_options options, const order_case& fixed,
                                std::vector<std::string>& effects)
{
    order_world services;
    services.set_stock("product", 2);
    services.set_pending_polls(fixed.pending_polls);
    order_options rules;
    rules.payment_timeout = 20s;
    simulation sim{std::move(options)};
    std::deque<order_services> clients; // of each life
    auto client = sim.add<Order, OrderStatus>([&](simulated_process& process) {
        clients.push_back(services.services_of(process));
        const auto told = [](const order_snapshot&) {
        };
        return order_workflow(clients.back(), rules, {told, told, told});
    });
    order_request sent;
    sent.id = "order-1";
    sent.customer_id = "premium_customer";
    sent.items = {{"product", fixed.quantity, money::from_minor(1'999)}};
    sent.total = value_of(sent.items);
    sent.payment_method = fixed.payment_method;
    sent.shipping_address = {"1 Main St", "Town", "CA", "1", fixed.country};
    sent.allow_partial = fixed.allow_partial;
    shop in{sim, client};
    sim.spawn("the customer", buy_one(&in, new_order(std::move(sent), {}), fixed.cancels));
    sim.check([&] { return check_books(sim, client, services); });
    auto result = sim.run();
    effects.clear();
    for (const auto& entry : services.ledger())
        effects.push_back(entry.kind + (entry.amount ? " " + to_string(*entry.amount) : ""));
    return result;
}

} // namespace simulation_test
