// A payment workflow with one mistake at a time, and the same workflow without a mistake. No check
// of its own: each mistake is found by the simulation and its services alone.
#pragma once

#include "pawl/builder.hpp"
#include "pawl/testing/explore.hpp"
#include "pawl/testing/simulated_service.hpp"

#include <chrono>
#include <string>
#include <utility>

namespace payment_test {

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
    receipt_without_key,
    unknown_charge_held
};

struct payment {
    int price = 0;
};
BOOST_DESCRIBE_STRUCT(payment, (), (price))

enum class paying { requested = 1, charged, shipped, held };
BOOST_DESCRIBE_ENUM(paying, requested, charged, shipped, held)

inline constexpr pawl::callback<pawl::bytes> ship{"ship"};
inline constexpr pawl::callback<pawl::bytes> release{"release"};

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

    static pawl::step<paying::charged, paying::held> charge(program self, pawl::run<payment>& run)
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
        bool is_unknown = false;
        try {
            co_await self.bank->call(*self.process,
                                     {.effect = "charge",
                                      .subject = std::string{run.foreign_id()},
                                      .key = std::move(key),
                                      .body = std::to_string(run.object().price)},
                                     [] {});
        } catch (const pawl::testing::simulated_call_error& failure) {
            if (self.made != mistake::unknown_charge_held || !failure.may_have_happened())
                throw;
            is_unknown = true;
        }
        if (is_unknown) // nothing releases the run again
            co_return pawl::to<paying::held>;
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
        b.callback<paying::held>(
            release, [](pawl::run<payment>&, pawl::bytes) -> pawl::step<paying::charged> {
                co_return pawl::to<paying::charged>;
            });
        b.end<paying::shipped>();
        b.on_complete([self = *this](const pawl::snapshot<payment, paying>& run) {
            return receipt(self, run.foreign_id);
        });
        return std::move(b).build();
    }
};

using payments = pawl::client<payment, paying>;

/// Repeats each call whose outcome is unknown, and waits for the shipment if `waits`.
inline awaitable<void> buy(simulation* sim, payments client, std::string id, bool waits)
{
    for (bool done = false; !done; co_await sim->sleep(1s)) {
        try {
            co_await client.async_trigger(id, payment{}, {.idempotency_key = id});
            if (waits)
                co_await client.async_call(id, ship, pawl::bytes{}, {.idempotency_key = id});
            else
                co_await client.async_send(id, ship, pawl::bytes{}, {.idempotency_key = id});
            done = true;
        } catch (const pawl::system_error& failure) {
            done = failure.code() == pawl::errc::already_finished;
        }
    }
}

inline simulation_result live_with(mistake made, simulation_options options)
{
    simulation sim{std::move(options)};
    simulated_service bank{sim, "bank"};
    simulated_service depot{sim, "depot"};
    simulated_service mail{sim, "mail"};
    auto client = sim.add<payment, paying>([&](simulated_process& process) {
        return program{&sim, &bank, &depot, &mail, &process, made}.workflow();
    });
    const bool waits = made != mistake::unknown_charge_held; // a run that is held has no answer
    for (int i = 0; i < 3; ++i)
        sim.spawn("customer", buy(&sim, client, "order-" + std::to_string(i), waits));
    return sim.run();
}

inline pawl::testing::simulated_life life_with(mistake made)
{
    return [made](simulation_options options) {
        return live_with(made, std::move(options));
    };
}

inline pawl::testing::exploration_options seeds(std::uint64_t count)
{
    pawl::testing::exploration_options options;
    options.seeds = count;
    options.base.engine.hook_retry.max_attempts = 1'000; // its events are no dead letters here
    return options;
}

} // namespace payment_test
