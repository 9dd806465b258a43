#pragma once

#include "pawl/client.hpp"
#include "pawl/engine.hpp"
#include "pawl/testing/manual_clock.hpp"
#include "pawl/testing/simulated_random.hpp"
#include "pawl/workflow.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace pawl::testing {

/// Fault rates of the fault phase. Chances are per million calls, of each call on
/// its own.
struct simulated_faults {
    // Of calls of an engine to its store.
    std::uint32_t store_refused = 10'000;     ///< nothing is done, and the engine is told so
    std::uint32_t store_answer_lost = 10'000; ///< it is done, and the engine is told of a failure
    std::uint32_t store_slow = 20'000;        ///< takes up to `latency_max`

    // Of calls of a handler to the world outside: simulated_process::call().
    std::uint32_t call_lost = 20'000;   ///< never arrives, and the handler cannot know
    std::uint32_t call_failed = 20'000; ///< does not arrive, and the handler is told so
    std::uint32_t answer_lost = 20'000; ///< the effect is made, and the handler cannot know
    std::uint32_t call_slow = 20'000;   ///< takes up to `latency_max`

    duration latency_typical = std::chrono::milliseconds{20}; ///< longest time that another call takes
    duration latency_max = std::chrono::seconds{20};

    /// Longest time between two disturbances; zero: none. The weights say which it is.
    duration max_fault_interval = std::chrono::seconds{40};
    std::uint32_t crash_weight = 6;     ///< a process is gone between two instants
    std::uint32_t crash_call_weight = 6; ///< a process is gone beside one of its next calls
    std::uint32_t stop_weight = 3;       ///< a process stops in order
    std::uint32_t outage_weight = 3;     ///< the store refuses everybody for a while
    std::uint32_t partition_weight = 3;  ///< the store refuses one process for a while
    std::uint32_t clock_step_weight = 2; ///< the wall clock is set forward or back
    std::uint32_t lost_lease_weight = 3; ///< a process loses its shards and does not know

    duration longest_outage = std::chrono::seconds{30};
    duration longest_drain = std::chrono::seconds{20};    ///< of a stop in order; half have none
    duration longest_downtime = std::chrono::seconds{30}; ///< of a process that crashed or stopped
    duration longest_late = std::chrono::minutes{1};      ///< of a gone process's write, if shared
    duration largest_clock_step = std::chrono::minutes{2};

    /// No fault at all: time passes in calls, and nothing else.
    static simulated_faults none();
};

/// A crash beside one call of a process to its store or to the world outside.
struct crash_point {
    /// Counted over all processes from 1, as simulation_result::calls counts.
    std::uint64_t call = 0;

    /// False: just before it. True: after it has been done, before its answer.
    bool after = false;
};

struct simulation_options {
    /// Everything follows from it.
    std::uint64_t seed = 1;

    /// Engines on the one store. At least 1. Default 1.
    int engines = 1;

    /// Of the store. Default 4.
    std::uint32_t shards = 4;

    /// How long things go wrong. Default 5 minutes.
    duration fault_duration = std::chrono::minutes{5};

    /// How long it may take after the fault phase until everything has come to its end. Default 10 days.
    duration settle_time = std::chrono::hours{240};

    simulated_faults faults{};

    /// One crash, at this call, besides the faults.
    std::optional<crash_point> crash{};

    /// After the fault phase, resumes each run that is paused, as an operator would who has mended what
    /// was wrong, up to this often. Default 20.
    int max_resumes = 20;

    /// The wall clocks of two engines differ by this at most, for good. Default: they agree.
    duration clock_skew{};

    /// When the fault phase ends, each engine is stopped in order and started again, so that what a
    /// process is made of may change: see simulation::faults_active(). Default: false.
    bool redeploys = false;

    /// After the fault phase, how late a deadline, the time limit of a message or a command may be
    /// served. Zero: any time. Default 3 minutes.
    duration punctuality = std::chrono::minutes{3};

    /// Options of the engines. Store, clock, name, seed and log are the simulation's.
    engine_options engine{};

    /// Is given each line of the trace. Default: only simulation_result::trace_hash is kept.
    std::function<void(std::string_view line)> trace{};
};

struct simulation_result {
    /// Sentences that say what did not hold; empty when everything did.
    std::vector<std::string> violations;

    std::uint64_t trace_hash = 0; ///< over the lines of the trace
    std::uint64_t trace_lines = 0;
    std::uint64_t calls = 0; ///< of processes to the store and to the world outside
    std::uint64_t crashes = 0;
    std::uint64_t runs = 0;
    std::uint64_t commits = 0;
    duration took{};        ///< in the simulation's time
    duration longest_lag{}; ///< largest engine_statistics::due_lag that was seen after the fault phase
};

