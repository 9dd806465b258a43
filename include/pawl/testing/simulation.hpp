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

/// Faults of the fault phase. Chances are per million calls, for each call independently; at most
/// 1,000,000. Durations are not negative.
struct simulated_faults {
    // Calls of an engine to its store.
    std::uint32_t store_refused = 10'000;     ///< fails, and has no effect
    std::uint32_t store_answer_lost = 10'000; ///< takes effect, and fails
    std::uint32_t store_slow = 20'000;        ///< takes up to `latency_max`

    // Calls of handlers to other systems: simulated_process::call().
    std::uint32_t call_lost = 20'000;   ///< has no effect; the handler cannot know that
    std::uint32_t call_failed = 20'000; ///< has no effect; the handler knows that
    std::uint32_t answer_lost = 20'000; ///< takes effect; the handler cannot know that
    std::uint32_t call_slow = 20'000;   ///< takes up to `latency_max`

    /// Longest time that a call takes that is not slow. Default 20 ms.
    duration latency_typical = std::chrono::milliseconds{20};

    /// Longest time that a slow call takes. Default 20 s.
    duration latency_max = std::chrono::seconds{20};

    /// Longest time between two of the faults below. Zero: none of them. Default 40 s.
    duration max_fault_interval = std::chrono::seconds{40};

    // How often each of these faults is chosen, relative to the sum of the weights.
    std::uint32_t crash_weight = 6; ///< a process crashes between two calls
    std::uint32_t crash_call_weight =
        6;                              ///< a process crashes before or after one of its next calls
    std::uint32_t stop_weight = 3;      ///< a process is stopped and started again
    std::uint32_t outage_weight = 3;    ///< the store refuses all processes for a while
    std::uint32_t partition_weight = 3; ///< the store refuses one process for a while
    std::uint32_t clock_step_weight = 2; ///< the wall clock is set forward or back
    std::uint32_t lost_lease_weight = 3; ///< a process loses its shards and does not know it

    duration longest_outage = std::chrono::seconds{30};   ///< of an outage or a partition
    duration longest_drain = std::chrono::seconds{20};    ///< of a stop; half of them have none
    duration longest_downtime = std::chrono::seconds{30}; ///< after a crash or a stop

    /// Longest time after which a write of a crashed process still reaches a shared store. Default
    /// 1 min.
    duration longest_late = std::chrono::minutes{1};

    duration largest_clock_step = std::chrono::minutes{2}; ///< forward or back

    /// No faults: calls take time, and nothing else goes wrong.
    static simulated_faults none();
};

/// A crash at one call of a process to its store or to another system.
struct crash_point {
    /// The number of the call among those of all processes, from 1; see simulation_result::calls.
    std::uint64_t call = 0;

    /// False: the process crashes before the call takes effect. True: after that, before the
    /// answer.
    bool after = false;
};

struct simulation_options {
    /// Determines the whole simulation. Default 1.
    std::uint64_t seed = 1;

    /// The number of engines, on one store. At least 1. Default 1.
    int engines = 1;

    /// The number of shards of the store. 1 to 4,096. Default 4.
    std::uint32_t shards = 4;

    /// The simulated time of the fault phase. Default 5 min.
    duration fault_duration = std::chrono::minutes{5};

    /// The longest simulated time after the fault phase until everything has come to rest. Default
    /// 10 days.
    duration settle_time = std::chrono::hours{240};

    simulated_faults faults{};

    /// One crash at this call, in addition to the faults. Default: none.
    std::optional<crash_point> crash{};

    /// How often each paused run is resumed after the fault phase, as by an operator who has
    /// repaired the cause. 0: never. Default 20.
    int max_resumes = 20;

    /// Whether a run may be left at the end: paused in spite of the resumes, or waiting for a
    /// callback that no customer sends. Called for each such run of a workflow that was added; for
    /// example `[](const record& run) { return run.status == int(OrderStatus::Shipped); }`. A run
    /// for which it returns false is a violation. Default: none; no run may be left.
    std::function<bool(const record& run)> may_be_left{};

    /// The largest constant difference between the wall clocks of two engines. Default 0: they
    /// agree.
    duration clock_skew{};

    /// Whether each engine is stopped and started again at the end of the fault phase, so that the
    /// definition of a workflow can change then; see simulation::faults_active(). Default false.
    bool redeploys = false;

    /// How late a deadline, an expiry of a message or a command may be served after the fault
    /// phase. Zero: not checked. Default 3 min.
    duration punctuality = std::chrono::minutes{3};

    /// Options of the engines. The simulation sets store, clock, name, seed and log.
    engine_options engine{};

    /// Called with each line of the trace. Default: none; only simulation_result::trace_hash is
    /// kept.
    std::function<void(std::string_view line)> trace{};
};

