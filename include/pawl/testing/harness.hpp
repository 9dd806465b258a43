#pragma once

#include "pawl/client.hpp"
#include "pawl/engine.hpp"
#include "pawl/testing/manual_clock.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pawl::testing {

/// What a test waited for did not happen. `what()` says where the run is and how it came there.
class failure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct harness_options {
    /// Options of the engine. Defaults here: a store in memory, a manual_clock (which replaces any
    /// other kind of clock), and a log that harness::log() returns unless a sink is set.
    engine_options engine{};

    /// Called before each start of the engine, after the workflow was added: to connect event
    /// sources, or to add other workflows. A client that it keeps must end before the harness,
    /// which has the execution context. Default: none.
    std::function<void(pawl::engine&)> configure{};

    /// How far await() and await_finished() may move time forward. Default 30 days.
    duration max_simulated_time = std::chrono::hours{24 * 30};

    /// The most commits of one run while time stands still; one more throws a failure that names
    /// the run. It never waits: a step returns repeat_after(0s), or two runs wake each other. At
    /// least 1. Default 10,000.
    std::size_t max_commits = 10'000;

    /// The most completion handlers that the io_context may run while time stands still; one more
    /// throws a failure. At least 1. Default 1,000,000.
    std::size_t max_turns = 1'000'000;

    /// How long, in real time, an operation may wait for I/O or other threads until it throws a
    /// failure. Set it if steps do real I/O or the store has threads. Default 0: none do.
    std::chrono::milliseconds real_time_timeout{};
};

namespace detail {

/// The part of harness that does not depend on types.
class engine_bench {
public:
    explicit engine_bench(harness_options options);
    virtual ~engine_bench();

    engine_bench(const engine_bench&) = delete;
    engine_bench& operator=(const engine_bench&) = delete;

    /// Runs everything that can run while time stands still. If harness_options::real_time_timeout
    /// is above 0, until nothing has arrived for 20 ms.
    void run_until_idle();

    /// Moves time forward from wait to wait, and runs until idle after each, so that everything
    /// that follows from a wait happens at its time.
    void advance(duration span);

    /// When the next wait ends; empty if nothing waits for time.
    std::optional<time_point> next_wait() const { return clock_->next_wait(); }

    time_point now() const { return clock_->now(); }
    manual_clock& clock() noexcept { return *clock_; }
    boost::asio::io_context& context() noexcept { return *io_; }
    record_store& store() noexcept { return *options_.engine.store; }
    pawl::engine& engine() noexcept { return *engine_; }

    /// All lines that the engine has logged.
    const std::vector<std::string>& log() const noexcept { return log_; }

    /// Runs an operation to its end while time stands still, and returns its result.
    ///
    /// Throws what the operation throws; failure if it cannot end because nothing else can happen.
    template <class T>
    T wait_for(boost::asio::awaitable<T> operation)
    {
        struct ending {
            std::optional<T> result;
            std::exception_ptr thrown;
        };
        // Shared: after a failure, the operation may still end.
        const auto end = std::make_shared<ending>();
        boost::asio::co_spawn(*io_, std::move(operation), [end](std::exception_ptr e, T value) {
            end->thrown = e;
            end->result.emplace(std::move(value));
        });
        run_until([&] { return end->result.has_value(); });
        if (end->thrown)
            std::rethrow_exception(end->thrown);
        return std::move(*end->result);
    }

    void wait_for(boost::asio::awaitable<void> operation);

    /// Ends the engine and starts another one on the same store, as after a crash. Handlers that
    /// are running are cancelled.
    void restart();

protected:
    void start();
    void stop();
    void stop_at_last() noexcept;
    virtual void add_workflows(pawl::engine& engine) = 0;

    /// Moves time from wait to wait until `done`; false after harness_options::max_simulated_time.
    bool advance_until(const std::function<bool()>& done);

private:
    class commit_counter;

    void poll();
    [[noreturn]] void fail_for_loop();
    bool run_one_for(std::chrono::milliseconds span);
    void run_until(const std::function<bool()>& done);

    harness_options options_;
    std::unique_ptr<boost::asio::io_context> io_ = std::make_unique<boost::asio::io_context>();
    std::shared_ptr<manual_clock> clock_;
    std::vector<std::string> log_;
    std::shared_ptr<commit_counter> commits_;
    time_point counted_at_; ///< commits and turns are counted since then
    std::size_t turns_ = 0;
    std::optional<pawl::engine> engine_;
};

/// State, last error and history of a run, for the text of a failure.
std::string describe(const record& run, const std::string& status,
                     const std::vector<event>& history);

} // namespace detail

