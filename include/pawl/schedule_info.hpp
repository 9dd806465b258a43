#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <boost/describe.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pawl {

/// What happens when a slot of a schedule comes while its last run is unfinished. Stored by name.
enum class overlap_policy {
    skip,  ///< the slot is skipped
    queue, ///< the slot waits until the run has finished; slots that pass meanwhile are missed ones
    allow, ///< the runs overlap: the slot's time is appended to the foreign id of each
};
BOOST_DESCRIBE_ENUM(overlap_policy, skip, queue, allow)

/// What happens to slots that were missed by more than a minute. Stored by name.
enum class catch_up_policy {
    none, ///< they are dropped
    last, ///< the latest of them fires
    all,  ///< all of them fire, in order, up to schedule_options::catch_up_limit
};
BOOST_DESCRIBE_ENUM(catch_up_policy, none, last, all)

/// The options and the state of a schedule, as schedules::async_list() returns them.
struct schedule_info {
    std::string name;
    std::string workflow;
    std::string foreign_id; ///< of its runs
    std::string when;
    std::string zone;
    overlap_policy overlap = overlap_policy::skip;
    catch_up_policy catch_up = catch_up_policy::none;
    std::size_t catch_up_limit = 0;
    bool paused = false;
    std::optional<time_point> next_slot; ///< empty while it is paused, and if there is none
    std::optional<time_point> last_slot; ///< the slot of `last_run`
    run_id last_run;                     ///< the run that was started last; none before the first
    std::uint64_t fired = 0;             ///< runs started
    std::uint64_t skipped = 0;           ///< slots skipped because the last run was unfinished
    std::string last_error;              ///< why the present slot could not be fired yet
};

} // namespace pawl
