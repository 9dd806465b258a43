// expect: this step does not declare that destination
#include "workflow.hpp"

pawl::step<status::paid> pay(order_run&)
{
#ifdef FIXED
    co_return pawl::to<status::paid>;
#else
    co_return pawl::to<status::closed>;
#endif
}
