#pragma once

#include "pawl/event.hpp"
#include "pawl/record.hpp"
#include "pawl/time.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace pawl {

/// A finished run on its way out of the store.
struct archived_run {
    record last;
    std::vector<event> history; ///< in order
};

/// Takes finished runs before they are removed. Implement it to keep them elsewhere.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: one call at a time for each workflow.
class archiver {
public:
    virtual ~archiver() = default;

    /// Completes when the runs are as durable as they shall be: then they are removed from the
    /// store. After an exception they stay there, and come again. At least once: after a crash
    /// between the two, the same run comes again, with the same id and version.
    virtual boost::asio::awaitable<void> archive(std::span<const archived_run> runs) = 0;
};

/// Appends each run to a file as a line of JSON, with its history, and waits until the disk has it.
///
/// Any number of objects and processes may append to one file: several workflows of a program,
/// several engines in one folder. Each locks the file (flock) while it writes a batch, and waits
/// up to 10 s for the lock. On a file system that several machines share, give each machine a file
/// of its own unless flock works there.
///
/// A batch that fails is removed from the file. Half a line that a crash left at the end is removed
/// before the next batch; a last line that merely lacks its newline is kept. A file that ends with
/// anything else is left as it is, and the batch fails with store_corrupt. When the file was
/// removed or renamed, as logrotate does, the next batch makes a new one.
///
/// The object is there as JSON if it is JSON, else base64-encoded in "object_base64". A text that
/// is not UTF-8 is base64-encoded too, and the member "base64" of its line, or of its entry in the
/// history, lists the names of such members. Writing has a thread of its own.
///
/// Errors: throws error (store_read_only) with the path when the file cannot be opened for writing.
/// A batch fails with store_full, store_unavailable, store_read_only or store_corrupt; its runs
/// stay in the store, and are archived later.
std::shared_ptr<archiver> json_lines_archive(std::string path);

struct retention_options {
    /// How long a finished run is kept after its last commit. Above zero.
    duration keep{};

    /// Where runs go before they are removed. Default: nowhere.
    std::shared_ptr<archiver> archive{};

    /// Runs that are archived and removed together. 1 to 1,000.
    std::size_t batch = 100;
};

} // namespace pawl