struct simulation_result {
    /// One sentence for each check that was broken; empty if all held.
    std::vector<std::string> violations;

    std::uint64_t trace_hash = 0; ///< of the lines of the trace
    std::uint64_t trace_lines = 0;
    std::uint64_t calls = 0; ///< of processes to the store and to other systems
    std::uint64_t crashes = 0;
    std::uint64_t runs = 0;
    std::uint64_t paused = 0;  ///< runs that were paused at the end
    std::uint64_t waiting = 0; ///< runs that were neither finished nor paused at the end
    std::uint64_t commits = 0;
    duration took{};        ///< simulated time
    duration longest_lag{}; ///< largest engine_statistics::due_lag after the fault phase
};

/// Thrown by simulated_process::call() when the call failed or its request or answer was lost.
class simulated_call_error : public std::runtime_error {
public:
    simulated_call_error(const std::string& text, bool may_have_happened)
        : std::runtime_error(text), may_have_happened_(may_have_happened)
    {
    }

    /// False if the call certainly had no effect.
    bool may_have_happened() const noexcept { return may_have_happened_; }

private:
    bool may_have_happened_;
};

/// Thrown by simulation::sleep() at the end of the simulation: ends the spawned coroutines.
class simulation_over : public std::exception {
public:
    const char* what() const noexcept override { return "the simulation is over"; }
};

namespace detail {

class simulator;
class process;

/// How a call ends that takes effect.
enum class fate : std::uint8_t {
    done,        ///< it is answered
    answer_lost, ///< the answer is lost
    crash,       ///< the process crashes before the answer
    ghost,       ///< the process that made the call has crashed already
    abandoned,   ///< the handler that made the call was cancelled already
};

} // namespace detail

/// One process of an engine, from a start to a crash or a stop.
///
/// Lifetime: it outlives the simulation's engines, so that handlers may hold a reference.
class simulated_process {
public:
    /// The engine's number from 1 and the number of its life: "e2.3".
    const std::string& name() const noexcept;

    /// The engine's number, from 0; below 0 for the process that belongs to no engine.
    int engine() const noexcept;

    /// The number of this process among those of its engine, from 1.
    int life() const noexcept;

    /// A client of this process's engine, for its handlers.
    ///
    /// Precondition: the engine has the workflow, and the caller is one of its handlers or hooks.
    template <class Object, class Status>
    client<Object, Status> client_of(const std::string& workflow_name) const
    {
        return {api_of(workflow_name), workflow<Object, Status>{flow_of(workflow_name)}};
    }

    /// False after the crash or stop: nothing that a handler does then has an effect.
    bool alive() const noexcept;

    /// Whether this process owns the shard of this run. If another process has claimed it, this one
    /// may not know it yet: its handlers may repeat what has been done, and their results are
    /// rejected.
    bool owns(std::string_view workflow, std::string_view foreign_id) const;

    time_point now() const;

    /// Crashes the process, as an abort or a memory limit does; its engine is started again later.
    /// The caller awaits sleep() next. Nothing that it does afterwards has an effect.
    void crash();

    /// Waits for a simulated time.
    ///
    /// Cancellation: throws when the handler is cancelled.
    boost::asio::awaitable<void> sleep(duration span);

    /// Calls another system. When the request arrives, unless it is lost, `effect()` is called,
    /// which must not suspend; its result comes back, unless the answer is lost. `effect` is moved
    /// into the coroutine. `description` is for the trace.
    ///
    /// Errors: throws simulated_call_error, and the exceptions of `effect`.
    template <class Effect>
    auto call(std::string description, Effect effect)
        -> boost::asio::awaitable<std::invoke_result_t<Effect&>>
    {
        const auto ending = co_await arrive(description);
        if constexpr (std::is_void_v<std::invoke_result_t<Effect&>>) {
            effect();
            co_await answer(std::move(description), ending);
        } else {
            auto result = effect();
            co_await answer(std::move(description), ending);
            co_return result;
        }
    }

private:
    friend class simulation;
    friend class detail::process;
    explicit simulated_process(detail::process& impl) noexcept : impl_(&impl) {}

    boost::asio::awaitable<detail::fate> arrive(std::string description);
    boost::asio::awaitable<void> answer(std::string description, detail::fate ending);
    std::shared_ptr<pawl::detail::engine_api> api_of(const std::string& workflow_name) const;
    std::shared_ptr<const pawl::detail::workflow_impl>
    flow_of(const std::string& workflow_name) const;

    detail::process* impl_;
};

