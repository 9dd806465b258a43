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
/// The object is there as JSON if it is JSON, else as text in "object_base64". A line that a crash
/// cut off is removed when the file is opened again. Writing has a thread of its own.
///
/// Throws error (store_read_only) with the path when it cannot be opened for writing.
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
