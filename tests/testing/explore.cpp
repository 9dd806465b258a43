// The search for defects in a user's workflow: a payment with one mistake at a time, each of which
// is found without a check of the user's own, and the same payment without a mistake.
#include "pawl/testing/explore.hpp"
#include "pawl/builder.hpp"
#include "pawl/testing/simulated_service.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <set>

BOOST_AUTO_TEST_SUITE(exploring)

namespace {

using namespace std::chrono_literals;
using boost::asio::awaitable;
using pawl::testing::simulated_process;
using pawl::testing::simulated_service;
using pawl::testing::simulation;
using pawl::testing::simulation_options;
using pawl::testing::simulation_result;

enum class mistake {
    none,
    charge_without_key,
    key_of_the_attempt,
    shipment_without_key,
    price_not_recorded,
    key_of_the_message,
    receipt_without_key
};

struct payment {
    int price = 0;
};
BOOST_DESCRIBE_STRUCT(payment, (), (price))

enum class paying { requested = 1, charged, shipped };
BOOST_DESCRIBE_ENUM(paying, requested, charged, shipped)

constexpr pawl::callback<pawl::bytes> ship{"ship"};

/// The workflow on one process.
struct program {
    simulation* sim;
    simulated_service* bank;
    simulated_service* depot;
    simulated_service* mail;
    simulated_process* process;
    mistake made;

    int price_now() const
    {
        return static_cast<int>(process->now().time_since_epoch() / 1s % 1000);
    }

    static pawl::step<paying::charged> charge(program self, pawl::run<payment>& run)
    {
        if (self.made == mistake::price_not_recorded)
            run.object().price = self.price_now();
        else
            run.object().price = co_await run.once("price", [self] { return self.price_now(); });
        auto key = run.idempotency_key("charge");
        if (self.made == mistake::charge_without_key)
            key.clear();
        if (self.made == mistake::key_of_the_attempt)
            key += std::to_string(self.sim->random().next());
        co_await self.bank->call(*self.process,
                                 {.effect = "charge",
                                  .subject = std::string{run.foreign_id()},
                                  .key = std::move(key),
                                  .body = std::to_string(run.object().price)},
                                 [] {});
        co_return pawl::to<paying::charged>;
    }

    static pawl::step<paying::shipped> send(program self, pawl::run<payment>& run)
    {
        auto key = run.idempotency_key_per_run("ship");
        if (self.made == mistake::shipment_without_key)
            key.clear();
        if (self.made == mistake::key_of_the_message)
            key = run.idempotency_key("ship");
        co_await self.depot->call(
            *self.process,
            {.effect = "ship", .subject = std::string{run.foreign_id()}, .key = std::move(key)},
            [] { return std::string{"a parcel"}; });
        co_return pawl::to<paying::shipped>;
    }

    static awaitable<void> receipt(program self, std::string id)
    {
        auto key = id + "/receipt";
        if (self.made == mistake::receipt_without_key)
            key.clear();
        co_await self.mail->call(*self.process, {.effect = "receipt", .subject = id, .key = key},
                                 [] {});
    }

    pawl::workflow<payment, paying> workflow() const
    {
        pawl::builder<payment, paying> b{"payments"};
        b.step<paying::requested>(
            [self = *this](pawl::run<payment>& run) { return charge(self, run); });
        b.callback<paying::charged>(
            ship, [self = *this](pawl::run<payment>& run, pawl::bytes) { return send(self, run); });
        b.end<paying::shipped>();
        b.on_complete([self = *this](const pawl::snapshot<payment, paying>& run) {
            return receipt(self, run.foreign_id);
        });
        return std::move(b).build();
    }
};

using payments = pawl::client<payment, paying>;

/// Repeats what nobody knows the outcome of.
awaitable<void> buy(simulation* sim, payments client, std::string id)
{
    for (bool done = false; !done; co_await sim->sleep(1s)) {
        try {
            co_await client.async_trigger(id, payment{}, {.idempotency_key = id});
            co_await client.async_call(id, ship, pawl::bytes{}, {.idempotency_key = id});
            done = true;
        } catch (const pawl::system_error& failure) {
            done = failure.code() == pawl::errc::already_finished;
        }
    }
}

simulation_result live_with(mistake made, simulation_options options)
{
    simulation sim{std::move(options)};
    simulated_service bank{sim, "bank"};
    simulated_service depot{sim, "depot"};
    simulated_service mail{sim, "mail"};
    auto client = sim.add<payment, paying>([&](simulated_process& process) {
        return program{&sim, &bank, &depot, &mail, &process, made}.workflow();
    });
    for (int i = 0; i < 3; ++i)
        sim.spawn("customer", buy(&sim, client, "order-" + std::to_string(i)));
    return sim.run();
}

pawl::testing::simulated_life life_with(mistake made)
{
    return [made](simulation_options options) {
        return live_with(made, std::move(options));
    };
}

pawl::testing::exploration_options seeds(std::uint64_t count)
{
    pawl::testing::exploration_options options;
    options.seeds = count;
    options.base.engine.hook_retry.max_attempts = 1'000; // its events are no dead letters here
    return options;
}

void expect_found(mistake made, const std::string& words)
{
    const auto result = pawl::testing::explore(life_with(made), seeds(200));
    BOOST_REQUIRE_MESSAGE(result.found.has_value(), words);
    BOOST_TEST_MESSAGE("seed " << result.found->seed << ": " << result.found->sentences.front());
    BOOST_TEST(result.found->sentences.front().find(words) != std::string::npos,
               result.found->sentences.front());
    // The finding is repeated from its seed.
    const auto again = live_with(made, options_of(seeds(1), result.found->seed));
    BOOST_TEST(again.violations == result.found->sentences, boost::test_tools::per_element());
}

} // namespace

