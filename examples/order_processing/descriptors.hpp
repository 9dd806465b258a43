#pragma once

#include <cstddef>

namespace order_processing {

/// The process's limit on descriptors: files, connections, and what the operating system hands out
/// besides.
std::size_t descriptor_limit() noexcept;

/// Raises the limit as far as the process may (from RLIMIT_NOFILE's soft to its hard limit).
/// Many systems start a process with 1,024, which a server's connections use up.
/// @return The limit from now on.
std::size_t raise_descriptor_limit() noexcept;

/// Who gets how many descriptors, so that no kind of connection takes what another one needs.
struct descriptor_shares {
    std::size_t customers = 0;    ///< connections of customers: half of what is not reserved
    std::size_t each_service = 0; ///< connections to each service
};

/// Shares `limit` descriptors out. A quarter, at least 16 and at most 64, is reserved for the store
/// and the log. A connection to a service counts twice: a service in this process has its other
/// end. Each share is at least 1.
descriptor_shares share_descriptors(std::size_t limit) noexcept;

} // namespace order_processing