/// What a handler gets from simulated_process::call() when the call went wrong.
class simulated_call_error : public std::runtime_error {
public:
    simulated_call_error(const std::string& what, bool may_have_happened)
        : std::runtime_error(what), may_have_happened_(may_have_happened)
    {
    }

    /// False: there was no effect.
    bool may_have_happened() const noexcept { return may_have_happened_; }

private:
    bool may_have_happened_;
};

/// The simulation is over: ends the coroutines that were spawned on it.
class simulation_over : public std::exception {
public:
    const char* what() const noexcept override { return "the simulation is over"; }
};

namespace detail {

class simulator;
class process;

/// How a call that has been begun goes on.
enum class fate : std::uint8_t {
    done,        ///< and answered
    answer_lost, ///< done, and nobody knows
    crash,       ///< done, and the process is gone before it knows
    ghost,       ///< done, though the process that made the call is gone already
    abandoned,   ///< done, though the handler that made the call was cancelled
};

} // namespace detail

/// One life of an engine's process, from a start to a crash or a stop. It outlives the simulation's
/// engines, so that handlers may hold a reference.
class simulated_process {
public:
    /// The engine's number, and which of its lives it is: "e2.3".
    const std::string& name() const noexcept;

    /// The engine's number, from 0 on; below 0: of no engine.
    int engine() const noexcept;

    /// Which of the engine's lives it is, from 1 on.
    int life() const noexcept;

    /// A client of this process's own engine, for its handlers. Precondition: the engine has the
    /// workflow, and this is called by one of its handlers or hooks.
    template <class Object, class Status>
    client<Object, Status> client_of(const std::string& workflow_name) const
    {
        return {api_of(workflow_name), workflow<Object, Status>{flow_of(workflow_name)}};
    }

    /// False from the crash on: nothing that a handler does reaches anybody any more.
    bool alive() const noexcept;

    /// False when another process has taken the shard of this run, which this one may not know yet:
    /// its handlers may then do again what has been done, and nothing comes of it.
    bool owns(std::string_view workflow, std::string_view foreign_id) const;

    time_point now() const;

    /// Crashes the process, as an abort or a memory limit does. The engine is started again later.
    /// The caller has to co_await sleep() next: nothing that it does afterwards has an effect.
    void crash();

    /// Lets time pass; ends early with an exception when the handler is cancelled.
    boost::asio::awaitable<void> sleep(duration span);

    /// Does something to the world outside: `effect()` is called when the call arrives, at once and
    /// whole, unless it gets lost; its result comes back, unless that gets lost.
    ///
    /// Throws simulated_call_error, and what `effect` throws. `effect` is moved into the coroutine.
    template <class Effect>
    auto call(std::string what, Effect effect)
        -> boost::asio::awaitable<std::invoke_result_t<Effect&>>
    {
        const auto how = co_await arrive(what);
        if constexpr (std::is_void_v<std::invoke_result_t<Effect&>>) {
            effect();
            co_await answer(std::move(what), how);
        } else {
            auto result = effect();
            co_await answer(std::move(what), how);
            co_return result;
        }
    }

private:
    friend class simulation;
    friend class detail::process;
    explicit simulated_process(detail::process& impl) noexcept : impl_(&impl) {}

    boost::asio::awaitable<detail::fate> arrive(std::string what);
    boost::asio::awaitable<void> answer(std::string what, detail::fate how);
    std::shared_ptr<pawl::detail::engine_api> api_of(const std::string& workflow_name) const;
    std::shared_ptr<const pawl::detail::workflow_impl>
    flow_of(const std::string& workflow_name) const;

    detail::process* impl_;
};

/// Your workflows on engines that crash, a store that fails and services that do not answer; on one
/// thread, in simulated time, all of it drawn from one seed. The same seed gives the same life.
///
/// @code
/// pawl::testing::simulation sim{{.seed = seed}};
/// auto orders = sim.add<Order, OrderStatus>([&](pawl::testing::simulated_process& process) {
///     return order_workflow(simulated_services(world, process));
/// });
/// sim.spawn("a customer", customer(sim, orders));
/// const auto result = sim.run();
/// BOOST_TEST(result.violations.empty(), result.violations.front());
/// @endcode
///
/// After the fault phase everything works again, and everything must come to its end. What is checked
/// then, besides check()s of your own:
///
/// - versions and events of each run and each shard follow each other without a gap, and say the
///   same as the records; moves are declared ones;
/// - what was reported to a client is true: triggers, outcomes of callbacks and commands, awaits;
/// - a foreign id had one unfinished run at a time, and a start key one run;
/// - each hook was called for each of its events, in the order of the run, and in one life of a
///   process only once;
/// - a timeout's handler ran in the visit that armed it, and not early;
/// - attempts were counted one by one;
/// - no commit was accepted from a process that had lost the shard;
/// - a stop was no failed attempt, and failed no message;
/// - after the fault phase, deadlines, time limits of messages and commands were served in time: see
///   simulation_options::punctuality;
/// - no engine logged an internal error;
/// - no run is stuck: none is due that nobody takes up, and no spawned coroutine waits in vain.
///
/// @par Thread Safety
/// One thread at a time; several simulations may run in several threads.
class simulation {
public:
    /// Throws definition_error when an option is out of its range.
    explicit simulation(simulation_options options);
    ~simulation();

