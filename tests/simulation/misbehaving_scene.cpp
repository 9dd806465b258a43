// Functions of the program that hang, ignore their cancellation, or throw something that is not a
// std::exception. Each affects its own run only.
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

enum class note_status : int { throwing = 1, uncancelled = 2, calm = 3, gone = 4 };

struct note {
    std::string text;
};

/// The running simulation. The codec has no other access to it.
simulation* codec_simulation = nullptr;

/// Throws once in `one_in` calls during the fault phase.
void throw_sometimes(simulation& sim, std::uint64_t one_in)
{
    auto& random = sim.random();
    if (!sim.faults_active() || random.below(one_in) > 0)
        return;
    switch (random.below(3)) {
    case 0:
        throw std::runtime_error("drawn");
    case 1:
        throw 7;
    default:
        throw std::string("drawn");
    }
}

} // namespace

} // namespace simulation_test

/// Throws sometimes, but not for a note without a text: build() encodes a default object.
template <>
struct pawl::codec<simulation_test::note> {
    static void encode(const simulation_test::note& from, std::string& out)
    {
        if (!from.text.empty() && simulation_test::has_feature("codec"))
            simulation_test::throw_sometimes(*simulation_test::codec_simulation, 40);
        out += from.text;
    }

    static simulation_test::note decode(std::string_view bytes)
    {
        if (simulation_test::has_feature("codec"))
            simulation_test::throw_sometimes(*simulation_test::codec_simulation, 40);
        return {std::string{bytes}};
    }
};

namespace simulation_test {

namespace {

using notes = pawl::client<note, note_status>;

pawl::step<note_status::uncancelled> run_throwing_step(simulation* sim, simulated_process* process,
                                                       pawl::run<note>& run)
{
    throw_sometimes(*sim, 3);
    co_await process->sleep(sim->random().between(0s, 5s));
    throw_sometimes(*sim, 3);
    run.object().text += "r";
    co_return pawl::to<note_status::uncancelled>;
}

/// Does not end when it is cancelled.
pawl::step<note_status::calm> run_uncancelled_step(simulation* sim, simulated_process* process,
                                                   pawl::run<note>& run)
{
    if (has_feature("uncancelled") && sim->random().below(3) == 0) {
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await process->sleep(sim->random().between(1min, 30min));
    } else {
        co_await process->sleep(sim->random().between(1s, 30min));
    }
    run.object().text += "s";
    co_return pawl::to<note_status::calm>;
}

/// Hangs for ten hours once in four calls.
pawl::step<> listen(simulation* sim, simulated_process* process, pawl::run<note>& run,
                    std::string text)
{
    throw_sometimes(*sim, 3);
    if (has_feature("hanging") && sim->random().below(4) == 0)
        co_await process->sleep(10h);
    run.object().text += text;
    co_return pawl::repeat_after(0s);
}

pawl::step<note_status::calm> time_out(simulation* sim, pawl::run<note>&)
{
    throw_sometimes(*sim, 3);
    co_return pawl::to<note_status::calm>;
}

pawl::step<note_status::gone> go(pawl::run<note>&)
{
    co_return pawl::to<note_status::gone>;
}

asio::awaitable<void> run_hook(simulation* sim)
{
    // Rarely enough that retries are not exhausted.
    throw_sometimes(*sim, 10);
    co_return;
}

class misbehaving_scene final : public scene {
public:
    explicit misbehaving_scene(scene_setup setup)
        : setup_(std::move(setup)),
          notes_(setup_.sim.add<note, note_status>(
              [this](simulated_process& process) { return notes_in(process); }, setup_.where))
    {
        codec_simulation = &setup_.sim;
        const auto count = 2 + setup_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            setup_.sim.spawn(fmt::format("note {}", i), live(this, i, setup_.random.fork()));
    }

    ~misbehaving_scene() override { codec_simulation = nullptr; }

