#pragma once

#include <boost/describe.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace pawl::core {

/// The payload of a message of kind retry or move. Stored: never change a member's name or meaning.
struct repair_request {
    std::string reason;

    /// The version of the run that the command is for. Empty: any version.
    std::optional<std::uint64_t> if_version;

    std::optional<int> status; ///< of a move: where the run continues

    /// Of a move: what replaces the object, in the schema version of the object that it replaces.
    std::optional<std::string> object;
};
BOOST_DESCRIBE_STRUCT(repair_request, (), (reason, if_version, status, object))

std::string encode_repair(const repair_request& request);

/// Throws error (decode_failed).
repair_request decode_repair(const std::string& payload);

} // namespace pawl::core
