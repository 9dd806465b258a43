// kill -9 at a random moment: every transition that was reported as accepted is there afterwards.
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

} // namespace

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
