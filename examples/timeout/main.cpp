// An offer that expires: a status with two independent timeouts, tested on simulated time.
#include <pawl/builder.hpp>
#include <pawl/testing/harness.hpp>

#include <iostream>

using namespace std::chrono_literals;

struct offer {
    std::string customer;
    int reminders = 0;
};
BOOST_DESCRIBE_STRUCT(offer, (), (customer, reminders))

enum class state { offered = 1, accepted, expired };
BOOST_DESCRIBE_ENUM(state, offered, accepted, expired)
using enum state;

// repeat_after() saves the object and arms the timeout again.
pawl::step<offered> remind(pawl::run<offer>& run)
{
    std::cout << "reminder " << ++run.object().reminders << " to " << run.object().customer << "\n";
    co_return pawl::repeat_after(9h);
}

pawl::step<expired> expire(pawl::run<offer>&)
{
    co_return pawl::to<expired>;
}

pawl::step<accepted> accept_offer(pawl::run<offer>&)
{
    co_return pawl::to<accepted>;
}

pawl::workflow<offer, state> offers()
{
    pawl::builder<offer, state> b{"offers"};
    b.callback<offered>("accept", accept_offer);
    b.timeout<offered>("remind", 9h, remind);
    b.timeout<offered>("expire", 24h, expire);
    b.end<accepted, expired>();
    return std::move(b).build();
}

int main()
{
    pawl::testing::harness test{offers()};
    const auto slow = test.trigger("offer-1", {"Ada"});
    const auto quick = test.trigger("offer-2", {"Grace"});
    test.advance(10h); // runs everything that is due on the way
    test.callback(quick, "accept", pawl::bytes{});
    test.advance(14h);
    for (const auto run : {slow, quick}) {
        const auto end = test.find(run);
        std::cout << end.object.customer
                  << (end.status == expired ? ": expired\n" : ": accepted\n");
    }
}
