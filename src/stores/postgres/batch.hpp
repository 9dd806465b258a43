#pragma once

#include "pawl/record_store.hpp"
#include "stores/postgres/encode.hpp"
#include "stores/postgres/log_positions.hpp"
#include "stores/postgres/result.hpp"
#include "stores/postgres/schema.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::postgres {

/// Which wave each change is decided in: changes that may be decided together share one, and a
/// change is decided after those before it that it could depend on. Within a wave transitions come
/// first, then deliveries, removals, publications, trims; cursors come last of all.
std::vector<int> waves_of(std::span<const change> batch);

/// Waves of changes in one statement; see within_waves().
inline constexpr int most_waves = 16;

/// Bytes of objects and payloads in one statement. PostgreSQL takes no more than a gigabyte, and
/// the server copies them some times. A batch with more becomes several transactions; if a later
/// one fails, apply() throws, after which nothing may be assumed of a batch anyway.
inline constexpr std::size_t largest_statement = 32 << 20;

/// How many changes of the batch, from its first on, are decided in at most `waves` waves. The
/// server goes through the whole statement for each wave, so that a storm on one key would take
/// time that grows with its square.
std::size_t within_waves(std::span<const change> batch, int waves);

/// The changes up to the first trim, that included: what comes behind it waits until all that it
/// trims is gone, which may take several statements.
std::size_t through_trim(std::span<const change> batch) noexcept;

/// How many changes of the batch, from its first on, have objects and payloads of at most `bytes`
/// together; at least one.
std::size_t fitting(std::span<const change> batch, std::size_t bytes) noexcept;

/// Where a workflow is, by its name.
using workflow_places = std::function<workflow_place(std::string_view name)>;

/// The parameters of apply().
parameters encode_batch(std::span<const change> batch, std::uint32_t shards,
                        const type_numbers& types, const workflow_places& workflows);

/// When a run of a shard is due because of an accepted change; empty when nobody needs to be told:
/// it is not due, or the shard's owner made the change and knows.
struct stored_wake {
    std::uint32_t shard = 0;
    std::optional<time_point> at;
};

/// What apply() answered. Adds to `wakes` what the accepted changes did to their shards.
std::vector<apply_result> decode_verdicts(result& rows, std::span<const change> batch,
                                          std::vector<stored_wake>& wakes,
                                          std::vector<seen_event>& events);

} // namespace pawl::postgres