    simulation(const simulation&) = delete;
    simulation& operator=(const simulation&) = delete;

    /// Which lives of which engines have a workflow: see simulated_process::engine() and life().
    using placement = std::function<bool(int engine, int life)>;

    /// Adds a workflow, and gives a client of it. `make` is called for each life of an engine, and
    /// once for the client, with a process that is not alive.
    ///
    /// `where` says which engines have it; one that is up at the end must. Empty: each.
    ///
    /// Each of the client's calls goes to an engine that is up and has it, and completes with
    /// errc::not_running when none is or when that one crashes first: then nobody knows whether the
    /// call took effect. Before run().
    template <class Object, class Status>
    client<Object, Status> add(std::function<workflow<Object, Status>(simulated_process&)> make,
                               placement where = {})
    {
        auto flow = make(nobody());
        add_untyped(
            flow.impl(),
            [make](pawl::engine& to, simulated_process& of, const watch_function& watched) {
                const workflow<Object, Status> fresh{watched(make(of).impl())};
                return to.add(fresh).engine();
            },
            std::move(where));
        return client<Object, Status>{api(), std::move(flow)};
    }

    /// Starts a coroutine with run(): a customer, an operator. The simulation goes on until it has
    /// ended; an exception that leaves it, other than simulation_over, is one of the result's
    /// sentences. Before or during run().
    void spawn(std::string name, boost::asio::awaitable<void> what);

    /// Lets time pass. Throws simulation_over when patience has come to its end.
    boost::asio::awaitable<void> sleep(duration span);

    /// Adds a check that is made at the end; it gives a sentence for each thing that does not hold.
    void check(std::function<std::vector<std::string>()> what);

    /// Says that something does not hold, at once.
    void report_violation(std::string sentence);

    /// Adds a line to the trace.
    void trace(std::string_view line);

    /// True while things go wrong.
    bool faults_active() const noexcept;

    /// How long the fault phase has been over; zero while it lasts.
    duration calm() const noexcept;

    /// For what your handlers and coroutines draw.
    simulated_random& random() noexcept;

    time_point now() const;

    /// The store itself, without faults, for checks. Its calls complete at once.
    record_store& store() noexcept;

    /// Runs a call of store() to its end.
    template <class T>
    T read(boost::asio::awaitable<T> call)
    {
        std::optional<T> result;
        complete(store_result(std::move(call), &result));
        return std::move(*result);
    }

    /// Runs everything to its end, or to the moment when something does not hold. Once.
    simulation_result run();

private:
    using watch_function = std::function<std::shared_ptr<const pawl::detail::workflow_impl>(
        std::shared_ptr<const pawl::detail::workflow_impl>)>;
    using add_function = std::function<std::shared_ptr<pawl::detail::engine_api>(
        pawl::engine&, simulated_process&, const watch_function&)>;
    friend class detail::simulator;
    friend class detail::process;

    template <class T>
    static boost::asio::awaitable<void> store_result(boost::asio::awaitable<T> call,
                                                     std::optional<T>* into)
    {
        *into = co_await std::move(call);
    }

    simulated_process& nobody();
    void add_untyped(std::shared_ptr<const pawl::detail::workflow_impl> flow, add_function add,
                     placement where);
    std::shared_ptr<pawl::detail::engine_api> api();
    void complete(boost::asio::awaitable<void> call);

    std::unique_ptr<detail::simulator> impl_;
};

/// What came of a crash beside each call.
struct crash_matrix_result {
    std::uint64_t calls = 0;       ///< of the life without a crash
    std::uint64_t simulations = 0; ///< lives that were tried
    std::vector<std::string> violations;
};

/// Runs `simulate` without a crash, to count its calls to the store and to the world outside; then
/// once for each of them and for each side of it, with a crash just there, after which a fresh
/// engine goes on with the same store.
///
/// `simulate` makes a simulation with the options that it is given, which have no other fault, and
/// runs it. Throws what it throws.
crash_matrix_result
run_crash_matrix(const std::function<simulation_result(simulation_options)>& simulate,
                 simulation_options options = {});

} // namespace pawl::testing
