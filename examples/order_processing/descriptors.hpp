#pragma once

#include <cstddef>

namespace order_processing {

/// The process's limit on file descriptors: files, connections, and other objects of the operating
/// system.
std::size_t descriptor_limit() noexcept;

/// Raises the soft limit of RLIMIT_NOFILE to the hard limit.
/// Many systems start a process with 1,024, which a server's connections use up.
/// @return The new limit.
std::size_t raise_descriptor_limit() noexcept;

/// How many descriptors each kind of connection gets, so that none uses up those of another.
struct descriptor_shares {
    std::size_t customers = 0;    ///< connections of customers: half of what is not reserved
    std::size_t each_service = 0; ///< connections to each service
};

/// Divides `limit` descriptors. A quarter, at least 16 and at most 64, is reserved for the store
/// and the log. A connection to a service counts twice: a service in this process has its other
/// end. Each share is at least 1.
descriptor_shares share_descriptors(std::size_t limit) noexcept;

} // namespace order_processing
