#pragma once

#include "engine/api/engine_parts.hpp"
#include "pawl/audit.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>

namespace pawl::engine_detail {

/// The log of the changes that operators ask for: a topic of the store.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class audit_log {
public:
    /// @param max_entries see engine_options::max_audit_entries.
    audit_log(engine_parts& shared, std::uint64_t max_entries)
        : shared_(shared), max_entries_(max_entries)
    {
    }

    /// The entry as an event of the topic, to be stored with the change. Throws error
    /// (encode_failed) if a text is not UTF-8.
    publication publication_of(const audit_entry& entry) const;

    /// Appends an entry, and removes the oldest ones above the limit.
    boost::asio::awaitable<void> append(audit_entry entry) const;

    /// Reads the entries after a position, oldest first.
    boost::asio::awaitable<audit_page> read(std::uint64_t after, std::size_t limit) const;

private:
    boost::asio::awaitable<void> trim(std::uint64_t end) const;

    engine_parts& shared_;
    const std::uint64_t max_entries_;
};

} // namespace pawl::engine_detail
