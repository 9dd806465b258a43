// expect: this field is not of the type of its pawl::attribute
#include "workflow.hpp"

#ifdef FIXED
constexpr pawl::attribute<int> lines{"lines"};
#else
constexpr pawl::attribute<std::string> lines{"lines"};
#endif

void declare(order_builder& b)
{
    b.attribute(lines, &order::lines);
}
