#include "core/planted.hpp"

namespace pawl::core {

std::string& planted_bug() noexcept
{
    static std::string chosen;
    return chosen;
}

} // namespace pawl::core
