// expect: this status is not an enumerator of the workflow's Status
#include "workflow.hpp"

#ifdef FIXED
using used = status;
#else
using used = other;
#endif

void declare(order_builder& b)
{
    b.step<status::open>(go<status::closed>).on_exhausted<used::paid>();
}
