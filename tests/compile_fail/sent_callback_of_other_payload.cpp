// expect: no matching member function for call to 'send'
#include "workflow.hpp"

#ifdef FIXED
using sent = order;
#else
using sent = undescribed;
#endif

constexpr pawl::workflow_handle<order, status> orders{"orders"};
constexpr pawl::callback<order> amend{"amend"};

pawl::step<status::paid> send(order_run& run)
{
    co_await run.send(orders, "order-001", amend, sent{3});
    co_return pawl::to<status::paid>;
}
