// expect: max_concurrency must be from 0 to 1,000,000
#include "workflow.hpp"

#ifdef FIXED
constexpr int runs = 1;
#else
constexpr int runs = -1;
#endif

void declare(order_builder& b)
{
    b.step<status::open>(go<status::closed>).max_concurrency(runs);
}
