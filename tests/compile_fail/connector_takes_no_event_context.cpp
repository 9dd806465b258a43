// expect: a connector's function is boost::asio::awaitable<void>(pawl::event_context<Object,
// Status>&)
#include "workflow.hpp"

#include <pawl/connector.hpp>

#ifdef FIXED
using taken = pawl::event_context<order, status>;
#else
using taken = pawl::stream_event;
#endif

boost::asio::awaitable<void> take(taken&)
{
    co_return;
}

pawl::detail::connector_function declare(const pawl::workflow<order, status>& to)
{
    return pawl::detail::make_connector(to, take);
}
