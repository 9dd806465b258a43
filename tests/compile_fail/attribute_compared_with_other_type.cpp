// expect: invalid operands to binary expression
#include "pawl/attribute.hpp"

#include <string>

constexpr pawl::attribute<std::string> customer{"customer"};

pawl::attribute_filter orders_of()
{
#ifdef FIXED
    return customer == "7";
#else
    return customer == 7;
#endif
}
