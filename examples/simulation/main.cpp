// Finds a defect that shows only after crashes or lost answers: the simulation finds it in a
// payment workflow, and finds nothing in the corrected workflow. --help lists the arguments of the
// search.
#include <pawl/builder.hpp>
#include <pawl/testing/explore.hpp>
#include <pawl/testing/simulated_service.hpp>

#include <iostream>

using namespace std::chrono_literals;
namespace kit = pawl::testing;

struct payment {
    int cents = 0;
};
BOOST_DESCRIBE_STRUCT(payment, (), (cents))

enum class state { requested = 1, charged, shipped };
BOOST_DESCRIBE_ENUM(state, requested, charged, shipped)
using enum state;

inline constexpr pawl::callback<pawl::bytes> ship{"ship"};

// What the handlers of one process use: the services, and the process, which may crash.
struct environment {
    kit::simulated_service* bank;
    kit::simulated_service* depot;
    kit::simulated_process* process;
    bool corrected;
};

pawl::step<charged> charge(environment env, pawl::run<payment>& run)
{
    co_await env.bank->call(*env.process,
                            {.effect = "charge",
                             .subject = std::string{run.foreign_id()},
                             .key = run.idempotency_key("charge"),
                             .body = std::to_string(run.object().cents)},
                            [] {});
    co_return pawl::to<charged>;
}

// The defect: the scope of idempotency_key() is the message. When the attempts of a message are
// used up, the customer sends another message, so the shipment gets another key. The scope of the
// key must be the run.
pawl::step<shipped> send(environment env, pawl::run<payment>& run)
{
    auto key = run.idempotency_key("ship");
    if (env.corrected)
        key = run.idempotency_key_per_run("ship");
    co_await env.depot->call(
        *env.process,
        {.effect = "ship", .subject = std::string{run.foreign_id()}, .key = std::move(key)}, [] {});
    co_return pawl::to<shipped>;
}

pawl::workflow<payment, state> payments(environment env)
{
    pawl::builder<payment, state> b{"payments"};
    b.step<requested>([env](pawl::run<payment>& run) { return charge(env, run); });
    b.callback<charged>(ship, [env](pawl::run<payment>& run, pawl::bytes) {
         return send(env, run);
     }).retry({.max_attempts = 3});
    b.end<shipped>();
    return std::move(b).build();
}

// A customer repeats each call whose outcome is unknown, with the same keys.
boost::asio::awaitable<void> buy(kit::simulation* sim, pawl::client<payment, state> client)
{
    for (bool done = false; !done; co_await sim->sleep(1s)) {
        try {
            co_await client.async_trigger("order-1", {300}, {.idempotency_key = "order-1"});
            co_await client.async_call("order-1", ship, {}, {.idempotency_key = "order-1"});
            done = true;
        } catch (const pawl::system_error& failure) {
            done = failure.code() == pawl::errc::already_finished;
        }
    }
}

kit::simulated_life simulate_payments(bool corrected)
{
    return [corrected](kit::simulation_options options) {
        kit::simulation sim{std::move(options)};
        kit::simulated_service bank{sim, "bank"};
        kit::simulated_service depot{sim, "depot"};
        auto client = sim.add<payment, state>([&](kit::simulated_process& process) {
            return payments({&bank, &depot, &process, corrected});
        });
        sim.spawn("a customer", buy(&sim, client));
        return sim.run();
    };
}

int main(int argc, char** argv)
{
    if (argc > 1)
        return kit::simulation_main(argc, argv, simulate_payments(false));
    for (const bool corrected : {false, true}) {
        const auto result = kit::explore(simulate_payments(corrected), {.seeds = 200});
        std::cout << (corrected ? "corrected: " : "with the defect: ");
        const auto sentence = result.found ? result.found->sentences.front() : std::string{};
        if (result.found) // without the rest of the sentence, which names the two keys
            std::cout << sentence.substr(0, sentence.find(',')) << "\n";
        else
            std::cout << result.seeds << " seeds, every check held\n";
    }
}
