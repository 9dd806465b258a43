// expect: an attribute is a text, an integer (of 64 bits with a sign, or smaller)
#include "workflow.hpp"

void declare(order_builder& b)
{
#ifdef FIXED
    b.attribute("weight", [](const order& object) { return object.lines; });
#else
    b.attribute("weight", [](const order& object) { return 1.5 * object.lines; });
#endif
}
