#pragma once

#include "pawl/error.hpp"

#include <libpq-fe.h>

#include <string>
#include <string_view>

namespace pawl::postgres {

/// The connection is gone. What was sent last may have been done or not.
class lost_connection : public error {
public:
    explicit lost_connection(const std::string& detail) : error(errc::store_unavailable, detail) {}
};

/// The server has refused a statement, which it rolled back.
class server_error : public error {
public:
    server_error(errc code, const std::string& detail, std::string state)
        : error(code, detail), state_(std::move(state))
    {
    }

    /// The five characters of SQLSTATE.
    const std::string& state() const noexcept { return state_; }

    /// True when the same statement may well succeed if it is sent again.
    bool is_passing() const noexcept;

    /// True when another session may do better: on another server, or with what it knows of the
    /// schema read again.
    bool ends_session() const noexcept;

private:
    std::string state_;
};

/// Of a connection that could not be made. `where` is a target's name.
[[noreturn]] void throw_connect_error(PGconn* failed, const std::string& where);

/// Of a statement that failed: lost_connection or server_error.
[[noreturn]] void throw_result_error(PGconn* on, const PGresult* result, const std::string& where,
                                     std::string_view doing);

[[noreturn]] void throw_damaged(std::string_view where, std::string_view what);

} // namespace pawl::postgres
