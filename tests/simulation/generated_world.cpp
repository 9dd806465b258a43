// The clients of a drawn workflow, and what must hold of its objects.
#include "simulation/generated.hpp"
#include "simulation/worlds.hpp"

#include "pawl/builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using pawl::testing::simulated_random;
using pawl::testing::simulation;
using tales = pawl::client<tale, place>;

namespace {

/// What a client does in its life is drawn when it begins, so that it does not hang on the others.
struct generated_scene {
    simulation& sim;
    tales client;
    const drawn_workflow& drawn;
    int last_payload = 0;
};

/// The answer was lost, or nobody was there: asks again.
bool worth_repeating(const pawl::error_code& why)
{
    return why == errc::store_unavailable || why == errc::not_running || why == errc::overloaded;
}

asio::awaitable<void> call_back(generated_scene* in, pawl::run_id run, simulated_random random)
{
    co_await in->sim.sleep(random.between(0s, 2min));
    const int status = 1 + static_cast<int>(random.below(in->drawn.statuses.size()));
    const bool declared = std::ranges::any_of(in->drawn.statuses, [&](const drawn_status& each) {
        return each.callback && &each == &in->drawn.statuses[static_cast<std::size_t>(status - 1)];
    });
    const auto payload = std::to_string(++in->last_payload);
    pawl::callback_options options;
    options.idempotency_key = payload;
    if (random.below(3) == 0)
        options.expires_after = random.between(1s, 5min);
    for (;;) {
        pawl::error_code result;
        try {
            if (random.below(3) == 0)
                co_await in->client.async_send(run, callback_of(status), payload, options);
            else
                co_await in->client.async_call(run, callback_of(status), payload, options);
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (!declared && !result)
            in->sim.report_violation("a callback that is not declared was accepted");
        if (!worth_repeating(result))
            co_return;
        co_await in->sim.sleep(random.between(100ms, 2s));
    }
}

asio::awaitable<void> command(generated_scene* in, pawl::run_id run, simulated_random random)
{
    co_await in->sim.sleep(random.between(0s, 3min));
    const auto what = random.below(8);
    for (int tries = 0; tries < 5; ++tries) {
        pawl::error_code result;
        try {
            if (what < 4)
                co_await in->client.async_pause(run, {"drawn", "somebody"});
            else if (what < 7)
                co_await in->client.async_resume(run);
            else
                co_await in->client.async_cancel(run, {"drawn"});
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (!worth_repeating(result))
            co_return;
        co_await in->sim.sleep(random.between(100ms, 2s));
    }
}

bool has_begun(simulation& sim, const std::string& foreign_id, const std::string& key)
{
    pawl::record_query query;
    query.foreign_ids = {foreign_id};
    query.limit = 1'000;
    return std::ranges::any_of(sim.read(sim.store().list(query)).runs,
                               [&](const pawl::record& run) { return run.start_key == key; });
}

asio::awaitable<std::optional<pawl::run_id>> begin(generated_scene* in, std::string foreign_id,
                                                   std::string key, simulated_random random)
{
    for (;;) {
        pawl::error_code result;
        try {
            auto run =
                co_await in->client.async_trigger(foreign_id, tale{}, {.idempotency_key = key});
            co_return run;
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (result == errc::already_running && has_begun(in->sim, foreign_id, key))
            in->sim.report_violation("a repeated trigger was not told of its first run");
        if (!worth_repeating(result) && result != errc::already_running)
            in->sim.report_violation("a trigger was refused: " + result.message());
        if (!worth_repeating(result))
            co_return std::nullopt;
        co_await in->sim.sleep(random.between(100ms, 2s));
    }
}

asio::awaitable<void> see_the_end(generated_scene* in, pawl::run_id run, simulated_random random)
{
    for (;;) {
        try {
            const auto end = co_await in->client.async_await_finished(run);
            if (!is_finished(end.state))
                in->sim.report_violation("an await of the end reported " + to_string(end.state));
            co_return;
        } catch (const pawl::system_error& e) {
            if (!worth_repeating(e.code()))
                in->sim.report_violation("an await ended with: " + e.code().message());
        }
        co_await in->sim.sleep(random.between(100ms, 2s));
    }
}

asio::awaitable<void> live(generated_scene* in, int number, simulated_random random)
{
    const auto rounds = 1 + random.below(2);
    for (std::uint64_t round = 0; round < rounds; ++round) {
        co_await in->sim.sleep(random.between(0s, 1min));
        const auto foreign_id = "f" + std::to_string(random.below(3));
        const auto key = fmt::format("k{}.{}", number, round);
        const auto run = co_await begin(in, foreign_id, key, random.fork());
        if (!run)
            continue;
        const auto callbacks = random.below(5);
        for (std::uint64_t i = 0; i < callbacks; ++i)
            in->sim.spawn(fmt::format("caller {}.{}.{}", number, round, i),
                          call_back(in, *run, random.fork()));
        if (random.below(3) == 0)
            in->sim.spawn(fmt::format("operator {}.{}", number, round),
                          command(in, *run, random.fork()));
        co_await see_the_end(in, *run, random.fork());
    }
}

std::vector<pawl::event> history_of(simulation& sim, pawl::run_id run)
{
    return sim.read(sim.store().history(run, 0, 1'000));
}

/// Takes the version from the trail. A handler notes the version that its commit would have; those
/// before it may have settled messages meanwhile.
bool take_from(std::vector<std::string>& trail, const std::vector<pawl::event>& history,
               std::size_t at)
{
    for (;; --at) {
        const auto noted = std::ranges::find(trail, std::to_string(history[at].version));
        if (noted != trail.end()) {
            trail.erase(noted);
            return true;
        }
        if (at == 0 || history[at - 1].kind != pawl::event_kind::message_settled)
            return false;
    }
}

/// The object tells of each commit that saved it, and of none that did not happen.
void check_tale(simulation& sim, const pawl::record& run, std::vector<std::string>& violations)
{
    using enum pawl::event_kind;
    const auto object = pawl::codec<tale>::decode(run.object);
    auto trail = object.trail;
    const auto history = history_of(sim, run.id);
    const auto must_save = [](const pawl::event& each) {
        return each.kind == checkpointed || (each.kind == moved && each.error.empty());
    };
    for (std::size_t i = 0; i < history.size(); ++i)
        if (must_save(history[i]) && !take_from(trail, history, i))
            violations.push_back(fmt::format("{}: the object does not know of version {}, {}",
                                         run.foreign_id, history[i].version,
                                         to_string(history[i].kind)));
    for (std::size_t i = 0; i < history.size(); ++i) {
        const auto& each = history[i];
        const bool may_save = each.kind == moved || each.kind == completed ||
                              each.kind == repeated || each.kind == message_settled;
        if (may_save)
            take_from(trail, history, i);
    }
    for (const auto& left : trail)
        violations.push_back(fmt::format("{}: the object knows of version {} twice, or there is none",
                                     run.foreign_id, left));
    auto heard = object.heard;
    std::ranges::sort(heard);
    if (std::ranges::adjacent_find(heard) != heard.end())
        violations.push_back(run.foreign_id + ": a callback was handled twice");
}

std::vector<std::string> check_tales(simulation& sim)
{
    std::vector<std::string> violations;
    pawl::record_query query;
    query.limit = 1'000;
    for (const auto& run : sim.read(sim.store().list(query)).runs)
        check_tale(sim, run, violations);
    return violations;
}

} // namespace

simulation_result run_generated(simulation_options options)
{
    simulated_random random{options.seed ^ 0x7a1e};
    const auto drawn = draw(random.fork());
    options.engine.max_active_runs = random.below(4) == 0 ? 2 : 1'000;
    options.engine.max_batch = random.below(3) == 0 ? 1 : 100;
    if (options.engines == 1)
        options.engines = 1 + 2 * static_cast<int>(random.below(2));
    simulation sim{std::move(options)};
    effect_ledger ledger{sim};
    auto client = sim.add<tale, place>([&](pawl::testing::simulated_process& process) {
        return make_workflow(drawn, sim, ledger, process);
    });
    generated_scene in{sim, client, drawn};
    const auto customers = 3 + static_cast<int>(random.below(4));
    for (int i = 0; i < customers; ++i)
        sim.spawn("customer " + std::to_string(i), live(&in, i, random.fork()));
    sim.check([&] { return check_tales(sim); });
    return sim.run();
}

} // namespace simulation_test
