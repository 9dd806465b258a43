// expect: resume_error_pauses: the number of times is negative
#include "workflow.hpp"

#ifdef FIXED
constexpr int times = 1;
#else
constexpr int times = -1;
#endif

void declare(order_builder& b)
{
    b.resume_error_pauses(std::chrono::hours{1}, times);
}
