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

/// A finished run that is about to be removed from the store.
struct archived_run {
    record last;                ///< the last version
    std::vector<event> history; ///< all events, in order
};

/// Receives finished runs before the engine removes them. Implement it to keep them elsewhere.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, with one call at a time for each workflow: an
/// archiver that several workflows or engines share is called concurrently.
class archiver {
public:
    virtual ~archiver() = default;

    /// Stores the runs. The span is valid until the call completes.
    ///
    /// Completes: when the runs are durable; then they are removed from the store.
    ///
    /// Delivery is at least once. After an exception the runs stay in the store and are archived
    /// again later. After a crash before the removal a run comes again with the same id and
    /// version.
    virtual boost::asio::awaitable<void> archive(std::span<const archived_run> runs) = 0;
};

/// Makes an archiver that appends each run, with its history, to a file as one line of JSON. It
/// writes in a thread of its own.
///
/// Any number of archivers and processes may append to one file. Each locks the file (flock) while
/// it writes a batch, and waits up to 10 s for the lock. On a file system that several machines
/// share, give each machine its own file unless flock works there. If the file was removed or
/// renamed, as logrotate does, the next batch creates a new one.
///
/// A batch that fails is removed from the file. An incomplete last line, which a crash left, is
/// removed before the next batch; a complete last line without its newline is kept. A file that
/// ends with anything else is not touched, and the batch fails with store_corrupt.
///
/// The object is JSON if it is valid JSON, else base64 in "object_base64". A text that is not UTF-8
/// is base64 too; the member "base64" of its line, or of its entry in the history, lists the names
/// of such members.
///
/// Durability: a batch that was archived is on disk.
///
/// Errors: throws error (store_read_only), with the path, if the file cannot be opened for writing.
/// A batch fails with store_full, store_unavailable, store_read_only or store_corrupt.
std::shared_ptr<archiver> json_lines_archive(std::string path);

struct retention_options {
    /// How long a finished run is kept after its last commit. Above zero; it must be set.
    duration keep{};

    /// Receives runs before they are removed. Default: null; runs are removed only.
    std::shared_ptr<archiver> archive{};

    /// The most runs that are archived and removed at a time. 1 to 1,000. Default 100.
    std::size_t batch = 100;
};

} // namespace pawl
