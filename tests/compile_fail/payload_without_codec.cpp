// expect: Pawl has no codec for this callback's payload
#include "workflow.hpp"

#ifdef FIXED
BOOST_DESCRIBE_STRUCT(undescribed, (), (value))
#endif

pawl::step<> work(order_run&, undescribed)
{
    co_return pawl::skip();
}

void declare(order_builder& b)
{
    b.callback<status::open>("work", work);
}
