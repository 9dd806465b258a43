// The end of a child as a message: its key, and the parts of its payload.
#pragma once

#include "pawl/message.hpp"
#include "pawl/record.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::detail {

/// The payload by which a parent gets the end of the child. The object is the stored one, in the
/// version of its schema in which it is stored.
std::string make_child_end(const record& child);

/// The idempotency key of the message with that payload.
std::string child_end_key(const run_id& child);

/// Whether the message is the end of a child.
bool is_child_end(const message& received);

/// The parts of a payload.
struct child_end_parts {
    run_id run;
    std::string workflow;             ///< of the child; empty: the payload does not say it
    std::uint32_t object_version = 1; ///< the version of the schema of `object`
    std::string_view head;            ///< all before the object
    std::string_view object;
};

/// Empty if the payload is not one of make_child_end(). The parts refer to `payload`.
std::optional<child_end_parts> split_child_end(std::string_view payload);

} // namespace pawl::detail
