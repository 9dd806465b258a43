// Telling the world: hooks on a run's life, in its order, at least once, and off its path.
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

using seen = pawl::snapshot<parcel, place>;

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

// What a hook sees is its event, even if the run has gone on since.
boost::asio::awaitable<void> say(const char* what, const seen& parcel)
{
    std::cout << parcel.foreign_id << " " << what;
    if (!parcel.reason.empty())
        std::cout << ": " << parcel.reason;
    std::cout << "\n";
    co_return;
}

int main()
{
    int tries = 0;
    pawl::builder<parcel, place> b{"parcels"};
    b.step<warehouse>(load).retry({.max_attempts = 1});
    b.step<truck>(deliver);
    b.end<door>();
    b.on_start([](const seen& p) { return say("is here", p); });
    b.on_enter<truck>([](const seen& p) { return say("is on its way", p); });
    b.on_pause([](const seen& p) { return say("needs somebody", p); });
    b.on_cancel([](const pawl::event& what, const seen& p) {
        std::cout << "(asked by " << what.requested_by << ") ";
        return say("goes back", p);
    });
    b.on_complete([&tries](const seen& p) -> boost::asio::awaitable<void> {
        if (++tries < 3) // tried again, later; no parcel waits for that
            throw std::runtime_error("the customer's line is busy");
        co_await say("has arrived", p);
    });

    pawl::testing::harness test{std::move(b).build()};
    test.trigger("parcel-1", {"1 Main Street"});
    const auto lost = test.trigger("parcel-2", {""});
    test.wait_for(test.client().async_cancel(lost, {"no address", "the warehouse"}));
    test.advance(10s);
}
