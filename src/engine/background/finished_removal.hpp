#pragma once

#include "engine/background/removal_gate.hpp"
#include "pawl/archive.hpp"

#include <boost/asio/awaitable.hpp>

namespace pawl::engine_detail {

/// Reads the whole history of the run.
boost::asio::awaitable<void> read_history(record_store& store, archived_run& run);

/// Archives and removes a finished run of a shard that this engine owns.
///
/// Throws error: not_found — the workflow has no such run; fenced — another engine owns its shard;
/// not_finished — the run has not finished, or is still needed; conflict — it was changed
/// meanwhile; and what the archiver throws.
/// @param archive may be null.
boost::asio::awaitable<void> remove_finished(engine_parts& shared, removal_gate& gate,
                                             archiver* archive, run_id run);

} // namespace pawl::engine_detail
