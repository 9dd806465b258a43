// The pure decisions of a step.
#include "core/decide.hpp"
#include "micro/operation.hpp"
#include "parcels.hpp"

#include <benchmark/benchmark.h>

#include <memory>

namespace pawl_bench {

namespace core = pawl::core;

namespace {

/// A run in its second step, and what is needed to decide what comes of it.
struct stage_set {
    observer watching;
    pawl::workflow<parcel, stage> flow = five_steps(watching);
    pawl::record current;
    pawl::time_point now{std::chrono::seconds{1'700'000'000}};
    core::arm_deadlines nothing_armed = [](int) {
        return std::vector<pawl::deadline>{};
    };

    stage_set()
    {
        current.id.bytes[15] = 1;
        current.workflow = flow.name();
        current.foreign_id = "order-1234567-890";
        current.version = 2;
        current.state = pawl::run_state::running;
        current.status = static_cast<int>(stage::two);
        current.visit = 2;
        current.entered_at = current.created_at = current.updated_at = now;
        current.wake_at = now;
        pawl::codec<parcel>::encode(parcel{}, current.object);
    }
};

} // namespace

std::function<void()> step_moves()
{
    return [set = std::make_shared<stage_set>()] {
        core::handler_returned returned{core::from_step{}, {}, set->current.object};
        returned.value.kind = pawl::detail::next_kind::move;
        returned.value.status = static_cast<int>(stage::three);
        benchmark::DoNotOptimize(core::decide(set->current, set->flow.rules(), std::move(returned),
                                              set->now, set->nothing_armed));
    };
}

std::function<void()> step_fails()
{
    return [set = std::make_shared<stage_set>()] {
        core::handler_failed failed{core::from_step{}, "the service is busy"};
        benchmark::DoNotOptimize(core::decide(set->current, set->flow.rules(), std::move(failed),
                                              set->now, set->nothing_armed));
    };
}

std::function<void()> next_action()
{
    return [set = std::make_shared<stage_set>()] {
        benchmark::DoNotOptimize(core::next_action(set->current, set->flow.rules(), {}, set->now));
    };
}

} // namespace pawl_bench
