// Functions of the program's own that hang, ignore their cancellation, or throw what is no
// std::exception: each harms its own run at most, and what waits for that run does not wait with
// it.
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

enum class mood : int { rash = 1, stubborn = 2, calm = 3, gone = 4 };

struct note {
    std::string text;
};

/// Whose turn it is; the codec, which has no other way to it, asks.
simulation* whimsical = nullptr;

/// Throws now and then, while things go wrong.
void act_up(simulation& sim, std::uint64_t one_in)
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

/// Acts up, but not for a note without a text: build() asks whether a default object can be
/// written.
template <>
struct pawl::codec<simulation_test::note> {
    static void encode(const simulation_test::note& from, std::string& out)
    {
        if (!from.text.empty() && simulation_test::has_feature("codec"))
            simulation_test::act_up(*simulation_test::whimsical, 40);
        out += from.text;
    }

    static simulation_test::note decode(std::string_view bytes)
    {
        if (simulation_test::has_feature("codec"))
            simulation_test::act_up(*simulation_test::whimsical, 40);
        return {std::string{bytes}};
    }
};

namespace simulation_test {

namespace {

using notes = pawl::client<note, mood>;

pawl::step<mood::stubborn> be_rash(simulation* sim, simulated_process* of, pawl::run<note>& run)
{
    act_up(*sim, 3);
    co_await of->sleep(sim->random().between(0s, 5s));
    act_up(*sim, 3);
    run.object().text += "r";
    co_return pawl::to<mood::stubborn>;
}

/// Does not end when it is cancelled.
pawl::step<mood::calm> be_stubborn(simulation* sim, simulated_process* of, pawl::run<note>& run)
{
    if (has_feature("stubborn") && sim->random().below(3) == 0) {
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await of->sleep(sim->random().between(1min, 30min));
    } else {
        co_await of->sleep(sim->random().between(1s, 30min));
    }
    run.object().text += "s";
    co_return pawl::to<mood::calm>;
}

/// Takes for ever, now and then.
pawl::step<> listen(simulation* sim, simulated_process* of, pawl::run<note>& run, std::string text)
{
    act_up(*sim, 3);
    if (has_feature("hanging") && sim->random().below(4) == 0)
        co_await of->sleep(10h);
    run.object().text += text;
    co_return pawl::repeat_after(0s);
}

pawl::step<mood::calm> calm_down(simulation* sim, pawl::run<note>&)
{
    act_up(*sim, 3);
    co_return pawl::to<mood::calm>;
}

pawl::step<mood::gone> go(pawl::run<note>&)
{
    co_return pawl::to<mood::gone>;
}

asio::awaitable<void> hear(simulation* sim)
{
    // Less often than attempts would run out.
    act_up(*sim, 10);
    co_return;
}

class unruly_scene final : public scene {
public:
    explicit unruly_scene(stage on)
        : on_(std::move(on)),
          notes_(on_.sim.add<note, mood>([this](simulated_process& of) { return notes_in(of); },
                                         on_.where))
    {
        whimsical = &on_.sim;
        const auto count = 2 + on_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            on_.sim.spawn(fmt::format("note {}", i), live(this, i, on_.random.fork()));
    }

    ~unruly_scene() override { whimsical = nullptr; }

    std::vector<std::string> check() override
    {
        std::vector<std::string> violations;
        for (const auto& run : runs_of(on_.sim, "notes"))
            if (has_feature("deletion") && run.state != pawl::run_state::data_deleted)
                violations.push_back(run.foreign_id + ": its data was not deleted");
        return violations;
    }

private:
    pawl::workflow<note, mood> notes_in(simulated_process& of)
    {
        auto* const sim = &on_.sim;
        auto* const with = &of;
        pawl::retry_policy retry{.initial = 500ms, .max_interval = 3s, .max_attempts = 0};
        retry.permanent = [sim](const std::exception_ptr&) {
            act_up(*sim, 3);
            return false;
        };
        pawl::builder<note, mood> b{"notes"};
        b.step<mood::rash>([=](pawl::run<note>& run) { return be_rash(sim, with, run); });
        b.step<mood::stubborn>([=](pawl::run<note>& run) { return be_stubborn(sim, with, run); });
        b.callback<mood::rash, mood::stubborn>("listen", [=](pawl::run<note>& run,
                                                             std::string text) {
             return listen(sim, with, run, std::move(text));
         }).attempt_timeout(5min);
        b.timeout<mood::stubborn>(
            [sim](const pawl::run<note>& run) -> std::optional<pawl::time_point> {
                act_up(*sim, 8);
                return run.now() + 2min;
            },
            [sim](pawl::run<note>& run) { return calm_down(sim, run); });
        b.timeout<mood::calm>(5s, go);
        b.end<mood::gone>();
        b.on_complete([sim](const pawl::snapshot<note, mood>&) { return hear(sim); });
        b.scrub([sim](note& left) {
            act_up(*sim, 2);
            left.text = "scrubbed";
        });
        b.defaults({.retry = retry});
        b.auto_resume(1min, 1'000);
        return std::move(b).build();
    }

    static asio::awaitable<void> say(unruly_scene* self, pawl::run_id to, std::string text,
                                     simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, 2min));
        co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->notes_.async_send(to, "listen", text, {.idempotency_key = text});
        });
    }

    static asio::awaitable<void> command(unruly_scene* self, pawl::run_id to,
                                         simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, 3min));
        co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->notes_.async_pause(to, {"drawn"});
        });
        co_await sim.sleep(random.between(0s, 20s));
        co_await persist(
            &sim, [&]() -> asio::awaitable<void> { co_await self->notes_.async_resume(to); });
    }

    /// A trigger whose timeout cannot say when it is due is refused; it may do better next time.
    static asio::awaitable<void> live(unruly_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, self->on_.fault_duration + settled_after + 1min));
        const auto who = fmt::format("note-{}", number);
        std::optional<pawl::run_id> run;
        while (!run) {
            const auto result = co_await persist(&sim, [&]() -> asio::awaitable<void> {
                run = co_await self->notes_.async_trigger(who, note{"n"},
                                                          {.idempotency_key = "start"});
            });
            if (result && result != errc::encode_failed)
                sim.report_violation("the trigger of " + who + " was refused: " + result.message());
            if (result)
                co_await sim.sleep(5s);
        }
        const auto texts = random.below(3);
        for (std::uint64_t i = 0; i < texts; ++i)
            sim.spawn(fmt::format("word {}.{}", number, i),
                      say(self, *run, fmt::format("w{}", i), random.fork()));
        if (random.below(2) == 0)
            sim.spawn(fmt::format("command {}", number), command(self, *run, random.fork()));
        for (;;) {
            const auto result = co_await persist(&sim, [&]() -> asio::awaitable<void> {
                co_await self->notes_.async_await_finished(*run);
            });
            if (!result)
                break;
            if (result != errc::decode_failed)
                sim.report_violation("an await of " + who + " ended with: " + result.message());
        }
        if (has_feature("deletion"))
            co_await persist(&sim, [&]() -> asio::awaitable<void> {
                co_await self->notes_.async_delete_data(*run, {"drawn"});
            });
    }

    stage on_;
    notes notes_;
};

} // namespace

std::unique_ptr<scene> make_unruly_scene(stage on)
{
    return std::make_unique<unruly_scene>(std::move(on));
}

} // namespace simulation_test
