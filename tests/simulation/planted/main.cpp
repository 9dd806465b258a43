// Shows that the simulation finds each planted bug (bugs.cmake), and after how many seeds.
#include "simulation/planted/bug.hpp"
#include "simulation/scenes.hpp"
#include "simulation/worlds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace simulation_test;

struct planted_bug {
    const char* name;
    const char* defect;
    std::string_view world = "generated"; ///< to search
    std::string_view mix = {}; ///< of the mixed world: the scenes and features that find it soonest
};

constexpr planted_bug bugs[] = {
    {"version_not_checked", "the store takes a change that was made from an old version"},
    {"message_consumed_alone", "a message is settled by a transition that does not handle it"},
    {"epoch_not_checked", "the store takes changes of an owner that has lost the shard"},
    {"second_run_not_refused", "a foreign id may have two unfinished runs"},
    {"start_key_not_checked", "a repeated trigger starts a second run"},
    {"event_lost", "a checkpoint is stored without its event", "mixed", "effects"},
    {"old_deadlines_kept", "deadlines of the visit before fire in the next"},
    {"timeout_lost_on_repeat", "repeat_after() forgets the visit's deadlines"},
    {"timeout_early", "a timeout runs up to a second early"},
    {"attempt_not_counted", "the number of a failed attempt is not stored"},
    {"key_of_the_attempt", "an idempotency key changes with the attempt"},
    {"once_not_recorded", "the result of once() is not stored"},
    {"answered_without_commit", "a trigger is acknowledged though its commit failed"},
    {"await_told_of_failed_commit", "an await reports a commit that failed"},
    {"wake_up_lost", "a run that is due earlier than another does not wake the scanner"},
    {"hook_cursor_before_work", "the cursor of hooks is stored before they are called"},
    {"store_clock_ignored", "engines go by the clocks of their machines, which are wrong", "mixed",
     "messages"},
    {"hook_twice", "a hook is called twice for an event"},
    {"effects_side_by_side", "concurrent effects of one name both happen", "mixed", "effects"},
    {"size_not_checked", "an object may be larger than the limit", "mixed", "sizes"},
    {"stop_is_failure", "what a stop cancels counts as a failed attempt", "mixed", "effects"},
    {"command_waits_for_handler", "a command does not cancel the running handler", "mixed",
     "queues"},
    {"callback_not_retried", "a callback fails for good at its first failure", "mixed", "messages"},
    {"step_of_newer_forgotten", "an older program stores a newer one's run as not due", "mixed",
     "versions"},
    {"crash_not_counted", "a run is not suspected of what ended its engine", "mixed", "crashing"},
    {"turn_lost", "in a full engine a run with a message loses its turn", "mixed"},
    {"shard_overtakes", "in a full engine a shard's next run overtakes those of others", "mixed",
     "queues"},
    {"limit_counts_paused_run", "a paused run keeps its permit of a step's limit", "mixed",
     "queues"},
    {"place_in_line_lost", "a run with a message loses its place before a step's limit", "mixed",
     "queues"},
};

/// The limit for every bug.
constexpr std::uint64_t max_seeds = 1000;

/// Distance between two first seeds.
constexpr std::uint64_t stride = 100'000;

struct found {
    std::uint64_t seeds = 0; ///< 0: not found
    std::string sentence;
};

/// Runs in its own process, because a failed assertion counts as found.
[[noreturn]] void search(const planted_bug& bug, std::uint64_t first, int report)
{
    plant(bug.name);
    choose_features(bug.mix);
    for (auto seed = first; seed < first + max_seeds; ++seed) {
        [[maybe_unused]] auto written = ::write(report, &seed, sizeof seed);
        for (const auto& searched : worlds()) {
            if (bug.world != searched.name)
                continue;
            simulation_options options;
            options.seed = seed;
            // A day, of which a correct program needs a part: bugs keep some lives from settling.
            options.settle_time = std::chrono::hours{24};
            const auto result = searched.run(std::move(options));
            if (result.violations.empty())
                continue;
            written =
                ::write(report, result.violations.front().data(), result.violations.front().size());
            ::_exit(1);
        }
    }
    ::_exit(0);
}

found search(const planted_bug& bug, std::uint64_t first)
{
    int pipe[2];
    if (::pipe(pipe) != 0)
        throw std::runtime_error("pipe() failed");
    std::fflush(nullptr);
    const auto child = ::fork();
    if (child < 0)
        throw std::runtime_error("fork() failed");
    if (child == 0)
        search(bug, first, pipe[1]);
    ::close(pipe[1]);
    found result;
    std::uint64_t seed = 0;
    while (::read(pipe[0], &seed, sizeof seed) == sizeof seed && seed - first < max_seeds)
        result.seeds = seed - first + 1;
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status == 0)
        return {};
    result.sentence = WIFSIGNALED(status) ? "an assertion failed" : "a check failed";
    return result;
}

struct arguments {
    int starts = 3;
    std::string_view bug, world, mix; ///< empty: all bugs; the world and the mix of the table
};

int run(const arguments& given)
{
    int missed = 0;
    std::puts("| bug | what is wrong | median seeds | most |\n|---|---|---|---|");
    for (auto bug : bugs) {
        if (!given.bug.empty() && given.bug != bug.name)
            continue;
        if (!given.world.empty()) {
            bug.world = given.world;
            bug.mix = given.mix;
        }
        std::vector<std::uint64_t> needed;
        for (int i = 0; i < given.starts; ++i) {
            const auto hit = search(bug, 1 + static_cast<std::uint64_t>(i) * stride);
            if (hit.seeds == 0)
                ++missed;
            needed.push_back(hit.seeds == 0 ? max_seeds + 1 : hit.seeds);
        }
        std::ranges::sort(needed);
        std::puts(fmt::format("| `{}` | {} | {} | {} |", bug.name, bug.defect,
                              needed[needed.size() / 2], needed.back())
                      .c_str());
        std::fflush(stdout);
    }
    if (missed > 0)
        std::puts(fmt::format("{} searches found nothing in {} seeds", missed, max_seeds).c_str());
    return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

/// planted_bugs [STARTS [BUG [WORLD [MIX]]]]
int main(int argc, char** argv)
{
    arguments given;
    if (argc > 1)
        given.starts = std::max(std::atoi(argv[1]), 1);
    if (argc > 2)
        given.bug = argv[2];
    if (argc > 3)
        given.world = argv[3];
    if (argc > 4)
        given.mix = argv[4];
    return run(given);
}
