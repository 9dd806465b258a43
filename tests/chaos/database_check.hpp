#pragma once

#include <string>
#include <vector>

namespace chaos {

/// Sentences about what is wrong in a database in which every run should have ended; empty when all
/// of this holds: SQLite finds it whole, no run is unfinished and none has messages left, the
/// history of each run is its versions without a gap, and the log of each shard its sequences.
std::vector<std::string> faults_of_database(const std::string& path);

} // namespace chaos
