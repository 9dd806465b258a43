// expect: Pawl has no codec for this effect's result
#include "workflow.hpp"

#ifdef FIXED
BOOST_DESCRIBE_STRUCT(undescribed, (), (value))
#endif

pawl::step<status::paid> work(order_run& run)
{
    const auto made = co_await run.once("make", [] { return undescribed{1}; });
    run.object().lines = made.value;
    co_return pawl::to<status::paid>;
}
