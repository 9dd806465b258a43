#pragma once

#include "rig.hpp"

#include <memory>
#include <string>

namespace pawl_bench {

/// The limit of the PostgreSQL store: the statement that it sends, `SELECT * FROM pawl.apply(…)`
/// with the same parameters, in a loop over libpq's blocking calls on one connection; nothing is
/// encoded, decided, read, or handed between coroutines.
///
/// It works in a database where Pawl has made its schema: its rows have to follow those of
/// src/stores/postgres/batch.cpp.
class raw_postgres {
public:
    explicit raw_postgres(const std::string& uri);
    ~raw_postgres();

    /// `in_flight` runs beside each other: each statement takes all of them, at most `batch` at a
    /// time, one transition further. With one in flight, each transition is a statement.
    load_result drive(const load& wanted);

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace pawl_bench
