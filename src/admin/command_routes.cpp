#include "admin/api_core.hpp"

namespace pawl::admin::detail {

std::vector<api_route> command_routes()
{
    return {};
}

} // namespace pawl::admin::detail
