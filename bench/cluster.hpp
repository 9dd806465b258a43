#pragma once

#include "options.hpp"

#include <string>
#include <vector>

namespace pawl_bench {

/// The database in the benchmark's own PostgreSQL server, emptied for one measurement; there is one
/// at a time. A new database for each would spend most of the time on creating its files.
///
/// The server starts with the first of them, in a cluster of its own under options::folder, and is
/// removed when the program ends. Its settings are those of a new installation, above all fsync and
/// synchronous_commit on.
class scratch_database {
public:
    explicit scratch_database(const options& given);
    ~scratch_database();
    scratch_database(const scratch_database&) = delete;
    scratch_database& operator=(const scratch_database&) = delete;

    /// Of its superuser.
    std::string uri() const;

    /// Runs a statement in it. The numbers of the first row, if any; NULL is 0.
    std::vector<double> ask(const std::string& sql) const;

    /// Ends all sessions in it; only then have their statistics all arrived.
    void end_sessions() const;

    /// Runs pgbench on it, with these arguments; what it prints.
    std::string pgbench(const std::vector<std::string>& arguments) const;
};

/// Whether PostgreSQL's programs are there.
bool has_cluster();

} // namespace pawl_bench
