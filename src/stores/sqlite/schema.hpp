#pragma once

#include "stores/sqlite/connection.hpp"

#include <cstdint>

namespace pawl::sqlite {

/// Makes a new database of the file, or brings one of Pawl's up to date. `shards` counts only when
/// it is made. Throws error (store_corrupt) for a file of somebody else's, which it leaves as it
/// is, and (store_version_unsupported) for one of a newer Pawl.
void prepare_schema(connection& database, std::uint32_t shards);

/// Throws error unless the database still is what prepare_schema() left.
void check_schema(connection& database);

/// Each so many versions of a run a mark is set in its history.
inline constexpr std::uint64_t mark_distance = 64;

} // namespace pawl::sqlite
