#pragma once

#include "pawl/time.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The payloads of NOTIFY: "origin shard:due shard:", where an empty due means none.
namespace pawl::postgres {

/// When a run of each shard is due; empty: nobody needs to be woken.
using due_by_shard = std::map<std::uint32_t, std::optional<time_point>>;

/// Keeps the earlier one.
void merge(std::optional<time_point>& into, const std::optional<time_point>& other);

/// A name that no other store has.
std::string random_origin();

/// What tells of these shards: as many payloads as PostgreSQL's limit makes necessary.
std::vector<std::string> payloads_of(std::string_view origin, const due_by_shard& changed);

/// A payload, read.
struct notification {
    std::string_view origin; ///< a part of the payload
    due_by_shard changed;
};

/// Empty unless all of the payload is what a store of this or an older Pawl sends: every role that
/// may connect to the database may send anything.
std::optional<notification> parse_notification(std::string_view payload);

} // namespace pawl::postgres
