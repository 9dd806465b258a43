#pragma once

#include "pawl/postgres.hpp"

#include <libpq-fe.h>

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace pawl::postgres {

/// Where to connect to and how: what the URI, its service file and the environment say, and what
/// the options add to it. Thread-safe.
class target {
public:
    /// One address where a server may be.
    struct place {
        std::string host;
        std::string address; ///< empty: libpq looks the host up, or finds the error in it
        std::string port;
        std::string attributes; ///< target_session_attrs, as libpq is told

        bool operator==(const place&) const = default;
    };

    /// Throws error (invalid_argument) when libpq cannot read `uri`.
    target(const std::string& uri, const postgres_options& options);

    /// All places, in the order in which they are to be tried: the latest one first, then as the
    /// URI has them, with every address of a name. Blocks while names are looked up.
    std::vector<place> places() const;

    /// Begins to connect; null when libpq has no memory.
    PGconn* start(const place& at) const;

    /// A session was opened there, which serves.
    void opened(const place& at) const;

    /// Whether that is where a session was opened last, by anybody who shares this.
    bool is_latest(const place& at) const;

    /// Whether a session that cannot write is none that was asked for. The server is asked then,
    /// because libpq has only a translated text to tell a refusal by.
    bool wants_writable() const noexcept { return wants_writable_; }

    /// What each session is to be asked first: it has its settings then. The first column of the
    /// answer is transaction_read_only.
    const std::string& setup() const noexcept { return setup_; }

    /// "host:port/database", for messages.
    const std::string& name() const noexcept { return name_; }
    std::string name(const place& at) const;

    /// The most that connecting to one place may take.
    std::chrono::steady_clock::duration connect_timeout() const noexcept
    {
        return connect_timeout_;
    }

private:
    using settings = std::map<std::string, std::string>;

    static settings parse(const std::string& uri);
    static settings resolve(settings given, const std::string& spoiled);
    std::string take(const std::string& keyword);
    void choose_attributes(const std::string& resolved, bool is_given);

    settings settings_;        ///< without those of a place
    std::vector<place> hosts_; ///< names not looked up
    std::string name_;
    std::string setup_;
    std::chrono::steady_clock::duration connect_timeout_{};
    bool wants_writable_ = false;
    mutable std::mutex mutex_;
    mutable std::optional<place> latest_;
};

} // namespace pawl::postgres
