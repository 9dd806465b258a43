#pragma once

#include <string_view>

namespace pawl::cli {

/// The exit codes of `pawl`, which scripts rely on: never change a number.
enum class exit_code {
    done = 0,
    failed = 1,    ///< anything else
    usage = 2,     ///< the command line is wrong; nothing was sent
    denied = 3,    ///< no valid token, or its role is too low
    not_found = 4, ///< no such run, workflow, topic
    refused = 5,   ///< by the state of the run: it has finished, it is not paused, it has changed
    not_ready = 6, ///< the server or the database cannot be reached or does not accept work now
};

/// The exit code for an answer of the admin API.
exit_code exit_code_of(int http_status) noexcept;

} // namespace pawl::cli
