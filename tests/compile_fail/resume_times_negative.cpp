// expect: auto_resume: the number of times is negative
#include "workflow.hpp"

#ifdef FIXED
constexpr int times = 1;
#else
constexpr int times = -1;
#endif

void declare(order_builder& b)
{
    b.auto_resume(std::chrono::hours{1}, times);
}
