// Processes that end at any moment: every transition that was reported as accepted is there
// afterwards, and a step that ends its process each time is not repeated forever.
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/sqlite.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include "sqlite/support.hpp"

#include <csignal>
#include <cstdint>
#include <map>
#include <random>

#include <sys/wait.h>
#include <unistd.h>

BOOST_AUTO_TEST_SUITE(sqlite_crash)

namespace {

constexpr std::uint8_t runs = 20;

struct report {
    std::uint32_t run;
    std::uint32_t version;
};

/// Applies transitions for ever, and reports each as soon as the store has accepted it.
/// What escapes ends the child by another signal than the parent's.
[[noreturn]] void work(const std::string& path, int pipe) noexcept
{
    const auto store = pawl::open_sqlite(path);
    std::map<std::uint8_t, pawl::record> current;
    for (;;) {
        std::vector<pawl::change> batch;
        for (std::uint8_t i = 1; i <= runs; ++i) {
            auto& run = current[i];
            if (!run.version) {
                // The database may be one that an earlier child left behind.
                const auto stored = finish(store->find(make_run(i, "").id));
                run = stored ? *stored : make_run(i, "order-" + std::to_string(i));
                run.version = stored ? stored->version + 1 : 1;
            } else {
                ++run.version;
            }
            batch.push_back(store_as(run));
        }
        const auto results = finish(store->apply(batch));
        for (std::uint8_t i = 1; i <= runs; ++i) {
            const report accepted{i, static_cast<std::uint32_t>(current[i].version)};
            if (results[i - 1].status != pawl::apply_status::accepted ||
                ::write(pipe, &accepted, sizeof accepted) != sizeof accepted)
                ::_exit(1);
        }
    }
}

/// Starts a child, kills it after it reported so many transitions, and returns the last version
/// that it reported of each run.
std::map<std::uint32_t, std::uint32_t> run_and_kill(const std::string& path, std::size_t reports)
{
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) {
        ::close(ends[0]);
        work(path, ends[1]);
    }
    ::close(ends[1]);
    std::map<std::uint32_t, std::uint32_t> reported;
    report each;
    for (std::size_t i = 0; ::read(ends[0], &each, sizeof each) == sizeof each; ++i) {
        reported[each.run] = each.version;
        // Reports go on coming from the pipe until it is empty.
        if (i == reports)
            ::kill(child, SIGKILL);
    }
    ::close(ends[0]);
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    return reported;
}

constexpr int crash_code = 7;

enum class job_status { running = 1, done, given_up };
BOOST_DESCRIBE_ENUM(job_status, running, done, given_up)

struct job {
    int number = 0;
};
BOOST_DESCRIBE_STRUCT(job, (), (number))

pawl::step<job_status::done> run_job(pawl::run<job>& run)
{
    if (run.foreign_id() == "poison")
        ::_exit(crash_code);
    co_return pawl::to<job_status::done>;
}

/// Ends the process with 0 when both runs have finished.
boost::asio::awaitable<void> finish_jobs(pawl::engine& engine, pawl::client<job, job_status> jobs)
{
    co_await engine.async_start();
    for (const std::string id : {"healthy", "poison"}) {
        const auto run = co_await jobs.async_trigger(id, job{}, {.idempotency_key = id});
        co_await jobs.async_await_finished(run);
    }
    ::_exit(0);
}

/// A process with an engine. Returns the code with which it ended.
int live(const std::string& path)
{
    const pid_t child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) {
        pawl::builder<job, job_status> b{"jobs"};
        b.step<job_status::running>(run_job)
            .retry({.max_attempts = 0})
            .on_exhausted<job_status::given_up>();
        b.end<job_status::done, job_status::given_up>();
        boost::asio::io_context io;
        pawl::engine engine{io.get_executor(), {.store = pawl::open_sqlite(path), .log = {}}};
        const auto jobs = engine.add(std::move(b).build());
        boost::asio::co_spawn(io, finish_jobs(engine, jobs),
                              [](const std::exception_ptr&) { ::_exit(1); });
        io.run();
        ::_exit(2);
    }
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_step_that_ends_its_process_again_and_again_fails_for_good)
{
    const temporary_folder folder;
    const auto path = folder.file("poison.db");
    int crashes = 0;
    int code = crash_code;
    for (; code == crash_code && crashes < 10; crashes += code == crash_code)
        code = live(path);
    BOOST_TEST(code == 0);
    BOOST_TEST(crashes == 5);
    const auto store = pawl::open_sqlite(path);
    const auto healthy = finish(store->latest("jobs", "healthy"));
    const auto poison = finish(store->latest("jobs", "poison"));
    BOOST_REQUIRE(healthy.has_value());
    BOOST_REQUIRE(poison.has_value());
    BOOST_TEST(healthy->status == static_cast<int>(job_status::done));
    BOOST_TEST(poison->status == static_cast<int>(job_status::given_up));
    BOOST_TEST(poison->last_error.find("process ended") != std::string::npos, poison->last_error);
}

BOOST_AUTO_TEST_CASE(what_was_reported_survives_kill)
{
    const temporary_folder folder;
    const auto path = folder.file("killed.db");
    const auto seed = std::random_device{}();
    BOOST_TEST_MESSAGE("seed " << seed);
    std::mt19937 random{seed};
    for (int round = 0; round < 8; ++round) {
        const auto reported = run_and_kill(path, random() % 3000);
        BOOST_REQUIRE(!reported.empty());
        const auto store = pawl::open_sqlite(path);
        for (const auto& [run, version] : reported) {
            const auto id = make_run(static_cast<std::uint8_t>(run), "").id;
            const auto stored = finish(store->find(id));
            BOOST_REQUIRE(stored.has_value());
            BOOST_TEST(stored->version >= version);
            BOOST_TEST(finish(store->history(id, 0, 1'000'000)).size() == stored->version);
        }
        const auto log = finish(store->events(0, 0, 10'000'000));
        BOOST_REQUIRE(!log.empty());
        BOOST_TEST(log.back().sequence == log.size());
    }
}

BOOST_AUTO_TEST_SUITE_END()