/// Tests one workflow on a started engine, in memory, with time that the test moves. For any test
/// framework.
///
/// @code
/// pawl::testing::harness orders{order_workflow(services)};
/// const auto run = orders.trigger("order-1", order);
/// orders.advance(5min);
/// BOOST_TEST(orders.await(run, {Cancelled}).object.reason == "not paid in time");
/// @endcode
///
/// Everything happens inside the functions of this class, on the calling thread. No function hangs:
/// it throws a `failure` if what it waits for can no longer happen, or if the workflow never comes
/// to rest. Errors of Pawl are thrown as boost::system::system_error.
///
/// The destructor stops the engine. If a handler never ends, it says so on standard error and
/// leaves the engine as it is.
///
/// @par Thread Safety
/// One thread at a time.
template <class Object, class Status>
class harness : public detail::engine_bench {
public:
    using snapshot_type = snapshot<Object, Status>;

    explicit harness(workflow<Object, Status> flow, harness_options options = {})
        : engine_bench(std::move(options)), flow_(std::move(flow))
    {
        start();
    }

    ~harness() override { stop_at_last(); }

    pawl::client<Object, Status>& client() noexcept { return *client_; }

    /// Starts a run, and runs until idle. Throws what client::async_trigger() reports.
    run_id trigger(std::string foreign_id, const Object& object = {},
                   trigger_options<Status> options = {})
    {
        const auto run =
            wait_for(client_->async_trigger(std::move(foreign_id), object, std::move(options)));
        run_until_idle();
        return run;
    }

    /// The run as it is now. Throws failure if there is no such run.
    snapshot_type find(run_id run)
    {
        auto found = wait_for(client_->async_find(run));
        if (!found)
            throw failure("there is no run " + to_string(run));
        return std::move(*found);
    }

    /// Moves time forward, as far as necessary, until the run is in one of `statuses`. Throws
    /// failure if the run finishes elsewhere, or after harness_options::max_simulated_time.
    snapshot_type await(run_id run, std::vector<Status> statuses)
    {
        std::optional<snapshot_type> found;
        const auto reached = [&] {
            found = find(run);
            for (const auto status : statuses)
                if (found->status == status)
                    return true;
            return false;
        };
        if (!advance_until([&] { return reached() || is_finished(found->state); }) || !reached())
            throw failure("the run did not reach the status that the test waits for: " +
                          describe(run));
        return std::move(*found);
    }

    /// Moves time forward, as far as necessary, until the run has finished in any status. Throws
    /// failure after harness_options::max_simulated_time.
    snapshot_type await_finished(run_id run)
    {
        std::optional<snapshot_type> found;
        const auto finished = [&] {
            found = find(run);
            return is_finished(found->state);
        };
        if (!advance_until(finished))
            throw failure("the run did not finish: " + describe(run));
        return std::move(*found);
    }

    /// Calls a callback of the run and waits until it was handled, while time stands still. Throws
    /// what client::async_call() reports.
    template <class Payload>
    settlement callback(run_id run, const std::string& name, const Payload& payload,
                        callback_options options = {})
    {
        auto settled = wait_for(client_->async_call(run, name, payload, std::move(options)));
        run_until_idle();
        return settled;
    }

    /// Calls await(run, {status}), then callback().
    template <class Payload>
    settlement callback_on(run_id run, Status status, const std::string& name,
                           const Payload& payload, callback_options options = {})
    {
        await(run, {status});
        return callback(run, name, payload, std::move(options));
    }

    /// All events of the run.
    std::vector<event> history(run_id run) { return wait_for(client_->async_history(run)); }

    /// State, last error and history of the run, human-readable.
    std::string describe(run_id run)
    {
        const auto found = wait_for(store().find(run));
        if (!found)
            return "there is no run " + to_string(run);
        return detail::describe(*found, flow_.rules().label(found->status), history(run));
    }

private:
    void add_workflows(pawl::engine& engine) override { client_.emplace(engine.add(flow_)); }

    workflow<Object, Status> flow_;
    std::optional<pawl::client<Object, Status>> client_;
};

} // namespace pawl::testing
