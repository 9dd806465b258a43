// Checks that call the store from several threads at once, and that it completes on the caller's
// executor.
#include "testing/conformance/fixture.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>

#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace pawl::testing {

namespace {

namespace asio = boost::asio;

/// Several coroutines on a thread pool. wait() throws the first exception that escaped one.
class crowd {
public:
    void spawn(awaitable<void> member)
    {
        asio::co_spawn(asio::make_strand(threads_), std::move(member),
                       [this](std::exception_ptr problem) {
                           const std::lock_guard lock{mutex_};
                           if (problem && !problem_)
                               problem_ = problem;
                       });
    }

    void wait()
    {
        threads_.join();
        if (problem_)
            std::rethrow_exception(problem_);
    }

private:
    asio::thread_pool threads_{4};
    std::mutex mutex_;
    std::exception_ptr problem_;
};

/// Counts results by status, from any thread.
class tally {
public:
    void add(const apply_result& result)
    {
        const std::lock_guard lock{mutex_};
        ++counts_[result.status];
    }

    int count(apply_status status) const
    {
        const auto found = counts_.find(status);
        return found == counts_.end() ? 0 : found->second;
    }

private:
    std::mutex mutex_;
    std::map<apply_status, int> counts_;
};

awaitable<void> apply_and_count(fixture& test, change only, tally& results)
{
    const auto result = co_await test.apply_one(std::move(only));
    results.add(result);
}

/// Runs one coroutine to its end.
void finish(awaitable<void> coroutine)
{
    crowd coroutines;
    coroutines.spawn(std::move(coroutine));
    coroutines.wait();
}

constexpr int contenders = 64;

void one_of_many_triggers_starts_a_run(fixture& test)
{
    tally results;
    crowd triggers;
    for (int i = 0; i < contenders; ++i)
        triggers.spawn(apply_and_count(test, start_of(test.make_run("storm")), results));
    triggers.wait();
    expect_equal(results.count(apply_status::accepted), 1, "accepted starts of one foreign id");
    expect_equal(results.count(apply_status::already_running), contenders - 1, "refused starts");
}

void one_of_many_repetitions_of_a_trigger_starts_a_run(fixture& test)
{
    tally results;
    crowd triggers;
    for (int i = 0; i < contenders; ++i) {
        auto run = test.make_run("repeated");
        run.start_key = "click";
        triggers.spawn(apply_and_count(test, start_of(run), results));
    }
    triggers.wait();
    expect_equal(results.count(apply_status::accepted), 1, "accepted starts with one key");
    expect_equal(results.count(apply_status::duplicate), contenders - 1, "duplicate starts");
}

void one_of_many_changes_of_a_version_wins(fixture& test)
{
    const auto run = test.make_run("raced");
    tally results;
    finish(apply_and_count(test, start_of(run), results));
    crowd changes;
    for (int i = 0; i < contenders; ++i)
        changes.spawn(apply_and_count(test, step_of(next_of(run)), results));
    changes.wait();
    expect_equal(results.count(apply_status::accepted), 2, "accepted changes: a start and a step");
    expect_equal(results.count(apply_status::conflict), contenders - 1, "changes that lost");
}

awaitable<void> take_steps(fixture& test, record run, int steps)
{
    co_await test.accept_one(start_of(run));
    for (int i = 0; i < steps; ++i) {
        run = next_of(run);
        co_await test.accept_one(step_of(run));
        const auto stored = co_await test.stored(run.id);
        expect_record(stored, run, "a run right after its change");
    }
}

awaitable<void> expect_dense_log(fixture& test, std::uint32_t shard, std::uint64_t& total)
{
    const auto log = co_await test.store().events(shard, 0, 100'000);
    for (std::size_t i = 0; i < log.size(); ++i)
        expect_equal(log[i].sequence, i + 1, "sequence of an event");
    total += log.size();
}

void concurrent_runs_keep_their_logs_dense(fixture& test)
{
    constexpr int runs = 16;
    constexpr int steps = 20;
    crowd walkers;
    for (int i = 0; i < runs; ++i)
        walkers.spawn(take_steps(test, test.make_run(fmt::format("walker-{}", i)), steps));
    walkers.wait();
    std::uint64_t total = 0;
    for (std::uint32_t shard = 0; shard < test.shards(); ++shard)
        finish(expect_dense_log(test, shard, total));
    expect_equal(total, runs * (steps + 1), "events of all shards");
}

template <typename Result>
awaitable<void> expect_callers_executor(awaitable<Result> call, asio::any_io_executor strand,
                                        std::string name)
{
    const auto* expected = strand.target<asio::strand<asio::thread_pool::executor_type>>();
    co_await std::move(call);
    expect(expected && expected->running_in_this_thread(),
           name + "() completed on another executor than the caller's");
}

awaitable<void> call_everything(fixture& test)
{
    const asio::any_io_executor strand = co_await asio::this_coro::executor;
    record_store& store = test.store();
    const auto run = test.make_run("called");
    const std::vector<change> batch{start_of(run)};
    const record_query query;
    co_await expect_callers_executor(store.apply(batch), strand, "apply");
    co_await expect_callers_executor(store.find(run.id), strand, "find");
    co_await expect_callers_executor(store.latest("orders", "called"), strand, "latest");
    co_await expect_callers_executor(store.list(query), strand, "list");
    co_await expect_callers_executor(store.count("", false), strand, "count");
    co_await expect_callers_executor(store.due(0, {}, beginning, 10), strand, "due");
    co_await expect_callers_executor(store.events(0, 0, 10), strand, "events");
    co_await expect_callers_executor(store.history(run.id, 0, 10), strand, "history");
    co_await expect_callers_executor(store.inbox(run.id, 0, 10), strand, "inbox");
    co_await expect_callers_executor(store.outcome(run.id, 1), strand, "outcome");
    co_await expect_callers_executor(store.cursor("hooks", 0), strand, "cursor");
    co_await expect_callers_executor(store.claim({0}, "me", duration::zero()), strand, "claim");
    co_await expect_callers_executor(store.release({}), strand, "release");
    co_await expect_callers_executor(store.leases(), strand, "leases");
    co_await expect_callers_executor(store.claim_role("r", "me", duration::zero()), strand,
                                     "claim_role");
    co_await expect_callers_executor(store.roles(""), strand, "roles");
}

void calls_complete_on_the_callers_executor(fixture& test)
{
    crowd callers;
    callers.spawn(call_everything(test));
    callers.wait();
}

template <typename Result>
awaitable<Result> cancelled(awaitable<Result> call, asio::cancellation_signal& cancel)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    asio::post(executor, [&cancel] { cancel.emit(asio::cancellation_type::terminal); });
    auto result = co_await std::move(call);
    co_return result;
}

/// Cancels the caller of a call as soon as the call waits, and returns the result of the call.
template <typename Result>
Result finish_cancelled(awaitable<Result> call)
{
    asio::io_context context;
    asio::cancellation_signal cancel;
    std::exception_ptr failure;
    std::optional<Result> result;
    asio::co_spawn(
        context, cancelled(std::move(call), cancel),
        asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr thrown, Result value) {
            failure = thrown;
            result = std::move(value);
        }));
    context.run();
    if (failure)
        std::rethrow_exception(failure);
    return std::move(result.value());
}

