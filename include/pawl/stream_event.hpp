#pragma once

#include "pawl/time.hpp"

#include <cstdint>
#include <map>
#include <string>

namespace pawl {

/// One event of a topic: a message between systems, which any number of consumers read.
struct stream_event {
    /// Names the event: a second one of its topic with the same id is not stored again. Empty: it
    /// is not compared.
    std::string id;

    std::string key;  ///< whom it is about, e.g. a foreign id; events of one key keep their order
    std::string type; ///< what happened, as its sender calls it
    std::map<std::string, std::string> headers;
    std::string payload;
    std::string trace_parent; ///< W3C trace context of what caused it; may be empty
    time_point at;

    std::uint64_t position = 0; ///< in its topic, given by it; the first is 1

    friend bool operator==(const stream_event&, const stream_event&) = default;
};

} // namespace pawl
