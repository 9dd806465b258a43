#pragma once

#include "pawl/postgres.hpp"

#include <libpq-fe.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::postgres {

/// Where to connect to and how: the user's URI and what the options add to it.
class target {
public:
    /// Throws error (invalid_argument) when libpq cannot read `uri`.
    target(const std::string& uri, const postgres_options& options);

    /// Begins to connect; null when libpq has no memory.
    PGconn* start() const;

    /// "host:port/database", for messages.
    const std::string& name() const noexcept { return name_; }

    /// The most that connecting may take, with all of the hosts.
    std::chrono::steady_clock::duration time_limit() const noexcept { return time_limit_; }

private:
    bool has(std::string_view keyword) const;
    std::string value(std::string_view keyword, std::string otherwise) const;
    void add(std::string keyword, std::string value);

    std::vector<std::string> keywords_;
    std::vector<std::string> values_;
    std::string name_;
    std::chrono::steady_clock::duration time_limit_{};
};

} // namespace pawl::postgres
