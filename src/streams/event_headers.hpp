#pragma once

#include "pawl/stream_event.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::streams {

/// The headers of a broker's message.
using header_list = std::vector<std::pair<std::string, std::string>>;

/// What a broker's messages have besides the headers of Pawl.
struct event_header_rules {
    std::string_view cloud_events_prefix; ///< "ce-" or "ce_", as the broker's binding says
    std::string_view id_header;           ///< the broker's own header for an id; may be empty

    /// The attribute `source` of CloudEvents. Empty: no headers of CloudEvents are written.
    std::string_view cloud_events_source;
};

/// The headers by which read_event_headers() restores an event but for its payload and position.
/// Text that a header cannot have is percent-encoded.
header_list write_event_headers(const stream_event& event, const event_header_rules& rules);

/// Sets the members of an event from the headers of its message. Of a message that Pawl has not
/// written, these are `id` from rules.id_header or from the headers of CloudEvents, and `key`,
/// `type`, `at` and `trace_parent` if CloudEvents has them; the headers are kept as they are. Of a
/// header that occurs several times, the values are joined by ", ".
void read_event_headers(const header_list& headers, const event_header_rules& rules,
                        stream_event& event);

} // namespace pawl::streams
