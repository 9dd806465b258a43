// expect: Pawl has no codec for the workflow's Object
#include "workflow.hpp"

#ifdef FIXED
BOOST_DESCRIBE_STRUCT(undescribed, (), (value))
#endif

void declare()
{
    pawl::builder<undescribed, status> b{"orders"};
}
