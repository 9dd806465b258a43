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

/// What a test waited for did not happen; what() says what did.
class failure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct harness_options {
    /// Options of the engine. What is not set there: the store is one in memory, the clock a
    /// manual_clock, the log is kept for harness::log(), unless a sink of the test's own is set.
    engine_options engine{};

    /// Called before each start, when the workflow has been added: to connect sources of events, or
    /// to add the workflows that it works with.
    std::function<void(pawl::engine&)> configure{};

    /// How far time may move while a test waits. Default 30 days.
    duration max_simulated_time = std::chrono::hours{24 * 30};

    /// How often a run may commit while time stands still: past it the test fails, by a failure
    /// that names the run. It is one that never waits, as a step does that returns
    /// repeat_after(0s), or two runs that wake each other. At least 1. Default 10,000.
    std::size_t max_commits = 10'000;

    /// How many handlers of the context may run while time stands still, whatever they belong to.
    /// At least 1. Default 1,000,000.
    std::size_t max_turns = 1'000'000;

    /// How long an operation may wait for the world outside, in real time, before it counts as one
    /// that never ends: above zero if steps do real I/O or the store has threads. Default 0.
    std::chrono::milliseconds real_time_timeout{};
};

namespace detail {

/// The part of harness that needs no types.
class engine_bench {
public:
    explicit engine_bench(harness_options options);
    virtual ~engine_bench();

    engine_bench(const engine_bench&) = delete;
    engine_bench& operator=(const engine_bench&) = delete;

    /// Runs everything that can run without time moving on. With real I/O or a store with threads
    /// (harness_options::real_time_timeout above zero), until nothing has come for 20 ms.
    void run_until_idle();

    /// Moves time on, then runs until idle. Waits that end on the way end in their order, each with
    /// all that follows from it.
    void advance(duration span);

    /// When the next wait ends; empty when nothing waits for time.
    std::optional<time_point> next_wait() const { return clock_->next_wait(); }

    time_point now() const { return clock_->now(); }
    manual_clock& clock() noexcept { return *clock_; }
    boost::asio::io_context& context() noexcept { return *io_; }
    record_store& store() noexcept { return *options_.engine.store; }
    pawl::engine& engine() noexcept { return *engine_; }

    /// What the engine has logged, from the beginning.
    const std::vector<std::string>& log() const noexcept { return log_; }

    /// Runs an operation to its end, without moving time, and gives what it gave. Throws what it
    /// throws, and failure when nothing more can happen before it has ended.
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

    /// Ends the engine as a crash would, as far as the store is concerned, and starts another one
    /// on the same store. Handlers that were running are cancelled.
    void restart();

protected:
    void start();
    void stop();
    void stop_at_last() noexcept;
    virtual void add_workflows(pawl::engine& to) = 0;

    /// Moves time from wait to wait until `done`; false when patience has come to its end.
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
    time_point counted_at_; ///< what is counted was counted since then
    std::size_t turns_ = 0;
    std::optional<pawl::engine> engine_;
};

/// What a test that failed wants to know of a run.
std::string describe(const record& run, const std::string& status,
                     const std::vector<event>& history);

} // namespace detail

/// A started engine in memory, on time that the test moves, for one workflow: for tests of
/// workflows in any framework.
///
/// @code
/// pawl::testing::harness orders{order_workflow(services)};
/// const auto run = orders.trigger("order-1", order);
/// orders.advance(5min);
/// BOOST_TEST(orders.await(run, {Cancelled}).object.reason == "not paid in time");
/// @endcode
///
/// Everything happens inside its functions, on the calling thread; none of them hangs: what cannot
/// happen any more is a `failure` that tells where the run stands and how it came there, and so is
/// what never comes to rest. Errors of Pawl are thrown as boost::system::system_error. The
/// destructor stops the engine; when a handler never ends, that is told on standard error, and the
/// engine is left as it is.
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

    /// Starts a run, and runs until idle.
    run_id trigger(std::string foreign_id, const Object& object = {},
                   trigger_options<Status> options = {})
    {
        const auto run =
            wait_for(client_->async_trigger(std::move(foreign_id), object, std::move(options)));
        run_until_idle();
        return run;
    }

    /// The run as it is. Throws failure when there is none.
    snapshot_type find(run_id run)
    {
        auto found = wait_for(client_->async_find(run));
        if (!found)
            throw failure("there is no run " + to_string(run));
        return std::move(*found);
    }

    /// Moves time on, as far as it must, until the run is in one of `statuses`.
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

    /// Moves time on, as far as it must, until the run has finished, wherever it does.
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

    /// Calls a callback of the run back and waits until it has been handled. Throws what
    /// client::async_call gives as an error.
    template <class Payload>
    settlement callback(run_id run, const std::string& name, const Payload& payload,
                        callback_options options = {})
    {
        auto settled = wait_for(client_->async_call(run, name, payload, std::move(options)));
        run_until_idle();
        return settled;
    }

    /// As callback(), once the run is in `status`.
    template <class Payload>
    settlement callback_on(run_id run, Status status, const std::string& name,
                           const Payload& payload, callback_options options = {})
    {
        await(run, {status});
        return callback(run, name, payload, std::move(options));
    }

    std::vector<event> history(run_id run) { return wait_for(client_->async_history(run)); }

    /// Where the run stands and how it came there, for people.
    std::string describe(run_id run)
    {
        const auto found = wait_for(store().find(run));
        if (!found)
            return "there is no run " + to_string(run);
        return detail::describe(*found, flow_.rules().label(found->status), history(run));
    }

private:
    void add_workflows(pawl::engine& to) override { client_.emplace(to.add(flow_)); }

    workflow<Object, Status> flow_;
    std::optional<pawl::client<Object, Status>> client_;
};

} // namespace pawl::testing
