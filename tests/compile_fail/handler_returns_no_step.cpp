// expect: a handler returns pawl::step<...>
#include "workflow.hpp"

#ifdef FIXED
pawl::step<> work(order_run&)
{
    co_return pawl::skip();
}
#else
boost::asio::awaitable<void> work(order_run&)
{
    co_return;
}
#endif

void declare(order_builder& b)
{
    b.step<status::open>(work);
}
