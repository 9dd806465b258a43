// expect: a timeout is due after a duration, at a time_point, or at what a function
#include "workflow.hpp"

#ifdef FIXED
constexpr std::chrono::minutes when{5};
#else
constexpr int when = 5;
#endif

void declare(order_builder& b)
{
    b.timeout<status::open>(when, go<status::closed>);
}
