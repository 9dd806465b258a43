#pragma once

#include "pawl/builder.hpp"

#include <boost/describe.hpp>

enum class status { open = 1, paid, closed };
BOOST_DESCRIBE_ENUM(status, open, paid, closed)

enum class other { open = 1, paid };

struct order {
    int lines = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (lines))

struct undescribed {
    int value = 0;
};

using order_run = pawl::run<order>;
using order_builder = pawl::builder<order, status>;

template <auto To>
pawl::step<To> go(order_run&)
{
    co_return pawl::to<To>;
}
