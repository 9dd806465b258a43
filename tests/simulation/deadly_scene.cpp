// Steps that end the process of their engine, each time: they are found and not run again, and
// what runs beside them comes to its end.
#include "simulation/scenes.hpp"

#include "pawl/builder.hpp"

#include <fmt/format.h>

#include <map>

namespace simulation_test {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pawl::testing::simulated_process;
using pawl::testing::simulated_random;
using pawl::testing::simulation;

namespace {

enum class dose : int { given = 1, survived = 2, given_up = 3 };

struct drink {
    bool poisoned = false;
    std::uint64_t ends = 0; ///< milliseconds after the step's begin
};
BOOST_DESCRIBE_STRUCT(drink, (), (poisoned, ends))

using drinks = pawl::client<drink, dose>;

/// The first end is noticed by the wall clock, which is set back now and then: until it has passed
/// the time of the run's last commit, ends are not counted.
constexpr int most_ends = 100;

class deadly_scene final : public scene {
public:
    explicit deadly_scene(stage on)
        : on_(std::move(on)),
          drinks_(on_.sim.add<drink, dose>([this](simulated_process& of) { return drinks_in(of); },
                                           on_.where))
    {
        const auto count = 2 + on_.random.below(4);
        for (std::uint64_t i = 0; i < count; ++i)
            on_.sim.spawn(fmt::format("drink {}", i), live(this, i, on_.random.fork()));
    }

    std::vector<std::string> check() override
    {
        std::vector<std::string> violations;
        for (const auto& run : runs_of(on_.sim, "drinks")) {
            const bool given_up = run.status == static_cast<int>(dose::given_up);
            if (ends_.contains(run.foreign_id) && !given_up)
                violations.push_back(run.foreign_id + ": survived what ends its process");
            if (run.suspicion != 0)
                violations.push_back(run.foreign_id + ": is suspected though it has ended");
        }
        return violations;
    }

private:
    static pawl::step<dose::survived, dose::given_up>
    swallow(deadly_scene* self, simulated_process* of, pawl::run<drink>& run)
    {
        co_await of->sleep(std::chrono::milliseconds{run.object().ends});
        if (!run.object().poisoned || !of->alive())
            co_return pawl::to<dose::survived>;
        if (++self->ends_[std::string{run.foreign_id()}] == most_ends)
            self->on_.sim.report_violation(
                fmt::format("{} has ended {} processes", run.foreign_id(), most_ends));
        of->crash();
        co_await of->sleep(1h);
        co_return pawl::to<dose::survived>;
    }

    pawl::workflow<drink, dose> drinks_in(simulated_process& of)
    {
        pawl::builder<drink, dose> b{"drinks"};
        b.step<dose::given>([this, with = &of](pawl::run<drink>& run) {
             return swallow(this, with, run);
         }).template on_exhausted<dose::given_up>();
        b.end<dose::survived, dose::given_up>();
        return std::move(b).build();
    }

    static asio::awaitable<void> live(deadly_scene* self, std::uint64_t number,
                                      simulated_random random)
    {
        auto& sim = self->on_.sim;
        co_await sim.sleep(random.between(0s, self->on_.fault_duration));
        const drink object{number == 0, random.below(3) == 0 ? 0 : random.below(500)};
        const auto run =
            co_await start_run(&sim, self->drinks_, fmt::format("drink-{}", number), object);
        co_await see_end(&sim, self->drinks_, run);
    }

    stage on_;
    std::map<std::string, int> ends_; ///< by foreign id: how many processes it has ended
    drinks drinks_;
};

} // namespace

std::unique_ptr<scene> make_deadly_scene(stage on)
{
    return std::make_unique<deadly_scene>(std::move(on));
}

} // namespace simulation_test
