#pragma once

#include "pawl/time.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The payloads of NOTIFY: "origin shard:due shard:". An empty due time means that no run is due.
// The functions `start` and `send` of the schema send request_payload.
namespace pawl::postgres {

/// Requests were stored.
inline constexpr std::string_view request_payload = "requests";

/// When a run of each shard is due; empty: nobody needs to wake up.
using due_by_shard = std::map<std::uint32_t, std::optional<time_point>>;

/// Sets `earliest` to the earlier of the two times.
void merge(std::optional<time_point>& earliest, const std::optional<time_point>& other);

/// A name that no other store has: 16 hexadecimal digits.
std::string random_origin();

/// The payloads for these shards, as many as PostgreSQL's size limit requires.
std::vector<std::string> payloads_of(std::string_view origin, const due_by_shard& changed);

/// A parsed payload.
struct notification {
    std::string_view origin; ///< refers to the payload
    due_by_shard changed;
};

/// Empty unless the whole payload has the form that this or an older Pawl sends: every role that
/// may connect to the database may send notifications.
std::optional<notification> parse_notification(std::string_view payload);

} // namespace pawl::postgres
