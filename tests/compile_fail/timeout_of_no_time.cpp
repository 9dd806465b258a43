// expect: a timeout's duration must be above zero
#include "workflow.hpp"

#ifdef FIXED
constexpr std::chrono::minutes when{5};
#else
constexpr std::chrono::minutes when{0};
#endif

void declare(order_builder& b)
{
    b.timeout<status::open>(when, go<status::closed>);
}
