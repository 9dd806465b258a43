#pragma once

#include "pawl/operations_requests.hpp"
#include "pawl/record.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace pawl::detail {
class engine_core;
}

namespace pawl::engine_detail {

class audited_changes;

/// Fires schedules, and computes their next slots. Functions are coroutines; the object outlives
/// them.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class schedule_control {
public:
    /// Both outlive this object.
    schedule_control(detail::engine_core& core, audited_changes& changes)
        : core_(core), changes_(changes)
    {
    }

    boost::asio::awaitable<change_result> fire(std::string workflow, std::string name,
                                               change_request request);
    boost::asio::awaitable<std::vector<time_point>> slots(std::string workflow, std::string name,
                                                          std::size_t count);

private:
    boost::asio::awaitable<record> find(std::string workflow, std::string name);
    boost::asio::awaitable<change_result> send(record schedule, change_request request,
                                               audit_entry& entry);

    detail::engine_core& core_;
    audited_changes& changes_;
};

} // namespace pawl::engine_detail
