#pragma once

#include "pawl/builder.hpp"

#include <boost/describe.hpp>

#include <string>

namespace api_test {

enum class order_status { created = 1, validated, paying, failed, shipped, cancelled };
BOOST_DESCRIBE_ENUM(order_status, created, validated, paying, failed, shipped, cancelled)

struct order {
    std::string id{"none"};
    int lines = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (id, lines))

struct cancellation {
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(cancellation, (), (reason))

using enum order_status;
using order_run = pawl::run<order>;
using order_builder = pawl::builder<order, order_status>;

template <auto To, auto... More>
pawl::step<To, More...> go(order_run&)
{
    co_return pawl::to<To>;
}

} // namespace api_test
