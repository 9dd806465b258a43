#pragma once

#include "pawl/testing/simulation.hpp"
#include "testing/simulation/invariant_checker.hpp"
#include "testing/simulation/process.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pawl::testing::detail {

/// Drives one simulation: time, processes, faults and the checks at the end.
class simulator {
public:
    simulator(simulation& handle, simulation_options options);
    ~simulator();

    simulation_result run();

    void spawn(std::string name, boost::asio::awaitable<void> coroutine);
    boost::asio::awaitable<void> sleep(duration span);

    /// A process that serves clients of the workflow, or of any workflow if the name is empty.
    /// nullptr if no process does.
    process* pick_serving(const std::string& workflow);

    /// Counts a call of a process. Returns the crash that must happen at this call.
    std::optional<crash_point> next_call();

    /// The process has crashed or stopped. Schedules the restart of its engine.
    void process_ended(process& ended, bool crashed);

    void trace(std::string_view line);
    bool faults_active() const noexcept { return faults_active_; }
    bool over() const noexcept { return over_; }
    duration faults_end() const noexcept { return faults_end_; }
    bool store_down() const noexcept { return elapsed_ < outage_until_; }
    duration elapsed() const noexcept { return elapsed_; }
    const simulated_faults& faults() const noexcept { return faults_; }
    void complete(boost::asio::awaitable<void> call);
    void schedule(duration delay, std::function<void()> action);

    template <class T>
    T read(boost::asio::awaitable<T> call)
    {
        return handle.read(std::move(call));
    }

    struct added_workflow {
        std::shared_ptr<const pawl::detail::workflow_impl> flow;
        simulation::add_function add;
        simulation::placement where; ///< empty: everywhere
    };

    /// The wall clock of an engine, with its skew.
    std::shared_ptr<pawl::clock> clock_of(int engine);

    simulation& handle;
    const simulation_options options;
    boost::asio::io_context io;
    const std::shared_ptr<manual_clock> clock;
    std::shared_ptr<record_store> store;
    std::vector<lease> orphaned_leases; ///< of the crashed process, if the store is not shared
    simulated_random user_random;       ///< for handlers and clients
    simulated_random fault_random;      ///< for faults and latencies
    invariant_checker checker;
    std::vector<added_workflow> workflows;
    std::vector<std::function<std::vector<std::string>()>> checks;
    std::unique_ptr<process> no_process;
    std::shared_ptr<pawl::detail::engine_api> clients;

private:
    struct scheduled_action {
        duration time;
        std::function<void()> action;
    };

    void start_engine(int number);
    void inject_fault();
    process* pick_for_fault();
    std::vector<lease> leases_of(process& owner);
    void release_leases(process& owner);
    void redeploy();
    void drain();
    void advance_to_next_event();
    void run_scheduled();
    void end_fault_phase();
    bool has_settled();
    void report_not_settled();
    bool check_progress();
    void resume_paused();
    bool is_to_be_resumed(const record& run) const;
    void shut_down();
    void final_checks();
    void check_unfinished(const std::vector<record>& runs);
    const added_workflow* find_workflow(const std::string& name) const;
    std::vector<record> all_runs();
    void sample_lag();

    std::vector<std::unique_ptr<process>> processes_; ///< of all lives
    std::vector<process*> current_;                   ///< by engine
    std::vector<int> lives_;
    std::vector<duration> skews_; ///< by engine
    std::vector<scheduled_action> scheduled_;
    simulated_faults faults_;
    boost::asio::io_context reads_;
    duration elapsed_{};
    duration outage_until_{};
    duration faults_end_{};
    bool faults_active_ = true;
    bool over_ = false;
    bool has_run_ = false;
    std::vector<std::string> running_coroutines_; ///< names of spawned coroutines
    std::map<run_id, int> resumes_;
    duration busy_until_{}; ///< the last time at which the simulation had not settled
    simulation_result result_;
    std::string line_;
};

} // namespace pawl::testing::detail
