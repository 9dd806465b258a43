// expect: Pawl has no codec for the type of a described member
#include "workflow.hpp"

#ifdef FIXED
BOOST_DESCRIBE_STRUCT(undescribed, (), (value))
#endif

struct outer {
    undescribed inner;
};
BOOST_DESCRIBE_STRUCT(outer, (), (inner))

void declare()
{
    pawl::builder<outer, status> b{"orders"};
}
