// Versions of one program that replace each other at restarts and run side by side. The object has
// three forms; a status, a timeout and a callback exist in some versions only.
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <fmt/format.h>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::errc;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

enum class copy : int { draft = 1, review = 2, published = 3, rejected = 4 };

/// Version 1 has `pages`; version 2 renames it to `sheets`; version 3 stores twice as many
/// `leaves`.
struct paper {
    int written = 0;
    std::optional<int> pages;
    std::optional<int> sheets;
    std::optional<int> leaves;
};
BOOST_DESCRIBE_STRUCT(paper, (), (written, pages, sheets, leaves))

using papers = pawl::client<paper, copy>;

constexpr int newest = 3;
constexpr int pages_wanted = 5;

/// One version of the program in one process.
struct program {
    simulation* sim;
    simulated_process* process;
    int version;

    /// The number that this version uses. The others must be empty.
    std::optional<int>* number(paper& object) const
    {
        std::optional<int>* const numbers[] = {&object.pages, &object.sheets, &object.leaves};
        for (int other = 1; other <= newest; ++other)
            if (other != version && numbers[other - 1]->has_value() && process->alive())
                sim->report_violation(
                    fmt::format("a program of version {} got an object of version {}; expected a "
                                "migrated object",
                                version, other));
        return numbers[version - 1];
    }

    int step() const { return version == 3 ? 2 : 1; }
};

void rename(boost::json::value& document, const char* from, const char* to, int factor)
{
    auto& object = document.as_object();
    if (const auto* found = object.if_contains(from)) {
        const auto number = found->as_int64() * factor;
        object.erase(from);
        object[to] = number;
    }
}

void write_page(const program& in, paper& object)
{
    auto& number = *in.number(object);
    number = number.value_or(0) + in.step();
    ++object.written;
}

pawl::step<copy::review, copy::published> write(program in, pawl::run<paper>& run)
{
    co_await in.process->sleep(in.sim->random().between(0s, 2s));
    co_await run.once("effect", [] { return 1; });
    write_page(in, run.object());
    if (run.object().written < pages_wanted)
        co_return pawl::repeat_after(in.sim->random().between(1s, 20s));
    if (in.version == 1)
        co_return pawl::to<copy::published>;
    co_return pawl::to<copy::review>;
}

pawl::step<> add_page(program in, pawl::run<paper>& run, int)
{
    write_page(in, run.object());
    co_return pawl::repeat_after(0s);
}

/// Repeats until a timeout or the limit of pages ends the review.
pawl::step<copy::published> review(program in, pawl::run<paper>& run)
{
    write_page(in, run.object());
    if (run.object().written > 3 * pages_wanted)
        co_return pawl::to<copy::published>;
    co_return pawl::repeat_after(30s);
}

pawl::step<copy::published> publish(pawl::run<paper>&)
{
    co_return pawl::to<copy::published>;
}

class versions_scene final : public scene {
public:
    explicit versions_scene(scene_setup setup)
        : setup_(std::move(setup)), random_(setup_.random.fork()),
          papers_(setup_.sim.add<paper, copy>(
              [this](simulated_process& process) { return papers_in(process); }, setup_.where))
    {
        const auto count = 2 + setup_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            setup_.sim.spawn(fmt::format("author {}", i), live(this, i, setup_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        std::vector<std::string> violations;
        for (const auto& run : runs_of(setup_.sim, "papers")) {
            if (run.status != static_cast<int>(copy::published))
                violations.push_back(fmt::format("{}: ended in status {}; expected {}",
                                                 run.foreign_id, run.status,
                                                 static_cast<int>(copy::published)));
            for (const auto& entry : history_of(setup_.sim, run.id))
                if (entry.kind == pawl::event_kind::attempt_failed)
                    violations.push_back(
                        fmt::format("{}: version {} is a failed attempt; expected none: {}",
                                    run.foreign_id, entry.version, entry.error));
            check_numbers(run, violations);
        }
        return violations;
    }

private:
    /// The object must have all pages, whichever versions wrote them.
    static void check_numbers(const pawl::record& run, std::vector<std::string>& violations)
    {
        const auto object = pawl::codec<paper>::decode(run.object);
        const auto& numbers = {object.pages, object.sheets, object.leaves};
        int present = 0;
        for (const auto& number : numbers)
            present += number ? 1 : 0;
        const auto& number = run.object_version == 1   ? object.pages
                             : run.object_version == 2 ? object.sheets
                                                       : object.leaves;
        const int factor = run.object_version == 3 ? 2 : 1;
        if (present != 1 || !number || *number != object.written * factor)
            violations.push_back(fmt::format(
                "{}: the object has version {}; expected only the number of that "
                "version, with value {}: {}",
                run.foreign_id, run.object_version, object.written * factor, run.object));
    }

    int version_of(const simulated_process& process)
    {
        if (process.engine() < 0 || !setup_.sim.faults_active())
            return newest;
        return 1 + static_cast<int>(random_.below(newest));
    }

    pawl::workflow<paper, copy> papers_in(simulated_process& process)
    {
        const program in{&setup_.sim, &process, version_of(process)};
        setup_.sim.trace(fmt::format("{} has version {}", process.name(), in.version));
        pawl::builder<paper, copy> b{"papers"};
        b.step<copy::draft>([in](pawl::run<paper>& run) { return write(in, run); })
            .retry({.initial = 1s, .max_attempts = 2})
            .template on_exhausted<copy::rejected>();
        b.callback<copy::draft>(
            "add", [in](pawl::run<paper>& run, int pages) { return add_page(in, run, pages); });
        b.callback<copy::rejected>("reopen", publish);
        if (in.version >= 2) {
            b.step<copy::review>([in](pawl::run<paper>& run) { return review(in, run); });
            b.upgrade(1,
                      [](boost::json::value& document) { rename(document, "pages", "sheets", 1); });
        } else {
            b.callback<copy::review>("reopen", publish);
        }
        if (in.version == 2)
            b.timeout<copy::review>(2min, publish);
        if (in.version == 3)
            b.upgrade(
                2, [](boost::json::value& document) { rename(document, "sheets", "leaves", 2); });
        b.end<copy::published>();
        b.auto_resume(1min, 3);
        return std::move(b).build();
    }

    static asio::awaitable<void> add(versions_scene* self, pawl::run_id run, std::string key,
                                     simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, 1min));
        const auto result = co_await retry_until_answered(&sim, [&]() -> asio::awaitable<void> {
            co_await self->papers_.async_call(run, "add", 1, {.idempotency_key = key});
        });
        if (result && result != errc::already_finished)
            sim.report_violation("callback \"add\" failed: " + result.message());
    }

    static asio::awaitable<void> live(versions_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->setup_.sim;
        co_await sim.sleep(random.between(0s, self->setup_.fault_duration));
        const auto run =
            co_await start_run(&sim, self->papers_, fmt::format("paper-{}", number), paper{});
        const auto pages = random.below(3);
        for (std::uint64_t i = 0; i < pages; ++i)
            sim.spawn(fmt::format("page {}.{}", number, i),
                      add(self, run, fmt::format("p{}", i), random.fork()));
        co_await await_end(&sim, self->papers_, run);
    }

    scene_setup setup_;
    simulated_random random_;
    papers papers_;
};

} // namespace

std::unique_ptr<scene> make_versions_scene(scene_setup setup)
{
    return std::make_unique<versions_scene>(std::move(setup));
}

} // namespace simulation_test
