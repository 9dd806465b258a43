// expect: no matching member function for call to 'async_call'
#include "pawl/client.hpp"
#include "workflow.hpp"

#ifdef FIXED
using sent = order;
#else
using sent = undescribed;
#endif

constexpr pawl::callback<order> amend{"amend"};

boost::asio::awaitable<void> send(pawl::client<order, status> client)
{
    co_await client.async_call("order-001", amend, sent{3});
}
