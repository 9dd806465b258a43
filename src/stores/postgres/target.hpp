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

/// One address at which a server may listen.
struct host_address {
    std::string host;
    std::string ip; ///< empty: libpq resolves the host, or reports the error in it
    std::string port;
    std::string attributes; ///< target_session_attrs, as passed to libpq

    bool operator==(const host_address&) const = default;
};

/// Where and how to connect: the settings of the URI, its service file and the environment, and the
/// defaults of the options. Thread-safe.
class target {
public:
    /// Throws error (invalid_argument) when libpq cannot read `uri`.
    target(const std::string& uri, const postgres_options& options);

    /// All addresses in the order in which to try them: the one that was opened last, then those of
    /// the URI in its order, with every address of each host name. Blocks while names are resolved.
    std::vector<host_address> addresses() const;

    /// Begins to connect; null when libpq has no memory.
    PGconn* start(const host_address& address) const;

    /// Records that a session was opened at the address and can be used.
    void set_latest(const host_address& address) const;

    /// Whether the address is the one at which a session was opened last, by any user of the
    /// target.
    bool is_latest(const host_address& address) const;

    /// Whether only a session that can write will do. The session is then asked, because libpq
    /// reports a refusal only as a translated text.
    bool wants_writable() const noexcept { return wants_writable_; }

    /// The first statement of each session, which makes its settings. The first column of the
    /// answer is transaction_read_only.
    const std::string& setup() const noexcept { return setup_; }

    /// "host:port/database", for messages.
    const std::string& name() const noexcept { return name_; }
    std::string name(const host_address& address) const;

    /// The time limit for connecting to one address.
    std::chrono::steady_clock::duration connect_timeout() const noexcept
    {
        return connect_timeout_;
    }

private:
    using settings = std::map<std::string, std::string>;

    static settings parse(const std::string& uri);
    static settings resolve(settings given, const std::string& invalid_keyword);
    std::string extract_setting(const std::string& keyword);
    void choose_attributes(const std::string& resolved, bool is_given);

    settings settings_;               ///< without those of an address
    std::vector<host_address> hosts_; ///< names not resolved
    std::string name_;
    std::string setup_;
    std::chrono::steady_clock::duration connect_timeout_{};
    bool wants_writable_ = false;
    mutable std::mutex mutex_;
    mutable std::optional<host_address> latest_;
};

} // namespace pawl::postgres
