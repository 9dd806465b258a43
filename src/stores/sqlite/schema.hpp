#pragma once

#include "stores/sqlite/connection.hpp"

#include <cstdint>

namespace pawl::sqlite {

/// Creates the schema in an empty database, or migrates an older one; `shards` applies to a new one
/// only. Throws error (store_corrupt) for a database of another program, which it does not change,
/// and error (store_version_unsupported) for one of a newer Pawl.
void prepare_schema(connection& database, std::uint32_t shards);

/// Throws error unless the schema is still as prepare_schema() left it.
void check_schema(connection& database);

/// The number of versions between two marks in a run's history.
inline constexpr std::uint64_t mark_distance = 64;

} // namespace pawl::sqlite
