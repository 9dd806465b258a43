#include "sample.hpp"

#include "pawl/connector.hpp"
#include "pawl/event_streamer.hpp"
#include "pawl/memory.hpp"
#include "pawl/schedule.hpp"
#include "pawl/testing/harness.hpp"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>

namespace console_test {

using namespace std::chrono_literals;

namespace {

constexpr pawl::workflow_handle<parcel, parcel_stage> parcel_handle{"parcels"};
constexpr pawl::callback<payment> pay{"pay"};
constexpr std::uint64_t large_number = 9'007'199'254'740'993; // 2^53 + 1

pawl::step<stage::checked> check_order(pawl::run<order>& run)
{
    if (run.object().customer.empty())
        throw std::runtime_error(fmt::format("the customer service refused: {}", hostile));
    if (run.object().customer == "unknown")
        throw std::runtime_error("there is no customer \"unknown\"");
    co_return pawl::to<stage::checked>;
}

pawl::step<stage::awaiting_payment> reserve_items(pawl::run<order>& run)
{
    co_await run.once("reserve items", [] { return std::string{"reserved"}; });
    const auto& items = run.object().items;
    for (std::size_t i = 0; i < items.size(); ++i)
        co_await run.start(parcel_handle, fmt::format("{}/{}", run.foreign_id(), i), {700});
    co_return pawl::to<stage::awaiting_payment>;
}

pawl::step<stage::paid> take_payment(pawl::run<order>& run, payment received)
{
    run.object().note += " paid by " + received.reference;
    co_return pawl::to<stage::paid>;
}

pawl::step<stage::abandoned> abandon(pawl::run<order>&)
{
    co_return pawl::to<stage::abandoned>;
}

pawl::step<stage::shipped> ship(pawl::run<order>&)
{
    co_return pawl::to<stage::shipped>;
}

pawl::step<parcel_stage::on_the_way> hand_over(pawl::run<parcel>&)
{
    co_return pawl::to<parcel_stage::on_the_way>;
}

pawl::step<parcel_stage::delivered> deliver(pawl::run<parcel>&)
{
    co_return pawl::to<parcel_stage::delivered>;
}

pawl::workflow<parcel, parcel_stage> parcel_workflow(std::string name)
{
    pawl::builder<parcel, parcel_stage> b{std::move(name)};
    b.step<parcel_stage::packed>(hand_over);
    b.step<parcel_stage::on_the_way>(deliver).start_delay(1h);
    b.end<parcel_stage::delivered>();
    return std::move(b).build();
}

/// An unknown customer stays unknown.
bool is_permanent(const std::exception_ptr& error)
{
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& fault) {
        return std::string_view{fault.what()}.starts_with("there is no customer");
    }
}

boost::asio::awaitable<void> refuse_payment(pawl::event_context<order, stage>&, payment)
{
    throw std::runtime_error(fmt::format("no order has this payment: {}", hostile));
    co_return;
}

using order_harness = pawl::testing::harness<order, stage>;

pawl::testing::harness_options options_of(const std::shared_ptr<pawl::record_store>& store,
                                          pawl::time_point start)
{
    pawl::testing::harness_options options;
    options.engine.store = store;
    options.engine.clock = std::make_shared<pawl::testing::manual_clock>(start);
    return options;
}

order make_order(std::string customer)
{
    return {.customer = std::move(customer),
            .note = hostile,
            .number = large_number,
            .amount = 12.5,
            .items = {"a book", hostile}};
}

void start_returns(const std::shared_ptr<pawl::record_store>& store, pawl::time_point start)
{
    std::optional<pawl::client<parcel, parcel_stage>> all;
    auto options = options_of(store, start);
    options.configure = [&](pawl::engine& engine) {
        engine.add(parcels());
        all.emplace(engine.add(returns()));
    };
    order_harness bench{orders(), std::move(options)};
    for (int i = 1; i <= 3; ++i)
        bench.wait_for(all->async_trigger(fmt::format("return-{}", i), {300 * i}));
    bench.run_until_idle();
    all.reset();
}

void play_orders(order_harness& bench)
{
    auto& client = bench.client();
    for (int i = 1; i <= 60; ++i)
        bench.trigger(fmt::format("order-{}", 1000 + i), {.customer = "Ada"});
    const auto paid = bench.trigger("order-2001", make_order("Grace"));
    bench.trigger(hostile, make_order("Ada"));
    bench.trigger("failing order", make_order(""));
    bench.trigger("unknown customer", make_order("unknown"));
    const auto held = bench.trigger("held order", make_order("Bob"));
    const auto cancelled = bench.trigger("cancelled order", make_order("Eve"));
    bench.advance(20min);
    bench.callback(paid, pay.name(), payment{"transfer-7", large_number});
    bench.wait_for(client.async_pause(held, {hostile, "operator <b>Mallory</b>"}));
    bench.wait_for(client.async_cancel(cancelled, {"the customer has called", "ada"}));
    bench.wait_for(client.async_send(held, pay, payment{hostile, large_number}));
    pawl::schedules schedules{client};
    bench.wait_for(schedules.async_set("hourly", make_order("Ada"),
                                       {.when = "@every 1h", .foreign_id = "hourly order"}));
    bench.wait_for(schedules.async_set("nightly", make_order("Ada"),
                                       {.when = "0 3 * * *", .zone = "Europe/Berlin"}));
}

} // namespace

pawl::workflow<order, stage> orders()
{
    pawl::builder<order, stage> b{"orders"};
    b.step<stage::created>(check_order)
        .retry(
            {.initial = 20s, .max_interval = 30min, .max_attempts = 30, .permanent = is_permanent});
    b.step<stage::checked>(reserve_items);
    b.callback<stage::awaiting_payment>(pay, take_payment);
    b.timeout<stage::awaiting_payment>("not paid", 48h, abandon);
    b.step<stage::paid>(ship);
    b.end<stage::shipped, stage::abandoned>();
    b.uses(parcel_handle);
    b.attribute("customer", &order::customer);
    return std::move(b).build();
}

pawl::workflow<parcel, parcel_stage> parcels()
{
    return parcel_workflow(parcel_handle.name());
}

pawl::workflow<parcel, parcel_stage> returns()
{
    return parcel_workflow("returns");
}

std::shared_ptr<pawl::record_store> make_history()
{
    const auto store = pawl::open_memory();
    const auto start = pawl::default_clock()->now() - 3h;
    start_returns(store, start);
    auto options = options_of(store, start + 1s);
    options.configure = [](pawl::engine& engine) {
        engine.add(parcels());
    };
    order_harness bench{orders(), std::move(options)};
    play_orders(bench);
    pawl::stream_event event;
    event.id = "payment-1";
    event.key = hostile;
    event.at = bench.now();
    pawl::codec<payment>::encode(payment{hostile, large_number}, event.payload);
    bench.wait_for(pawl::store_streamer(store)->send("payments", {event}));
    bench.advance(pawl::default_clock()->now() - bench.now());
    return store;
}

void connect(pawl::engine& engine, const std::shared_ptr<pawl::record_store>& store,
             const pawl::workflow<order, stage>& flow)
{
    engine.connect("bank", pawl::from_topic(pawl::store_streamer(store), "payments"), flow,
                   refuse_payment, {.retry = {.max_attempts = 1}});
}

} // namespace console_test
