// An order with parcels: the order starts a child run for each parcel, and each parcel reports its
// end. When the order is cancelled, its parcels are cancelled too.
#include <pawl/builder.hpp>
#include <pawl/engine.hpp>
#include <pawl/memory.hpp>
#include <pawl/testing/test_run.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <iostream>

struct parcel {
    int grams = 0;
    std::string carrier;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (grams, carrier))

enum class parcel_status { packed = 1, on_the_way, delivered };
BOOST_DESCRIBE_ENUM(parcel_status, packed, on_the_way, delivered)

struct order {
    std::vector<int> weights;
    std::vector<std::string> delivered;
};
BOOST_DESCRIBE_STRUCT(order, (), (weights, delivered))

enum class order_status { placed = 1, shipping, complete };
BOOST_DESCRIBE_ENUM(order_status, placed, shipping, complete)

// Names and types, declared once for the workflows and for the handlers that reach them.
constexpr pawl::workflow_handle<parcel, parcel_status> parcels{"parcels"};
constexpr pawl::workflow_handle<order, order_status> orders{"orders"};
constexpr pawl::callback<void> handed_over{"handed-over"};
constexpr pawl::callback<pawl::child_end<parcel, parcel_status>> parcel_ended{"parcel-ended"};

using parcel_end = pawl::child_end<parcel, parcel_status>;
using order_client = pawl::client<order, order_status>;
using parcel_client = pawl::client<parcel, parcel_status>;

pawl::step<parcel_status::on_the_way> hand_to_carrier(pawl::run<parcel>& run)
{
    run.object().carrier = run.object().grams > 1000 ? "truck" : "bicycle";
    co_return pawl::to<parcel_status::on_the_way>;
}

pawl::step<parcel_status::delivered> deliver(pawl::run<parcel>&)
{
    co_return pawl::to<parcel_status::delivered>;
}

// A further attempt of this step starts no parcel again.
pawl::step<order_status::shipping> ship(pawl::run<order>& run)
{
    const auto& weights = run.object().weights;
    for (std::size_t i = 0; i < weights.size(); ++i)
        co_await run.start(
            parcels, run.foreign_id() + "/" + std::to_string(i), {weights[i], ""},
            {.on_end = parcel_ended, .on_parent_cancel = pawl::parent_cancel::cancel});
    co_return pawl::to<order_status::shipping>;
}

// Each end arrives exactly once, whatever crashes.
pawl::step<order_status::complete> note_parcel(pawl::run<order>& run, parcel_end end)
{
    run.object().delivered.push_back(end.foreign_id + " by " + end.object.carrier);
    const auto counts = co_await run.children();
    if (counts.unfinished() == 0)
        co_return pawl::to<order_status::complete>;
    co_return pawl::repeat_after(std::chrono::seconds{0}); // waits for the next parcel
}

pawl::workflow<parcel, parcel_status> parcel_workflow()
{
    pawl::builder b{parcels};
    b.step<parcel_status::packed>(hand_to_carrier);
    b.callback<parcel_status::on_the_way>(handed_over, deliver);
    b.end<parcel_status::delivered>();
    return std::move(b).build();
}

pawl::workflow<order, order_status> order_workflow()
{
    pawl::builder b{orders};
    b.uses(parcels); // an engine without parcels does not start
    b.step<order_status::placed>(ship);
    b.callback<order_status::shipping>(parcel_ended, note_parcel);
    b.end<order_status::complete>();
    return std::move(b).build();
}

boost::asio::awaitable<void> deliver_parcel(parcel_client client, std::string foreign_id)
{
    co_await client.async_call(foreign_id, handed_over);
}

boost::asio::awaitable<void> demonstrate(pawl::engine& engine, order_client order_runs,
                                         parcel_client parcel_runs)
{
    co_await engine.async_start();
    const order two_parcels{{400, 1500}, {}};
    const auto first = co_await order_runs.async_trigger("order-1", two_parcels);
    co_await order_runs.async_await(first, {order_status::shipping});
    co_await deliver_parcel(parcel_runs, "order-1/1");
    co_await deliver_parcel(parcel_runs, "order-1/0");
    const auto complete = co_await order_runs.async_await_finished(first);
    for (const auto& line : complete.object.delivered)
        std::cout << line << "\n";

    const auto second = co_await order_runs.async_trigger("order-2", two_parcels);
    co_await order_runs.async_await(second, {order_status::shipping});
    co_await order_runs.async_cancel(second, "the customer has moved");
    const auto child = co_await parcel_runs.async_find_latest("order-2/0");
    const auto stopped = co_await parcel_runs.async_await_finished(child->id);
    std::cout << stopped.foreign_id << " is " << to_string(stopped.state) << "\n";
    co_await engine.async_stop();
}

// The test of a handler needs no engine: test_run notes the children that it starts.
bool ships_each_parcel_once()
{
    pawl::testing::test_run<order> run{order{{400, 1500}, {}}};
    const bool moved = run.call(ship).moved_to<order_status::shipping>();
    return moved && run.started().size() == 2 &&
           run.started().back().object_as<parcel>().grams == 1500;
}

int main()
{
    boost::asio::io_context io; // the engine and its handlers run in io.run()
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory(), .log = {}}};
    auto parcel_runs = engine.add(parcel_workflow()); // before the engine starts
    auto order_runs = engine.add(order_workflow());
    // use_future: done.get() throws what the coroutine has thrown.
    auto done = boost::asio::co_spawn(io, demonstrate(engine, order_runs, parcel_runs),
                                      boost::asio::use_future);
    io.run(); // returns when the coroutine has ended and the engine has stopped
    done.get();
    std::cout << "test: " << (ships_each_parcel_once() ? "passed" : "failed") << "\n";
}
