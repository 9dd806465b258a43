#pragma once

#include "pawl/builder.hpp"

#include <boost/test/unit_test.hpp>

#include <stdexcept>
#include <string>
#include <vector>

namespace testing_test {

using namespace std::chrono_literals;

enum class state { closed = 1, knocking, open, shut };
BOOST_DESCRIBE_ENUM(state, closed, knocking, open, shut)

struct door {
    std::string name;
    std::vector<std::string> visitors;
};
BOOST_DESCRIBE_STRUCT(door, (), (name, visitors))

using door_run = pawl::run<door>;

/// Fails twice, a minute apart.
inline pawl::step<state::knocking> knock(door_run& run)
{
    if (run.attempt() < 3)
        throw std::runtime_error("nobody hears");
    co_return pawl::to<state::knocking>;
}

inline pawl::step<state::open> let_in(door_run& run, std::string visitor)
{
    if (visitor.empty())
        throw std::runtime_error("who is there?");
    run.object().visitors.push_back(std::move(visitor));
    co_return pawl::to<state::open>;
}

inline pawl::step<state::shut> shut(door_run&)
{
    co_return pawl::to<state::shut>;
}

inline pawl::workflow<door, state> doors()
{
    pawl::builder<door, state> b{"doors"};
    b.step<state::closed>(knock).retry({.initial = 1min, .multiplier = 1, .jitter = 0});
    b.callback<state::knocking>("enter", let_in).retry({.max_attempts = 1});
    b.timeout<state::open>(1h, shut);
    b.end<state::shut>();
    return std::move(b).build();
}

} // namespace testing_test
