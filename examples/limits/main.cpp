// Charges through a service that allows two requests a second, and one at a time for each merchant.
// Tenants take turns.
#include <pawl/builder.hpp>
#include <pawl/limits.hpp>
#include <pawl/testing/harness.hpp>

#include <iostream>
#include <string>

using namespace std::chrono_literals;

struct charge {
    std::string tenant, merchant;
};
BOOST_DESCRIBE_STRUCT(charge, (), (tenant, merchant))

enum class state { accepted = 1, charged };
BOOST_DESCRIBE_ENUM(state, accepted, charged)
using enum state;

// Declared once for all steps that call the service.
inline constexpr pawl::limit card_api{"card-api", {.rate = 2, .burst = 1}};
inline constexpr pawl::limit per_merchant{"merchant", {.concurrency = 1}};

pawl::workflow<charge, state> charges(const pawl::clock& clock, pawl::time_point start)
{
    pawl::builder<charge, state> b{"charges"};
    b.step<accepted>([&clock, start](pawl::run<charge>& run) -> pawl::step<charged> {
         const auto since = std::chrono::duration<double>(clock.now() - start).count();
         std::cout << since << " s: " << run.foreign_id() << "\n";
         co_return pawl::to<charged>;
     })
        .within(card_api)
        .within(per_merchant, &charge::merchant)
        .fair_by(&charge::tenant);
    b.end<charged>();
    return std::move(b).build();
}

int main()
{
    const auto clock = std::make_shared<pawl::testing::manual_clock>();
    pawl::testing::harness_options options;
    options.engine.clock = clock;
    pawl::testing::harness test{charges(*clock, clock->now()), std::move(options)};

    // A tenant with a backlog does not delay another one by more than a turn for each charge.
    for (int i = 1; i <= 4; ++i)
        test.trigger("big-" + std::to_string(i), {"big", "m-1"});
    test.trigger("small-1", {"small", "m-2"});
    const auto last = test.trigger("small-2", {"small", "m-2"});

    pawl::limits limits{test.engine()};
    const auto wait = test.wait_for(limits.async_explain(last));
    std::cout << "small-2 waits for " << to_string(wait.value()) << "\n";
    test.advance(5s);
}
