// expect: attempt_timeout must not be negative
#include "workflow.hpp"

#ifdef FIXED
constexpr std::chrono::seconds limit{5};
#else
constexpr std::chrono::seconds limit{-5};
#endif

void declare(order_builder& b)
{
    b.step<status::open>(go<status::closed>).attempt_timeout(limit);
}
