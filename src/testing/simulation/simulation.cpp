#include "pawl/testing/simulation.hpp"

#include "testing/simulation/simulator.hpp"

#include <utility>

namespace pawl::testing {

simulated_faults simulated_faults::none()
{
    simulated_faults none;
    none.store_refused = none.store_answer_lost = none.store_slow = 0;
    none.call_lost = none.call_failed = none.answer_lost = none.call_slow = 0;
    none.max_fault_interval = none.longest_late = duration::zero();
    return none;
}

const std::string& simulated_process::name() const noexcept
{
    return impl_->name();
}

int simulated_process::engine() const noexcept
{
    return impl_->engine_number();
}

int simulated_process::life() const noexcept
{
    return impl_->life();
}

std::shared_ptr<pawl::detail::engine_api>
simulated_process::api_of(const std::string& workflow_name) const
{
    return impl_->api(workflow_name);
}

std::shared_ptr<const pawl::detail::workflow_impl>
simulated_process::flow_of(const std::string& workflow_name) const
{
    return impl_->flow(workflow_name);
}

bool simulated_process::alive() const noexcept
{
    return impl_->alive();
}

bool simulated_process::owns(std::string_view workflow, std::string_view foreign_id) const
{
    return impl_->owner().checker.is_owner(impl_->name(), workflow, foreign_id);
}

void simulated_process::crash()
{
    impl_->crash();
}

time_point simulated_process::now() const
{
    return impl_->owner().clock->now();
}

boost::asio::awaitable<void> simulated_process::sleep(duration span)
{
    return impl_->sleep(span);
}

boost::asio::awaitable<detail::fate> simulated_process::arrive(std::string call)
{
    return impl_->begin_call(std::move(call));
}

boost::asio::awaitable<void> simulated_process::answer(std::string call, detail::fate drawn)
{
    return impl_->end_call(std::move(call), drawn);
}

simulation::simulation(simulation_options options)
    : impl_(std::make_unique<detail::simulator>(*this, std::move(options)))
{
}

simulation::~simulation() = default;

void simulation::spawn(std::string name, boost::asio::awaitable<void> coroutine)
{
    impl_->spawn(std::move(name), std::move(coroutine));
}

boost::asio::awaitable<void> simulation::sleep(duration span)
{
    return impl_->sleep(span);
}

void simulation::check(std::function<std::vector<std::string>()> function)
{
    impl_->checks.push_back(std::move(function));
}

void simulation::report_violation(std::string sentence)
{
    impl_->checker.report_violation(std::move(sentence));
}

void simulation::trace(std::string_view line)
{
    impl_->trace(line);
}

bool simulation::faults_active() const noexcept
{
    return impl_->faults_active();
}

duration simulation::calm() const noexcept
{
    return impl_->faults_active() ? duration::zero() : impl_->elapsed() - impl_->faults_end();
}

simulated_random& simulation::random() noexcept
{
    return impl_->user_random;
}

time_point simulation::now() const
{
    return impl_->clock->now();
}

record_store& simulation::store() noexcept
{
    return *impl_->store;
}

simulation_result simulation::run()
{
    return impl_->run();
}

simulated_process& simulation::nobody()
{
    return impl_->no_process->handle();
}

void simulation::add_untyped(std::shared_ptr<const pawl::detail::workflow_impl> flow,
                             add_function add, placement where)
{
    impl_->workflows.push_back({std::move(flow), std::move(add), std::move(where)});
}

std::shared_ptr<pawl::detail::engine_api> simulation::api()
{
    return impl_->clients;
}

void simulation::complete(boost::asio::awaitable<void> call)
{
    impl_->complete(std::move(call));
}

crash_matrix_result
run_crash_matrix(const std::function<simulation_result(simulation_options)>& simulate,
                 simulation_options options)
{
    options.faults = simulated_faults::none();
    options.fault_duration = duration::zero();
    options.crash.reset();
    crash_matrix_result matrix;
    const auto add = [&matrix](const std::string& crash, const simulation_result& result) {
        ++matrix.simulations;
        for (const auto& violation : result.violations)
            matrix.violations.push_back(crash + ": " + violation);
    };
    const auto undisturbed = simulate(options);
    matrix.calls = undisturbed.calls;
    add("without a crash", undisturbed);
    for (std::uint64_t call = 1; call <= matrix.calls; ++call)
        for (const bool after : {false, true}) {
            options.crash = crash_point{call, after};
            const auto result = simulate(options);
            const auto crash = std::string{"a crash "} + (after ? "after" : "before") + " call " +
                               std::to_string(call);
            add(crash, result);
            if (result.crashes == 0)
                matrix.violations.push_back(crash + ": the crash did not happen; expected the "
                                                    "same calls as without a crash");
        }
    return matrix;
}

} // namespace pawl::testing
