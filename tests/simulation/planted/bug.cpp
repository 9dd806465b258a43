#include "simulation/planted/bug.hpp"

namespace simulation_test {
namespace {

std::string_view active_bug;

} // namespace

bool is_planted(std::string_view bug) noexcept
{
    return bug == active_bug;
}

void plant(std::string_view bug) noexcept
{
    active_bug = bug;
}

} // namespace simulation_test
