#pragma once

#include "pawl/testing/simulation.hpp"
#include "testing/simulation/invariant_checker.hpp"
#include "testing/simulation/process.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pawl::testing::detail {

/// Drives one simulation: time, processes, disturbances, and the end.
class simulator {
public:
    simulator(simulation& face, simulation_options options);
    ~simulator();

    simulation_result run();

    void spawn(std::string name, boost::asio::awaitable<void> what);
    boost::asio::awaitable<void> sleep(duration span);

    /// A process that serves clients of the workflow, or of any if that is empty; nullptr when
    /// there is none.
    process* pick(const std::string& workflow);

    /// Another call of a process. Gives the crash that shall be beside it.
    std::optional<crash_point> next_call();

    /// The process is no more; its engine starts again after a while.
    void went(process& ended, bool crashed);

    void trace(std::string_view line);
    bool faults_active() const noexcept { return faults_active_; }
    bool over() const noexcept { return over_; }
    duration faults_end() const noexcept { return storm_end_; }
    bool store_down() const noexcept { return elapsed_ < outage_until_; }
    duration elapsed() const noexcept { return elapsed_; }
    const simulated_faults& faults() const noexcept { return faults_; }
    void complete(boost::asio::awaitable<void> call);
    void plan(duration after, std::function<void()> what);

    template <class T>
    T read(boost::asio::awaitable<T> call)
    {
        return face.read(std::move(call));
    }

    struct added_workflow {
        std::shared_ptr<const pawl::detail::workflow_impl> flow;
        simulation::add_function add;
        simulation::placement where; ///< empty: everywhere
    };

    /// The wall clock of an engine's machine.
    std::shared_ptr<pawl::clock> clock_of(int engine);

    simulation& face;
    const simulation_options options;
    boost::asio::io_context io;
    const std::shared_ptr<manual_clock> clock;
    std::shared_ptr<record_store> truth;
    std::vector<lease> left; ///< by processes that crashed, in a store that is not shared
    simulated_random world;  ///< for what users draw
    simulated_random chaos;  ///< for what goes wrong
    invariant_checker seen;
    std::vector<added_workflow> workflows;
    std::vector<std::function<std::vector<std::string>()>> checks;
    std::unique_ptr<process> nobody;
    std::shared_ptr<pawl::detail::engine_api> clients;

private:
    struct planned {
        duration at;
        std::function<void()> what;
    };

    void start_engine(int number);
    void disturb();
    process* pick_alive();
    std::vector<lease> held_by(process& of);
    void lose_leases(process& of);
    void redeploy();
    void drain();
    void go_on();
    void run_planned();
    void end_storm();
    bool at_rest();
    bool check_progress();
    void resume_paused();
    void shut_down();
    void final_checks();
    std::vector<record> all_runs();
    void look_at_lag();

    std::vector<std::unique_ptr<process>> processes_; ///< of all lives
    std::vector<process*> current_;                   ///< by engine
    std::vector<int> lives_;
    std::vector<duration> skews_; ///< by engine
    std::vector<planned> planned_;
    simulated_faults faults_;
    boost::asio::io_context reads_;
    duration elapsed_{};
    duration outage_until_{};
    duration storm_end_{};
    bool faults_active_ = true;
    bool over_ = false;
    int waiting_ = 0; ///< spawned coroutines that have not ended
    std::vector<std::string> names_of_waiting_;
    int resumes_ = 0;
    duration rested_{};
    simulation_result result_;
    std::string line_;
};

} // namespace pawl::testing::detail
