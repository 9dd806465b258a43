#pragma once

#include "pawl/detail/handlers.hpp"
#include "pawl/detail/send_call.hpp"
#include "pawl/detail/trigger_call.hpp"
#include "pawl/record.hpp"
#include "pawl/time.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace pawl::engine_detail {

/// What a run does to other runs. The functions throw pawl::error, and complete when what they do
/// is durable. They may be repeated.
class run_calls {
public:
    /// Leaves a callback of a handler in the inbox of a run, once by its key. No attempt of the
    /// handler has sent it before `since`.
    virtual boost::asio::awaitable<void>
    send_callback(std::string workflow, detail::send_call callback, time_point since) = 0;

    /// Starts a child, once by its key.
    virtual boost::asio::awaitable<run_id>
    start_child(std::shared_ptr<const detail::workflow_impl> workflow,
                detail::trigger_call child) = 0;

    /// Leaves the end of a child in the inbox of its parent, if the parent is unfinished.
    virtual boost::asio::awaitable<void> notify_parent(record child) = 0;

    /// Leaves the command to cancel in the inboxes of those children that are cancelled with their
    /// parent.
    virtual boost::asio::awaitable<void> cancel_children(run_id parent) = 0;

    /// Does that for one child, if its parent was cancelled.
    virtual boost::asio::awaitable<void> cancel_with_parent(record child) = 0;

protected:
    ~run_calls() = default;
};

} // namespace pawl::engine_detail
