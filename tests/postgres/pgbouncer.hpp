#pragma once

#include "postgres/server.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

#include <sys/types.h>

/// PgBouncer on a port of 127.0.0.1, in front of a server of a test. Nobody needs a password. It
/// ends with this object, or with the process, however that ends.
class pgbouncer {
public:
    /// `settings`: of the section [pgbouncer], one a line.
    pgbouncer(const postgres_server& server, const std::string& settings);
    ~pgbouncer();

    pgbouncer(const pgbouncer&) = delete;
    pgbouncer& operator=(const pgbouncer&) = delete;

    /// Of the server's superuser, through it.
    std::string uri() const;

    void start();

    /// All connections through it are lost.
    void stop();

private:
    std::filesystem::path folder_;
    std::uint16_t port_ = 0;
    int reserved_ = -1; ///< a socket that keeps the port from other programs
    int log_ = -1;
    pid_t process_ = -1;
};
