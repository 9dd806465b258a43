#pragma once

#include "pawl/time.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace pawl {

/// One event of a topic: a message between systems that any number of consumers read.
struct stream_event {
    /// Names the event: its topic stores no second event with the same id. Empty: no comparison.
    std::string id;

    std::string key;  ///< subject, e.g. a foreign id; events of one key are processed in order
    std::string type; ///< what happened, in the sender's words
    std::map<std::string, std::string> headers;
    std::string payload;
    std::string trace_parent; ///< W3C trace context of the cause; may be empty
    time_point at;            ///< time of the event, set by its sender

    std::uint64_t position = 0; ///< in its topic, set by the topic; above 0

    friend bool operator==(const stream_event&, const stream_event&) = default;
};

} // namespace pawl
