// expect: with one const call operator that is no template
#include "workflow.hpp"

struct handler {
#ifdef FIXED
    pawl::step<> operator()(order_run&, int) const { co_return pawl::skip(); }
#else
    template <class Payload>
    pawl::step<> operator()(order_run&, Payload) const
    {
        co_return pawl::skip();
    }
#endif
};

void declare(order_builder& b)
{
    b.callback<status::open>("work", handler{});
}
