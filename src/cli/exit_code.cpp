#include "cli/exit_code.hpp"

namespace pawl::cli {

exit_code exit_code_of(int http_status) noexcept
{
    switch (http_status) {
    case 401:
    case 403:
    case 421:
        return exit_code::denied;
    case 404:
        return exit_code::not_found;
    case 409:
    case 412:
        return exit_code::refused;
    case 429:
    case 503:
        return exit_code::not_ready;
    default:
        return http_status >= 200 && http_status < 300 ? exit_code::done : exit_code::failed;
    }
}

} // namespace pawl::cli
