// Workflows that are drawn from a seed, and a ledger of what their handlers did.
#pragma once

#include "pawl/codec.hpp"
#include "pawl/testing/simulation.hpp"
#include "pawl/workflow.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace simulation_test {

struct tale {
    std::vector<std::string> trail; ///< one entry a commit that saves the object: its version
    std::vector<std::string> heard; ///< payloads of callbacks
    int repeats = 0;                ///< of the present status
    int returns = 0;                ///< moves back
};
BOOST_DESCRIBE_STRUCT(tale, (), (trail, heard, repeats, returns))

/// Numbers only: how many there are is drawn.
enum class place : int {};

/// What a handler does before it ends.
enum class act { wait, outside, once, save, fail };

struct drawn_step {
    std::vector<act> acts;
    std::vector<int> to;
    std::optional<int> back;
    int repeats = 0;          ///< before it moves
    bool skips = false;       ///< instead of moving
    pawl::duration pause{};   ///< between repeats
    pawl::duration longest{}; ///< of a wait
    pawl::retry_policy retry;
    pawl::duration attempt_timeout{};
    pawl::duration start_delay{};
    std::size_t max_concurrency = 0;
    std::optional<int> exhausted;
};

struct drawn_timeout {
    pawl::duration after{};
    int to = 0;
    bool repeats_once = false;
    bool fails_first = false;
};

struct drawn_status {
    std::optional<drawn_step> step;
    std::vector<drawn_timeout> timeouts;
    bool callback = false; ///< named after the status
    int callback_to = 0;
    bool callback_may_stay = false;
};

struct drawn_workflow {
    std::vector<drawn_status> statuses; ///< of number 1 on; the next number is the end
    bool hooks = true;

    int end() const { return static_cast<int>(statuses.size()) + 1; }
};

drawn_workflow draw(pawl::testing::simulated_random random);

/// Effects, as the outside saw them.
class effect_ledger {
public:
    explicit effect_ledger(pawl::testing::simulation& sim) : sim_(sim) {}

    /// An effect of a place in a run, under a key; gives a number that no other effect has.
    std::uint64_t enter(const std::string& where, const std::string& key, bool once);

    /// once() returned that number there.
    void recorded(const std::string& where, std::uint64_t value);

private:
    pawl::testing::simulation& sim_;
    std::map<std::string, std::string> keys_;       ///< by place
    std::map<std::string, std::uint64_t> recorded_; ///< by place
    std::uint64_t last_ = 0;
};

/// The workflow in the hands of one process.
pawl::workflow<tale, place> make_workflow(const drawn_workflow& drawn,
                                          pawl::testing::simulation& sim, effect_ledger& ledger,
                                          pawl::testing::simulated_process& process);

inline std::string callback_of(int status)
{
    return "call-" + std::to_string(status);
}

} // namespace simulation_test
