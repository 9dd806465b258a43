// Hooks: functions that are called for the events of a run, in order and at least once, without
// delaying the run.
#include <pawl/builder.hpp>
#include <pawl/testing/harness.hpp>

#include <iostream>

using namespace std::chrono_literals;

struct parcel {
    std::string address;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (address))

enum class place { warehouse = 1, truck, door };
BOOST_DESCRIBE_ENUM(place, warehouse, truck, door)
using enum place;

using parcel_snapshot = pawl::snapshot<parcel, place>;

pawl::step<truck> load(pawl::run<parcel>& run)
{
    if (run.object().address.empty())
        throw std::runtime_error("no address");
    co_return pawl::to<truck>;
}

pawl::step<door> deliver(pawl::run<parcel>&)
{
    co_return pawl::to<door>;
}

// The snapshot shows the run as it was at the event, even if the run has moved on since.
boost::asio::awaitable<void> print_parcel(const char* text, const parcel_snapshot& parcel)
{
    std::cout << parcel.foreign_id << " " << text;
    if (!parcel.reason.empty())
        std::cout << ": " << parcel.reason;
    std::cout << "\n";
    co_return;
}

int main()
{
    int attempts = 0;
    pawl::builder<parcel, place> b{"parcels"};
    b.step<warehouse>(load).retry({.max_attempts = 1});
    b.step<truck>(deliver);
    b.end<door>();
    b.on_start([](const parcel_snapshot& p) { return print_parcel("is here", p); });
    b.on_enter<truck>([](const parcel_snapshot& p) { return print_parcel("is on its way", p); });
    b.on_pause([](const parcel_snapshot& p) { return print_parcel("needs somebody", p); });
    b.on_cancel([](const pawl::event& event, const parcel_snapshot& p) {
        std::cout << "(asked by " << event.requested_by << ") ";
        return print_parcel("goes back", p);
    });
    b.on_complete([&attempts](const parcel_snapshot& p) -> boost::asio::awaitable<void> {
        if (++attempts < 3) // the hook is retried; other parcels do not wait
            throw std::runtime_error("the customer's line is busy");
        co_await print_parcel("has arrived", p);
    });

    pawl::testing::harness test{std::move(b).build()};
    test.trigger("parcel-1", {"1 Main Street"});
    const auto lost = test.trigger("parcel-2", {""});
    test.wait_for(test.client().async_cancel(lost, {"no address", "the warehouse"}));
    test.advance(10s);
}
