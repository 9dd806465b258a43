#pragma once

#include "pawl/log.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string_view>

namespace pawl::postgres {

/// Problems that a store works around.
enum class warning : std::uint8_t {
    unknown_notification, ///< its payload is not one of Pawl's
    invalid_row,          ///< a number in a table is out of range
    listen_failed,        ///< LISTEN, or connecting for it, failed
    poll_failed,          ///< the query for commits of other processes failed
    notify_failed,        ///< other processes could not be notified of commits
    connection_lost,
    connection_failed, ///< a connection could not be opened
    statement_repeated,
    batch_divided,
    server_warning, ///< the answer of the server has a warning
    handler_failed, ///< a handler that was passed to subscribe() threw
    commits_lost,   ///< the database has lost commits that were read from it
    row_locked,     ///< another session has locked a shard or topic for a long time
};
inline constexpr std::size_t warning_kinds = 13;

/// Logs the warnings of a store, each kind at most once a minute, with its number of occurrences.
/// Thread-safe.
class warning_log {
public:
    /// `sink` may be empty.
    explicit warning_log(log_sink sink) : sink_(std::move(sink)) {}

    /// @param detail the text of the server, or of the cause.
    void report(warning kind, std::string_view detail) noexcept;
    void report(warning kind, const std::exception_ptr& failure) noexcept;

private:
    using clock = std::chrono::steady_clock;

    struct tally {
        std::uint64_t all = 0;
        clock::time_point silent_until;
    };

    const log_sink sink_;
    std::mutex mutex_;
    std::array<tally, warning_kinds> tallies_{};
};

} // namespace pawl::postgres
