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

/// What a store goes on in spite of.
enum class trouble : std::uint8_t {
    foreign_notification, ///< one that no Pawl has sent
    foreign_row,          ///< a number in a table that is out of its range
    not_listening,        ///< LISTEN was refused, or its connection cannot be made
    not_asking,           ///< the question for commits failed
    not_notifying,        ///< other processes could not be told of commits
    connection_lost,
    connection_failed, ///< it could not be made
    statement_repeated,
    batch_divided,
    server_warning, ///< the server has added a warning to its answer
    hearer_failed,  ///< a function that was given to subscribe() has thrown
    commits_lost,   ///< the database has gone back behind what was read from it
    row_locked,     ///< another session has locked a shard or topic for long
};
inline constexpr std::size_t trouble_kinds = 13;

/// Tells the log of a store about its troubles: each kind at most once a minute, with how often it
/// has happened. Thread-safe.
class trouble_log {
public:
    /// `sink` may be empty.
    explicit trouble_log(log_sink sink) : sink_(std::move(sink)) {}

    /// @param detail what the server, or whoever is to blame, said.
    void tell(trouble kind, std::string_view detail) noexcept;
    void tell(trouble kind, const std::exception_ptr& failure) noexcept;

private:
    using clock = std::chrono::steady_clock;

    struct tally {
        std::uint64_t all = 0;
        clock::time_point silent_until;
    };

    const log_sink sink_;
    std::mutex mutex_;
    std::array<tally, trouble_kinds> tallies_{};
};

} // namespace pawl::postgres