    std::vector<std::string> check() override
    {
        std::vector<std::string> violations;
        for (const auto& run : runs_of(setup_.sim, "notes"))
            if (has_feature("deletion") && run.state != pawl::run_state::data_deleted)
                violations.push_back(run.foreign_id + ": the run is " + to_string(run.state) +
                                     "; expected DataDeleted");
        return violations;
    }

private:
    pawl::workflow<note, note_status> notes_in(simulated_process& process)
    {
        auto* const sim = &setup_.sim;
        auto* const p = &process;
        pawl::retry_policy retry{.initial = 500ms, .max_interval = 3s, .max_attempts = 0};
        retry.permanent = [sim](const std::exception_ptr&) {
            throw_sometimes(*sim, 3);
            return false;
        };
        pawl::builder<note, note_status> b{"notes"};
        b.step<note_status::throwing>(
            [=](pawl::run<note>& run) { return run_throwing_step(sim, p, run); });
        b.step<note_status::uncancelled>(
            [=](pawl::run<note>& run) { return run_uncancelled_step(sim, p, run); });
        b.callback<note_status::throwing, note_status::uncancelled>(
             "listen", [=](pawl::run<note>& run,
                           std::string text) { return listen(sim, p, run, std::move(text)); })
            .attempt_timeout(5min);
        b.timeout<note_status::uncancelled>(
            [sim](const pawl::run<note>& run) -> std::optional<pawl::time_point> {
                throw_sometimes(*sim, 8);
                return run.now() + 2min;
            },
            [sim](pawl::run<note>& run) { return time_out(sim, run); });
        b.timeout<note_status::calm>(5s, go);
        b.end<note_status::gone>();
        b.on_complete([sim](const pawl::snapshot<note, note_status>&) { return run_hook(sim); });
        b.scrub([sim](note& object) {
            throw_sometimes(*sim, 2);
            object.text = "scrubbed";
        });
        b.defaults({.retry = retry});
        b.auto_resume(1min, 1'000);
        return std::move(b).build();
    }

    static asio::awaitable<void> send_text(misbehaving_scene* self, pawl::run_id run,
                                           std::string text, simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, 2min));
        co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->notes_.async_send(run, "listen", text, {.idempotency_key = text});
        });
    }

    static asio::awaitable<void> command(misbehaving_scene* self, pawl::run_id run,
                                         simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, 3min));
        co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->notes_.async_pause(run, {"drawn"});
        });
        co_await sim.sleep(random.between(0s, 20s));
        co_await retry_until_answered(
            &sim, [&]() -> asio::awaitable<void> { co_await self->notes_.async_resume(run); });
    }

    /// A trigger fails if the timeout's function throws; it is repeated until it succeeds.
    static asio::awaitable<void> live(misbehaving_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, self->setup_.fault_duration + recovery_time + 1min));
        const auto foreign_id = fmt::format("note-{}", number);
        std::optional<pawl::run_id> run;
        while (!run) {
            const auto result = co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
                run = co_await self->notes_.async_trigger(foreign_id, note{"n"},
                                                          {.idempotency_key = "start"});
            });
            if (result && result != errc::encode_failed)
                sim.report_violation(foreign_id + ": the trigger failed: " + result.message());
            if (result)
                co_await sim.sleep(5s);
        }
        const auto texts = random.below(3);
        for (std::uint64_t i = 0; i < texts; ++i)
            sim.spawn(fmt::format("word {}.{}", number, i),
                      send_text(self, *run, fmt::format("w{}", i), random.fork()));
        if (random.below(2) == 0)
            sim.spawn(fmt::format("command {}", number), command(self, *run, random.fork()));
        for (;;) {
            const auto result = co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
                co_await self->notes_.async_await_finished(*run);
            });
            if (!result)
                break;
            if (result != errc::decode_failed)
                sim.report_violation(foreign_id + ": an await failed: " + result.message());
        }
        if (has_feature("deletion"))
            co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
                co_await self->notes_.async_delete_data(*run, {"drawn"});
            });
    }

    scene_setup setup_;
    notes notes_;
};

} // namespace

std::unique_ptr<scene> make_misbehaving_scene(scene_setup setup)
{
    return std::make_unique<misbehaving_scene>(std::move(setup));
}

} // namespace simulation_test
