// expect: steps and timeout handlers are called as fn(pawl::run<Object>&)
#include "workflow.hpp"

#ifdef FIXED
using taken = order_run;
#else
using taken = order;
#endif

pawl::step<> work(taken&)
{
    co_return pawl::skip();
}

void declare(order_builder& b)
{
    b.step<status::open>(work);
}
