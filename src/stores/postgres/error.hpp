#pragma once

#include "pawl/error.hpp"

#include <libpq-fe.h>

#include <string>
#include <string_view>

namespace pawl::postgres {

/// The connection is lost. The effect of the last statement is unknown.
class lost_connection : public error {
public:
    explicit lost_connection(const std::string& detail) : error(errc::store_unavailable, detail) {}
};

/// The server has failed a statement and rolled it back.
class server_error : public error {
public:
    server_error(errc code, const std::string& detail, std::string state)
        : error(code, detail), state_(std::move(state))
    {
    }

    /// The five characters of SQLSTATE.
    const std::string& state() const noexcept { return state_; }

    /// True after a conflict with another transaction: the same statement may succeed if it is sent
    /// again.
    bool is_conflict() const noexcept;

    /// True when the statement may succeed in another session: on another server, or after the
    /// schema was read again.
    bool ends_session() const noexcept;

private:
    std::string state_;
};

/// Reports a connection that could not be opened. `server` is a target's name.
[[noreturn]] void throw_connect_error(PGconn* failed, const std::string& server);

/// Reports a failed statement: throws lost_connection or server_error.
[[noreturn]] void throw_result_error(PGconn* link, const PGresult* result,
                                     const std::string& server, std::string_view doing);

[[noreturn]] void throw_corrupt(std::string_view server, std::string_view problem);

} // namespace pawl::postgres
