// expect: a hook is boost::asio::awaitable<void>(const pawl::snapshot<Object, Status>&)
#include "workflow.hpp"

#ifdef FIXED
using taken = order_builder::snapshot_type;
#else
using taken = order;
#endif

boost::asio::awaitable<void> report(const taken&)
{
    co_return;
}

void declare(order_builder& b)
{
    b.on_complete(report);
}
