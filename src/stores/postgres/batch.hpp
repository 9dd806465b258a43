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

/// The wave in which each change is decided. Changes that may be decided together share a wave; a
/// change has a later wave than earlier changes that it may depend on. Within a wave, transitions
/// come first, then deliveries, removals, publications and trims. Cursors come after all waves.
std::vector<int> waves_of(std::span<const change> batch);

/// Maximum number of waves in one statement; see count_within_waves().
inline constexpr int max_waves = 16;

/// Maximum bytes of objects and payloads in one statement. PostgreSQL accepts at most a gigabyte,
/// and the server copies them several times. A larger batch becomes several transactions; if a
/// later one fails, apply() throws, after which the caller may assume nothing about the batch
/// anyway.
inline constexpr std::size_t max_statement_bytes = 32 << 20;

/// How many changes, from the first of the batch on, are decided in at most `waves` waves. The
/// server scans the whole statement for each wave, so the time for many changes of one key would be
/// quadratic.
std::size_t count_within_waves(std::span<const change> batch, int waves);

/// How many changes, from the first of the batch on, there are up to and including the first trim,
/// or, if the first is an attribute update, how many of these, else up to the first of these. Later
/// changes wait until all events of the trim are deleted, which may take several statements;
/// attribute updates have a statement of their own.
std::size_t count_for_one_statement(std::span<const change> batch) noexcept;

/// How many changes, from the first of the batch on, have at most `bytes` of objects and payloads;
/// at least one.
std::size_t count_fitting(std::span<const change> batch, std::size_t bytes) noexcept;

/// About `count` changes, from the first of the batch on, so that no publication is separated from
/// the change before it: fewer, or more if the first change and its publications are more than
/// `count`. Publications that follow no other change are separated.
std::size_t count_whole_units(std::span<const change> batch, std::size_t count) noexcept;

/// Finds the numbers of a workflow.
using workflow_lookup = std::function<workflow_location(std::string_view name)>;

/// The function of the schema that applies a batch.
enum class batch_function {
    apply,
    apply_with_attributes, ///< for batches that change attributes, or remove runs
    update_attributes,     ///< for batches of attribute updates
};

/// A batch as the parameters of its function; the lock timeout, and then `attributes`, follow.
struct encoded_batch {
    batch_function function = batch_function::apply;
    parameters values;
    std::string attributes; ///< an array of attribute_input; unused by apply()
};

encoded_batch encode_batch(std::span<const change> batch, std::uint32_t shards,
                           const type_numbers& types, const workflow_lookup& workflows);

/// When an accepted change makes a run of the shard due. Empty when nobody needs to be notified:
/// the run is not due, or the shard's owner made the change.
struct stored_wake {
    std::uint32_t shard = 0;
    std::optional<time_point> at;
};

/// Reads the answer of apply(). Appends the effects of the accepted changes to `wakes` and
/// `events`.
std::vector<apply_result> decode_results(result& rows, std::span<const change> batch,
                                         std::vector<stored_wake>& wakes,
                                         std::vector<seen_event>& events);

} // namespace pawl::postgres
