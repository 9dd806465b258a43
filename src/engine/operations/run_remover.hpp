#pragma once

#include "pawl/operations_requests.hpp"
#include "pawl/record.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace pawl::detail {
class engine_core;
}

namespace pawl::engine_detail {

class audited_changes;

/// Removes finished runs that operators name. Functions are coroutines; the object outlives them.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class run_remover {
public:
    /// Both outlive this object.
    run_remover(detail::engine_core& core, audited_changes& changes)
        : core_(core), changes_(changes)
    {
    }

    boost::asio::awaitable<change_result> remove(std::string workflow, run_id run,
                                                 change_request request);

private:
    boost::asio::awaitable<void> remove_run(record run);

    detail::engine_core& core_;
    audited_changes& changes_;
};

} // namespace pawl::engine_detail
