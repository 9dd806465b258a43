// expect: this handler does not take the payload of its callback
#include "workflow.hpp"

#ifdef FIXED
using taken = order;
#else
using taken = undescribed;
#endif

constexpr pawl::callback<order> amend{"amend"};

pawl::step<status::closed> on_amend(order_run&, taken)
{
    co_return pawl::to<status::closed>;
}

void declare(order_builder& b)
{
    b.callback<status::open>(amend, on_amend);
}