BOOST_AUTO_TEST_CASE(a_correct_workflow_is_clean)
{
    const auto result = pawl::testing::explore(life_with(mistake::none), seeds(100));
    BOOST_TEST(!result.found.has_value(),
               (result.found ? result.found->sentences.front() : std::string{}));
    BOOST_TEST(result.seeds == 100u);
    BOOST_TEST(result.runs == 300u);
    BOOST_TEST(result.crashes > 0u);
}

BOOST_AUTO_TEST_CASE(effects_without_a_key_are_found)
{
    expect_found(mistake::charge_without_key, "bank: charge of order-");
    expect_found(mistake::shipment_without_key, "depot: ship of order-");
    expect_found(mistake::receipt_without_key, "mail: receipt of order-");
}

BOOST_AUTO_TEST_CASE(an_effect_that_is_made_twice_is_found)
{
    expect_found(mistake::key_of_the_attempt, " was made twice, under the keys ");
    // A message that has failed for good is sent again, and has another key.
    expect_found(mistake::key_of_the_message, " was made twice, under the keys ");
}

BOOST_AUTO_TEST_CASE(a_repeated_request_with_other_arguments_is_found)
{
    expect_found(mistake::price_not_recorded, " was requested under the key ");
}

BOOST_AUTO_TEST_CASE(a_program_that_is_not_repeatable_is_found)
{
    const auto lives = std::make_shared<std::atomic<int>>(0);
    const auto result = pawl::testing::explore(
        [lives](simulation_options options) {
            options.fault_duration = std::chrono::minutes{++*lives};
            return live_with(mistake::none, std::move(options));
        },
        seeds(10));
    BOOST_REQUIRE(result.found.has_value());
    BOOST_TEST(result.found->sentences.front().find("two simulations of seed 1 differ") == 0u);
}

BOOST_AUTO_TEST_CASE(what_a_life_throws_is_a_finding)
{
    const auto result = pawl::testing::explore([](simulation_options options) -> simulation_result {
        if (options.seed == 7)
            throw std::runtime_error("no such seed");
        return {};
    });
    BOOST_REQUIRE(result.found.has_value());
    BOOST_TEST(result.found->seed == 7u);
    BOOST_TEST(result.found->sentences.front() == "the simulation threw: no such seed");
}

BOOST_AUTO_TEST_CASE(several_threads_find_the_lowest_seed_that_fails)
{
    auto options = seeds(50);
    options.repeat_every = 0;
    const auto alone = pawl::testing::explore(life_with(mistake::key_of_the_attempt), options);
    options.threads = 4;
    const auto together = pawl::testing::explore(life_with(mistake::key_of_the_attempt), options);
    BOOST_REQUIRE((alone.found && together.found));
    BOOST_TEST(together.found->seed == alone.found->seed);
    BOOST_TEST(together.found->sentences.front().find(" was made twice") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(fault_rates_follow_from_the_seed_and_vary)
{
    std::set<std::uint32_t> rates;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        const auto drawn = pawl::testing::draw_faults(seed);
        BOOST_TEST(drawn.call_lost == pawl::testing::draw_faults(seed).call_lost);
        rates.insert(drawn.call_lost);
    }
    BOOST_TEST(rates.size() == 4u); // none, the default, and two that are higher
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused)
{
    auto options = seeds(1);
    options.threads = 0;
    BOOST_CHECK_THROW(pawl::testing::explore(life_with(mistake::none), options),
                      pawl::definition_error);
    options = seeds(0);
    BOOST_CHECK_THROW(pawl::testing::explore(life_with(mistake::none), options),
                      pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
