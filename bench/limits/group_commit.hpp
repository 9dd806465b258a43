#pragma once

#include "rig.hpp"

#include <filesystem>
#include <memory>

namespace pawl_bench {

/// The limit of the SQLite store: the SQL of its transitions in a loop over the C interface, on one
/// thread, with ready texts to bind; nothing is encoded, decided, or handed between threads.
///
/// It works on a database that Pawl has made, with the same pragmas, and leaves it in order: its
/// statements have to follow those of src/stores/sqlite/writer.cpp.
class raw_sqlite {
public:
    /// @param file A database made by pawl::open_sqlite, which nobody has open.
    explicit raw_sqlite(const std::filesystem::path& file);
    ~raw_sqlite();

    /// `in_flight` runs beside each other: each transaction takes all of them, at most `batch` at a
    /// time, one transition further. With one in flight, each transition is a commit.
    load_result drive(const load& wanted);

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace pawl_bench
