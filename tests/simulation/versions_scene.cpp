// Versions of one program, that take turns after restarts and run side by side: the object has
// three forms, and a status, a timeout and a callback come and go.
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

/// In each version one of the numbers: pages, then sheets, then twice as many leaves.
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

/// A program of a version, in one process.
struct press {
    simulation* sim;
    simulated_process* process;
    int version;

    /// The number of this version, which is there alone; or none, of a paper that is new.
    std::optional<int>* number(paper& of) const
    {
        auto* const all = &of.pages;
        std::optional<int>* const numbers[] = {all, &of.sheets, &of.leaves};
        for (int each = 1; each <= newest; ++each)
            if (each != version && numbers[each - 1]->has_value() && process->alive())
                sim->report_violation(fmt::format("a program of version {} was given an object of version {}",
                                        version, each));
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

void write_page(const press& in, paper& object)
{
    auto& number = *in.number(object);
    number = number.value_or(0) + in.step();
    ++object.written;
}

pawl::step<copy::review, copy::published> write(press in, pawl::run<paper>& run)
{
    co_await in.process->sleep(in.sim->random().between(0s, 2s));
    co_await run.once("look", [] { return 1; });
    write_page(in, run.object());
    if (run.object().written < pages_wanted)
        co_return pawl::repeat_after(in.sim->random().between(1s, 20s));
    if (in.version == 1)
        co_return pawl::to<copy::published>;
    co_return pawl::to<copy::review>;
}

pawl::step<> add_page(press in, pawl::run<paper>& run, int)
{
    write_page(in, run.object());
    co_return pawl::repeat_after(0s);
}

/// Goes on looking, so that only a timeout or a page too many ends it.
pawl::step<copy::published> look_over(press in, pawl::run<paper>& run)
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
    explicit versions_scene(stage on)
        : on_(std::move(on)), chance_(on_.random.fork()),
          papers_(on_.sim.add<paper, copy>([this](simulated_process& of) { return papers_in(of); },
                                           on_.where))
    {
        const auto count = 2 + on_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            on_.sim.spawn(fmt::format("author {}", i), live(this, i, on_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        std::vector<std::string> violations;
        for (const auto& run : runs_of(on_.sim, "papers")) {
            if (run.status != static_cast<int>(copy::published))
                violations.push_back(fmt::format("{} ended in status {}", run.foreign_id, run.status));
            for (const auto& each : history_of(on_.sim, run.id))
                if (each.kind == pawl::event_kind::attempt_failed)
                    violations.push_back(fmt::format("{}: version {} is a failed attempt: {}",
                                                 run.foreign_id, each.version, each.error));
            check_numbers(run, violations);
        }
        return violations;
    }

private:
    /// Whatever versions have written it, nothing is lost.
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
            violations.push_back(fmt::format("{}: the object of version {} is none: {}", run.foreign_id,
                                         run.object_version, run.object));
    }

    int version_of(const simulated_process& of)
    {
        if (of.engine() < 0 || !on_.sim.faults_active())
            return newest;
        return 1 + static_cast<int>(chance_.below(newest));
    }

    pawl::workflow<paper, copy> papers_in(simulated_process& of)
    {
        const press in{&on_.sim, &of, version_of(of)};
        on_.sim.trace(fmt::format("{} has version {}", of.name(), in.version));
        pawl::builder<paper, copy> b{"papers"};
        b.step<copy::draft>([in](pawl::run<paper>& run) { return write(in, run); })
            .retry({.initial = 1s, .max_attempts = 2})
            .template on_exhausted<copy::rejected>();
        b.callback<copy::draft>(
            "add", [in](pawl::run<paper>& run, int pages) { return add_page(in, run, pages); });
        b.callback<copy::rejected>("reopen", publish);
        if (in.version >= 2) {
            b.step<copy::review>([in](pawl::run<paper>& run) { return look_over(in, run); });
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

    static asio::awaitable<void> add(versions_scene* self, pawl::run_id to, std::string key,
                                     simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, 1min));
        const auto result = co_await persist(&sim, [&]() -> asio::awaitable<void> {
            co_await self->papers_.async_call(to, "add", 1, {.idempotency_key = key});
        });
        if (result && result != errc::already_finished)
            sim.report_violation("a page was refused: " + result.message());
    }

    static asio::awaitable<void> live(versions_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, self->on_.fault_duration));
        const auto run =
            co_await start_run(&sim, self->papers_, fmt::format("paper-{}", number), paper{});
        const auto pages = random.below(3);
        for (std::uint64_t i = 0; i < pages; ++i)
            sim.spawn(fmt::format("page {}.{}", number, i),
                      add(self, run, fmt::format("p{}", i), random.fork()));
        co_await see_end(&sim, self->papers_, run);
    }

    stage on_;
    simulated_random chance_;
    papers papers_;
};

} // namespace

std::unique_ptr<scene> make_versions_scene(stage on)
{
    return std::make_unique<versions_scene>(std::move(on));
}

} // namespace simulation_test
