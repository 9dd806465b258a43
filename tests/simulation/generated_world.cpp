// The clients of a drawn workflow, and the checks of its objects.
#include "simulation/generated.hpp"
#include "simulation/scenes.hpp"
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
using generated_client = pawl::client<generated_data, generated_status>;

namespace {

/// Each client has its own random numbers, so that it does not depend on other clients.
struct generated_scene {
    simulation& sim;
    generated_client client;
    const drawn_workflow& drawn;
    int last_payload = 0;
};

asio::awaitable<void> call_back(generated_scene* in, pawl::run_id run, simulated_random random)
{
    co_await in->sim.sleep(random.between(0s, 2min));
    const int status = 1 + static_cast<int>(random.below(in->drawn.statuses.size()));
    const bool declared =
        std::ranges::any_of(in->drawn.statuses, [&](const drawn_status& candidate) {
            return candidate.callback &&
                   &candidate == &in->drawn.statuses[static_cast<std::size_t>(status - 1)];
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
            in->sim.report_violation(
                fmt::format("run {}: callback {} is not declared, but was accepted", to_string(run),
                            callback_of(status)));
        if (!may_be_retried(result))
            co_return;
        co_await in->sim.sleep(random.between(100ms, 2s));
    }
}

asio::awaitable<void> command(generated_scene* in, pawl::run_id run, simulated_random random)
{
    co_await in->sim.sleep(random.between(0s, 3min));
    const auto kind = random.below(8);
    for (int tries = 0; tries < 5; ++tries) {
        pawl::error_code result;
        try {
            if (kind < 4)
                co_await in->client.async_pause(run, {"drawn", "somebody"});
            else if (kind < 7)
                co_await in->client.async_resume(run);
            else
                co_await in->client.async_cancel(run, {"drawn"});
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (!may_be_retried(result))
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
            auto run = co_await in->client.async_trigger(foreign_id, generated_data{},
                                                         {.idempotency_key = key});
            co_return run;
        } catch (const pawl::system_error& e) {
            result = e.code();
        }
        if (result == errc::already_running && has_begun(in->sim, foreign_id, key))
            in->sim.report_violation(
                foreign_id + ": a repeated trigger got already_running; expected its first run");
        if (!may_be_retried(result) && result != errc::already_running)
            in->sim.report_violation(foreign_id + ": a trigger failed: " + result.message());
        if (!may_be_retried(result))
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
                in->sim.report_violation("run " + to_string(run) +
                                         ": an await of the end reported " + to_string(end.state) +
                                         "; expected a finished state");
            co_return;
        } catch (const pawl::system_error& e) {
            if (!may_be_retried(e.code()))
                in->sim.report_violation("run " + to_string(run) +
                                         ": an await failed: " + e.code().message());
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

/// Fills in attributes while runs commit, which must change nothing that is found.
asio::awaitable<void> fill_attributes(generated_scene* in, simulated_random random)
{
    pawl::list_position position;
    for (int pages = 0; pages < 20; ++pages) {
        co_await in->sim.sleep(random.between(1s, 20s));
        try {
            const auto page =
                co_await in->client.async_fill_attributes(position, 1 + random.below(4));
            position = page.next;
        } catch (const pawl::system_error& e) {
            if (!may_be_retried(e.code()))
                in->sim.report_violation("attributes were not filled in: " + e.code().message());
        }
    }
}

/// Removes the version of the event from `saved_versions`. A handler records the version that its
/// commit would have. Commits that settled messages in between may have raised the actual version.
bool remove_version(std::vector<std::string>& saved_versions,
                    const std::vector<pawl::event>& history, std::size_t index)
{
    for (;; --index) {
        const auto saved =
            std::ranges::find(saved_versions, std::to_string(history[index].version));
        if (saved != saved_versions.end()) {
            saved_versions.erase(saved);
            return true;
        }
        if (index == 0 || history[index - 1].kind != pawl::event_kind::message_settled)
            return false;
    }
}

/// The object must name each commit that saved it once, and no other version.
void check_object(simulation& sim, const pawl::record& run, std::vector<std::string>& violations)
{
    using enum pawl::event_kind;
    const auto object = pawl::codec<generated_data>::decode(run.object);
    auto versions = object.saved_versions;
    const auto history = history_of(sim, run.id);
    const auto must_save = [](const pawl::event& entry) {
        return entry.kind == checkpointed || (entry.kind == moved && entry.error.empty());
    };
    for (std::size_t i = 0; i < history.size(); ++i)
        if (must_save(history[i]) && !remove_version(versions, history, i))
            violations.push_back(fmt::format("{}: the object lacks version {} ({})", run.foreign_id,
                                             history[i].version, to_string(history[i].kind)));
    for (std::size_t i = 0; i < history.size(); ++i) {
        const auto kind = history[i].kind;
        if (kind == moved || kind == completed || kind == repeated || kind == message_settled)
            remove_version(versions, history, i);
    }
    for (const auto& version : versions)
        violations.push_back(
            fmt::format("{}: the object has version {} twice, or it was not committed",
                        run.foreign_id, version));
    auto payloads = object.payloads;
    std::ranges::sort(payloads);
    if (std::ranges::adjacent_find(payloads) != payloads.end())
        violations.push_back(run.foreign_id + ": a callback was handled twice");
}

/// The runs that a query for the value of an attribute finds.
std::vector<pawl::run_id> found_by(simulation& sim, const pawl::stored_attribute& wanted)
{
    pawl::record_query query;
    query.workflow = "drawn";
    query.attributes = {{wanted.name, *wanted.value}};
    query.limit = 1'000;
    std::vector<pawl::run_id> found;
    for (const auto& run : sim.read(sim.store().list(query)).runs)
        found.push_back(run.id);
    return found;
}

/// Each run must be found by the values of its object, if its last commit was made by a program
/// that has the attributes, and by no others.
void check_attributes(simulation& sim, const std::vector<pawl::record>& runs, bool all_have_them,
                      std::vector<std::string>& violations)
{
    for (const auto& run : runs) {
        const auto values = attributes_of(pawl::codec<generated_data>::decode(run.object));
        if (run.attributes.empty() ? all_have_them : run.attributes != values)
            violations.push_back(run.foreign_id + ": its attributes are not those of its object");
        for (const auto& attribute : values) {
            if (!attribute.value)
                continue;
            std::vector<pawl::run_id> wanted;
            for (const auto& other : runs)
                if (std::ranges::find(other.attributes, attribute) != other.attributes.end())
                    wanted.push_back(other.id);
            if (found_by(sim, attribute) != wanted)
                violations.push_back(fmt::format("{}: other runs than those with its {} are found",
                                                 run.foreign_id, attribute.name));
        }
    }
}

std::vector<std::string> check_objects(simulation& sim, const drawn_workflow& drawn)
{
    std::vector<std::string> violations;
    pawl::record_query query;
    query.limit = 1'000;
    const auto runs = sim.read(sim.store().list(query)).runs;
    for (const auto& run : runs)
        check_object(sim, run, violations);
    check_attributes(sim, runs, !drawn.new_attributes, violations);
    return violations;
}

} // namespace

simulation_result run_generated(simulation_options options)
{
    simulated_random random{options.seed ^ 0x7a1e};
    auto drawn = draw(random.fork());
    drawn.new_attributes = random.below(2) == 0;
    options.engine.max_active_runs = random.below(4) == 0 ? 2 : 1'000;
    options.engine.max_batch = random.below(3) == 0 ? 1 : 100;
    if (options.engines == 1)
        options.engines = 1 + 2 * static_cast<int>(random.below(2));
    simulation sim{std::move(options)};
    effect_ledger ledger{sim};
    auto client =
        sim.add<generated_data, generated_status>([&](pawl::testing::simulated_process& process) {
            return make_workflow(drawn, sim, ledger, process);
        });
    generated_scene in{sim, client, drawn};
    const auto customers = 3 + static_cast<int>(random.below(4));
    for (int i = 0; i < customers; ++i)
        sim.spawn("customer " + std::to_string(i), live(&in, i, random.fork()));
    if (!drawn.new_attributes) // else an engine without them may commit later
        sim.spawn("filler", fill_attributes(&in, random.fork()));
    sim.check([&] { return check_objects(sim, drawn); });
    return sim.run();
}

} // namespace simulation_test
