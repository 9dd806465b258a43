// Workflows drawn from a seed, and a ledger of their effects.
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

struct generated_data {
    std::vector<std::string> saved_versions; ///< the version of each commit that saves the object
    std::vector<std::string> payloads;       ///< payloads of callbacks
    int repeats = 0;                         ///< in the current status
    int returns = 0;                         ///< moves to an earlier status
};
BOOST_DESCRIBE_STRUCT(generated_data, (), (saved_versions, payloads, repeats, returns))

/// Statuses are numbers only, because their number is drawn.
enum class generated_status : int {};

/// Part of a handler.
enum class action { wait, call, once, checkpoint, fail };

struct drawn_step {
    std::vector<action> actions;
    std::vector<int> to;
    std::optional<int> back;
    int repeats = 0;          ///< before it moves
    bool skips = false;       ///< returns skip() instead of moving
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
    std::vector<drawn_status> statuses; ///< numbered from 1; the next number is the end status
    bool hooks = true;
    bool new_attributes = false; ///< the first life of each process does not have them

    int end() const { return static_cast<int>(statuses.size()) + 1; }
};

drawn_workflow draw(pawl::testing::simulated_random random);

/// The effects as the simulated service sees them.
class effect_ledger {
public:
    explicit effect_ledger(pawl::testing::simulation& sim) : sim_(sim) {}

    /// Adds an effect under an idempotency key; returns a unique number.
    std::uint64_t add(const std::string& effect_id, const std::string& key, bool once);

    /// once() returned this number for the effect.
    void recorded(const std::string& effect_id, std::uint64_t value);

private:
    pawl::testing::simulation& sim_;
    std::map<std::string, std::string> keys_;       ///< by effect
    std::map<std::string, std::uint64_t> recorded_; ///< by effect
    std::uint64_t last_ = 0;
};

/// The workflow for one process.
pawl::workflow<generated_data, generated_status>
make_workflow(const drawn_workflow& drawn, pawl::testing::simulation& sim, effect_ledger& ledger,
              pawl::testing::simulated_process& process);

/// The attributes of the workflow, in the order of their names.
std::vector<pawl::stored_attribute> attributes_of(const generated_data& object);

inline std::string callback_of(int status)
{
    return "call-" + std::to_string(status);
}

} // namespace simulation_test
