#pragma once

#include "pawl/codec.hpp"
#include "pawl/error.hpp"
#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <boost/describe.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pawl {

/// What happens when a schedule's slot comes while its last run is unfinished.
enum class overlap_policy {
    skip,  ///< the slot is passed over
    queue, ///< it waits until the run has finished; slots that pass meanwhile count as missed ones
    allow, ///< the runs stand beside each other: each has the slot's time behind its foreign id
};
BOOST_DESCRIBE_ENUM(overlap_policy, skip, queue, allow)

/// What happens to slots that are more than a minute late.
enum class catch_up_policy {
    none, ///< they are forgotten
    last, ///< the latest of them fires
    all,  ///< all of them fire, one after another, up to a limit
};
BOOST_DESCRIBE_ENUM(catch_up_policy, none, last, all)

/// What a schedule is and how it does.
struct schedule_info {
    std::string name;
    std::string workflow;
    std::string foreign_id;
    std::string when;
    std::string zone;
    overlap_policy overlap = overlap_policy::skip;
    catch_up_policy catch_up = catch_up_policy::none;
    std::size_t catch_up_limit = 0;
    bool paused = false;
    std::optional<time_point> next_slot; ///< empty while it is paused, and if there is none
    std::optional<time_point> last_slot; ///< of the last run
    run_id last_run;
    std::uint64_t fired = 0;   ///< runs started
    std::uint64_t skipped = 0; ///< slots passed over because the last run was unfinished
    std::string last_error;    ///< why the present slot could not be fired yet
};

namespace detail {

/// What the user says of a schedule.
struct schedule_definition {
    std::string name;
    std::string workflow;
    std::string foreign_id;
    std::string when;
    std::string zone = "UTC";
    overlap_policy overlap = overlap_policy::skip;
    catch_up_policy catch_up = catch_up_policy::none;
    std::size_t catch_up_limit = 100;
    std::optional<int> start;
    std::string object;
    std::uint32_t object_version = 1;

    friend bool operator==(const schedule_definition&, const schedule_definition&) = default;
};
BOOST_DESCRIBE_STRUCT(schedule_definition, (),
                      (name, workflow, foreign_id, when, zone, overlap, catch_up, catch_up_limit,
                       start, object, object_version))

struct schedule_call {
    schedule_definition what;
    failure early; ///< what went wrong in the typed layer before the call began
};

enum class schedule_command { pause, resume, remove };

} // namespace detail
} // namespace pawl