void a_call_whose_caller_is_cancelled_completes(fixture& test)
{
    record_store& store = test.store();
    const auto run = test.make_run("called");
    auto ended = test.make_run("ended");
    ended.state = run_state::completed;
    ended.wake_at.reset();
    publication news{"news", {}};
    const std::vector<change> batch{start_of(run), start_of(ended),       removal{ended.id, 1},
                                    news,          topic_trim{"news", 1}, news};
    const auto results = finish_cancelled(store.apply(batch));
    expect_equal(results.size(), batch.size(), "results of a batch whose caller was cancelled");
    for (const auto& result : results)
        expect_status(result, apply_status::accepted, "a change whose caller was cancelled");
    const std::vector<change> next{step_of(next_of(run)), news, topic_trim{"news", 2}, news};
    const auto applied = finish_cancelled(store.apply_apart(next));
    expect_equal(applied.results.size(), next.size(), "results of changes stored apart");
    expect_status(applied.results.front(), apply_status::accepted, "a change stored apart");
    const auto first = finish_cancelled(store.first_shards({"orders", "mails"}));
    expect_equal(first.size(), 2, "first_shards() whose caller was cancelled");
    const auto held = finish_cancelled(store.claim({0}, "me", std::chrono::hours{1}));
    expect_equal(held.size(), 1, "leases of a claim whose caller was cancelled");
    const auto role = finish_cancelled(store.claim_role("role", "me", std::chrono::hours{1}));
    expect(role.has_value(), "claim_role() whose caller was cancelled returned no lease");
}

struct threaded_check {
    const char* name;
    void (*body)(fixture& test);
    std::uint32_t shards = 1;
};

constexpr threaded_check threaded_checks[] = {
    {"one_of_many_triggers_starts_a_run", one_of_many_triggers_starts_a_run},
    {"one_of_many_repetitions_of_a_trigger_starts_a_run",
     one_of_many_repetitions_of_a_trigger_starts_a_run},
    {"one_of_many_changes_of_a_version_wins", one_of_many_changes_of_a_version_wins},
    {"concurrent_runs_keep_their_logs_dense", concurrent_runs_keep_their_logs_dense, 3},
    {"calls_complete_on_the_callers_executor", calls_complete_on_the_callers_executor},
    {"a_call_whose_caller_is_cancelled_completes", a_call_whose_caller_is_cancelled_completes},
};

} // namespace

std::vector<conformance_check> concurrency_checks()
{
    std::vector<conformance_check> checks;
    for (const threaded_check& check : threaded_checks)
        checks.push_back({check.name, [&check](const store_factory& make_store) {
                              fixture test{make_store(check.shards), check.shards};
                              check.body(test);
                          }});
    return checks;
}

} // namespace pawl::testing
