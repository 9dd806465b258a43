// expect: a workflow's Object has a default constructor
#include "workflow.hpp"

struct made {
#ifdef FIXED
    made() = default;
#endif
    explicit made(int number) : value(number) {}
    int value = 0;
};
BOOST_DESCRIBE_STRUCT(made, (), (value))

void declare()
{
    pawl::builder<made, status> b{"orders"};
}