/// Runs your workflows on engines that crash, with a store that fails and services that do not
/// answer: on one thread, in simulated time. All faults are drawn from one seed; the same seed
/// gives the same simulation.
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
/// After the fault phase everything works again, and everything must come to rest. These invariants
/// are checked, besides those that you add with check():
///
/// - the versions of each run and the events of each shard have no gap and agree with the records,
///   and each move is declared;
/// - what a client was told is true: triggers, outcomes of callbacks and commands, awaits;
/// - a foreign id had at most one unfinished run at a time, and a start key one run;
/// - each hook was called for each of its events, in the order of the run, and once by each
/// process;
/// - the handler of a timeout ran in the visit that armed it, and not early;
/// - failed attempts were counted one by one;
/// - no commit of a process that had lost the shard was accepted;
/// - a stop neither counted as a failed attempt nor failed a message;
/// - after the fault phase, deadlines, expiries of messages and commands were served in time, see
///   simulation_options::punctuality;
/// - no engine logged an internal error;
/// - no run is stuck: every due run was loaded, and every spawned coroutine ended;
/// - no run is left paused or waiting for an event from outside, see
///   simulation_options::may_be_left.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class simulation {
public:
    /// Errors: throws definition_error if an option is out of its range.
    explicit simulation(simulation_options options);
    ~simulation();

    simulation(const simulation&) = delete;
    simulation& operator=(const simulation&) = delete;

    /// Whether a process has a workflow, by simulated_process::engine() and life().
    using placement = std::function<bool(int engine, int life)>;

    /// Adds a workflow and returns a client of it. `make` is called for each process, and once for
    /// the client, with a process that is not alive. `hosts` says which processes have the
    /// workflow; one that runs at the end must. Default: all.
    ///
    /// Each call of the client goes to a running engine that has the workflow. It completes with
    /// not_running if there is none, or if the engine crashes first; the call may have taken effect
    /// then.
    ///
    /// Precondition: run() was not called.
    template <class Object, class Status>
    client<Object, Status> add(std::function<workflow<Object, Status>(simulated_process&)> make,
                               placement hosts = {})
    {
        auto flow = make(nobody());
        add_untyped(
            flow.impl(),
            [make](pawl::engine& engine, simulated_process& process, const watch_function& watch) {
                const workflow<Object, Status> fresh{watch(make(process).impl())};
                return engine.add(fresh).engine();
            },
            std::move(hosts));
        return client<Object, Status>{api(), std::move(flow)};
    }

    /// Adds a coroutine, such as a customer or an operator, which run() starts. The simulation ends
    /// only when the coroutine has ended. An exception other than simulation_over that leaves it is
    /// a violation. May be called before and during run().
    void spawn(std::string name, boost::asio::awaitable<void> task);

    /// Waits for a simulated time. Throws simulation_over when the simulation ends.
    boost::asio::awaitable<void> sleep(duration span);

    /// Adds a check for the end of the simulation. It returns one sentence for each violation.
    void check(std::function<std::vector<std::string>()> invariant);

    /// Reports a violation at once; it ends the simulation.
    void report_violation(std::string sentence);

    /// Adds a line to the trace.
    void trace(std::string_view line);

    /// True during the fault phase.
    bool faults_active() const noexcept;

    /// Simulated time since the end of the fault phase; zero during it.
    duration calm() const noexcept;

    /// The generator for random numbers of your handlers and coroutines.
    simulated_random& random() noexcept;

    /// Simulated time.
    time_point now() const;

    /// The store without faults, for checks. Its calls complete at once.
    record_store& store() noexcept;

    /// Runs a call of store() to its end and returns its result.
    template <class T>
    T read(boost::asio::awaitable<T> call)
    {
        std::optional<T> result;
        complete(store_result(std::move(call), &result));
        return std::move(*result);
    }

    /// Runs the simulation until everything has come to rest, or until a violation. Call it once.
    ///
    /// Errors: throws definition_error if no workflow was added, or at a second call.
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
                                                     std::optional<T>* result)
    {
        *result = co_await std::move(call);
    }

    simulated_process& nobody();
    void add_untyped(std::shared_ptr<const pawl::detail::workflow_impl> flow, add_function add,
                     placement hosts);
    std::shared_ptr<pawl::detail::engine_api> api();
    void complete(boost::asio::awaitable<void> call);

    std::unique_ptr<detail::simulator> impl_;
};

/// Result of run_crash_matrix().
struct crash_matrix_result {
    std::uint64_t calls = 0;       ///< in the simulation without a crash
    std::uint64_t simulations = 0; ///< number of simulations, the first one included
    std::vector<std::string> violations;
};

/// Crashes a program at each of its calls: runs `simulate` once without a crash, to count its calls
/// to the store and to other systems; then twice for each call, with a crash before it and after
/// it. A new engine continues on the same store.
///
/// `simulate` makes a simulation with the options that it is given, which have no other faults, and
/// runs it.
///
/// Errors: throws what `simulate` throws.
crash_matrix_result
run_crash_matrix(const std::function<simulation_result(simulation_options)>& simulate,
                 simulation_options options = {});

} // namespace pawl::testing
