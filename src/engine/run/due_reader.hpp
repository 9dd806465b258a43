#pragma once

#include "engine/api/engine_parts.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <set>

namespace pawl::engine_detail {

/// Reads due runs from the store, and skips runs that the store cannot read.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class due_reader {
public:
    explicit due_reader(engine_parts& shared) : shared_(shared) {}

    /// Reads a page of due runs of the shard. If the data of a run is damaged, the page ends before
    /// the run; if it is the first run of the page, the page is empty and the next position is
    /// behind the run, which is logged once. Throws what the store throws for other reasons.
    boost::asio::awaitable<due_page> read(std::uint32_t shard, due_position from, time_point until,
                                          std::size_t limit);

private:
    boost::asio::awaitable<due_page> read_past_damage(std::uint32_t shard, due_position from,
                                                      time_point until, std::size_t limit);
    boost::asio::awaitable<bool> can_read(std::uint32_t shard, due_position from, time_point until);

    engine_parts& shared_;
    std::set<due_position> reported_; ///< damaged runs that have been logged
};

} // namespace pawl::engine_detail
