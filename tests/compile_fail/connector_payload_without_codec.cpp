// expect: Pawl has no codec for this type
#include "workflow.hpp"

#include <pawl/connector.hpp>

#ifdef FIXED
BOOST_DESCRIBE_STRUCT(undescribed, (), (value))
#endif

boost::asio::awaitable<void> take(pawl::event_context<order, status>&, undescribed)
{
    co_return;
}

pawl::detail::connector_function declare(const pawl::workflow<order, status>& to)
{
    return pawl::detail::make_connector(to, take);
}
