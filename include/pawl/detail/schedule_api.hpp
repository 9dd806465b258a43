#pragma once

#include "pawl/codec.hpp"
#include "pawl/detail/failure.hpp"
#include "pawl/schedule_info.hpp"

#include <boost/describe.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pawl::detail {

/// A schedule as the application sets it. Stored: never change a member's name or meaning.
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
    schedule_definition definition;
    failure early; ///< what went wrong in the typed layer before the call began
};

enum class schedule_command { pause, resume, remove };

} // namespace pawl::detail
