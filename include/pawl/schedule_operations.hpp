#pragma once

#include "pawl/detail/initiate.hpp"
#include "pawl/operations.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pawl {

/// What an operator does with schedules, by the names of their workflows: a part of
/// pawl::operations. operations::async_schedules() lists them.
///
/// Every operation can also fail with not_running and with a store_* code. Cancellation: none.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class schedule_operations {
public:
    explicit schedule_operations(const operations& of) : core_(of.core_) {}

    /// Fires a schedule once now, beside its slots, with its object and under its overlap_policy: a
    /// run that overlaps is skipped, queued or started. The engine that drives the schedule does
    /// it.
    ///
    /// Completes: when the schedule has noted it, or when change_request::wait_for has passed.
    /// Signature: `void(error_code, change_result)`; change_result::run is the schedule's own run.
    /// Durability: the request is in the inbox of the schedule, with its audit record.
    /// Errors: not_found — the workflow has no such schedule; already_paused — the schedule is
    /// paused; invalid_argument — a field of the request is out of its range.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_fire(std::string workflow, std::string name, change_request request,
                    Token&& token = {})
    {
        return initiate<Token, change_result>(
            [](detail::operations_api& core, auto done, std::string home, std::string schedule,
               change_request asked) {
                core.fire(std::move(home), std::move(schedule), std::move(asked), std::move(done));
            },
            token, std::move(workflow), std::move(name), std::move(request));
    }

    /// Reads the next slots of a schedule.
    ///
    /// Completes: with at most `count` times in order; with none if the schedule is paused.
    /// Signature: `void(error_code, std::vector<time_point>)`.
    /// Errors: not_found — the workflow has no such schedule; invalid_argument — `count` is not in
    /// 1 to 1,000.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_slots(std::string workflow, std::string name, std::size_t count = 10,
                     Token&& token = {})
    {
        return initiate<Token, std::vector<time_point>>(
            [](detail::operations_api& core, auto done, std::string home, std::string schedule,
               std::size_t wanted) {
                core.slots(std::move(home), std::move(schedule), wanted, std::move(done));
            },
            token, std::move(workflow), std::move(name), count);
    }

private:
    template <class Token, class Result, class Start, class... Arguments>
    auto initiate(Start start, std::remove_reference_t<Token>& token, Arguments... arguments)
    {
        return detail::initiate<Token, Result>(
            [start](auto handler, std::shared_ptr<detail::operations_api> core, auto... values) {
                start(*core, detail::completion<Result>{std::move(handler)}, std::move(values)...);
            },
            token, core_, std::move(arguments)...);
    }

    std::shared_ptr<detail::operations_api> core_;
};

} // namespace pawl
