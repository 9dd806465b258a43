// Connectors: events from outside start runs and call them back, each exactly once. The transitions
// of a workflow are published as events, and start the runs of another workflow.
#include <pawl/builder.hpp>
#include <pawl/event_streamer.hpp>
#include <pawl/memory.hpp>
#include <pawl/testing/harness.hpp>

#include <iostream>

using namespace std::chrono_literals;

// The payload of the events of the shop and the bank.
struct order {
    std::string number;
    int cents = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (number, cents))

struct sale {
    int due = 0, paid = 0;
};
BOOST_DESCRIBE_STRUCT(sale, (), (due, paid))

enum class stage { ordered = 1, settled };
BOOST_DESCRIBE_ENUM(stage, ordered, settled)
using enum stage;

inline constexpr pawl::callback<order> paid{"paid"};

pawl::step<ordered, settled> take_payment(pawl::run<sale>& run, order payment)
{
    run.object().paid += payment.cents;
    if (run.object().paid < run.object().due)
        co_return pawl::to<ordered>;
    co_return pawl::to<settled>;
}

pawl::workflow<sale, stage> sales()
{
    pawl::builder<sale, stage> b{"sales"};
    b.start<ordered>();
    b.callback<ordered>(paid, take_payment);
    b.end<settled>();
    return std::move(b).build();
}

struct slip {};
BOOST_DESCRIBE_STRUCT(slip, (), ())

enum class slip_state { packing = 1, packed };
BOOST_DESCRIBE_ENUM(slip_state, packing, packed)

pawl::step<slip_state::packed> pack(pawl::run<slip>& run)
{
    std::cout << run.foreign_id() << " is packed\n";
    co_return pawl::to<slip_state::packed>;
}

pawl::workflow<slip, slip_state> packing()
{
    pawl::builder<slip, slip_state> b{"packing"};
    b.step<slip_state::packing>(pack);
    b.end<slip_state::packed>();
    return std::move(b).build();
}

// The payload of an event is decoded as the type of the second parameter. An event starts one run,
// however often it is delivered.
boost::asio::awaitable<void> open_sale(pawl::event_context<sale, stage>& in, order opened)
{
    co_await in.trigger(opened.number, sale{opened.cents});
}

// A payment may arrive before its order. Then send() fails with not_found, and the event is
// retried. An invalid payment becomes a dead letter and does not delay others.
boost::asio::awaitable<void> settle_sale(pawl::event_context<sale, stage>& in, order payment)
{
    if (payment.cents <= 0)
        throw std::runtime_error("a payment of nothing");
    co_await in.send(payment.number, paid, payment);
}

boost::asio::awaitable<void> pack_settled(pawl::event_context<slip, slip_state>& in,
                                          pawl::event change)
{
    if (change.to == static_cast<int>(settled))
        co_await in.trigger(change.foreign_id, slip{});
}

pawl::stream_event make_event(std::string id, order payload)
{
    pawl::stream_event event;
    event.id = std::move(id);
    event.key = payload.number; // events of one key are processed in order
    pawl::codec<order>::encode(payload, event.payload);
    return event;
}

int main()
{
    const auto store = pawl::open_memory();
    const auto broker = pawl::store_streamer(store); // or an adapter to your broker
    const auto orders = sales();
    const auto slips = packing();

    pawl::testing::harness_options options;
    options.engine.store = store;
    options.engine.log = [](const pawl::log_entry& entry) {
        if (entry.level >= pawl::log_level::error)
            std::cout << entry.text << ": " << entry.error << "\n";
    };
    options.configure = [&](pawl::engine& engine) {
        engine.add(slips);
        engine.connect("shop", pawl::from_topic(broker, "orders"), orders, open_sale);
        engine.connect("bank", pawl::from_topic(broker, "payments"), orders, settle_sale,
                       {.retry = {.max_attempts = 3}});
        engine.connect("settled-sales", engine.events("sales"), slips, pack_settled);
        engine.connect("sales-out", engine.events("sales"), orders,
                       pawl::forward_to(broker, "sales"));
    };
    pawl::testing::harness test{orders, std::move(options)};
    const auto send = [&](std::string topic, std::vector<pawl::stream_event> events) {
        test.wait_for(broker->send(std::move(topic), std::move(events)));
        test.run_until_idle();
    };

    send("payments", {make_event("p1", {"order-1", 300}), make_event("p2", {"order-2", 0})});
    send("orders", {make_event("o1", {"order-1", 1000}), make_event("o1", {"order-1", 1000})});
    test.advance(1min);
    test.restart(); // processed events are not delivered again
    send("payments", {make_event("p3", {"order-1", 700})});
    test.run_until_idle();

    for (const auto& sent : test.wait_for(store->topic_events("sales", 0, 100)))
        std::cout << sent.key << " " << sent.type << ", status " << sent.headers.at("status")
                  << "\n";
    for (const auto& letter :
         test.wait_for(store->topic_events(pawl::dead_letter_topic("bank"), 0, 100)))
        std::cout << "dead letter: " << letter.id << "\n";
}
