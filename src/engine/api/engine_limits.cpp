// The calls of operators about limits.
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"

#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;

void engine_core::list(completion<std::vector<limit_info>> done)
{
    launch(read_limits(), std::move(done));
}

asio::awaitable<std::vector<limit_info>> engine_core::read_limits()
{
    co_return limiter_.list();
}

void engine_core::explain(run_id run, completion<std::optional<limit_wait>> done)
{
    launch(explain_wait(run), std::move(done));
}

asio::awaitable<std::optional<limit_wait>> engine_core::explain_wait(run_id run)
{
    co_return limiter_.explain(run);
}

} // namespace pawl::detail
