#include "order_view.hpp"

namespace order_processing {
namespace {

/// What people wrote of the order is then not shown either: it may name somebody.
bool is_deleted(pawl::run_state state) noexcept
{
    return state == pawl::run_state::requested_data_deleted ||
           state == pawl::run_state::data_deleted;
}

} // namespace

order_view view_of(const order_snapshot& order)
{
    order_view view;
    view.order_id = order.foreign_id;
    view.run_id = to_string(order.id);
    view.status = order.status;
    view.run_state = to_string(order.state);
    view.version = order.version;
    view.attempt = order.attempt;
    if (!is_deleted(order.state)) {
        view.last_error = order.last_error;
        const bool cancelled = order.state == pawl::run_state::cancelled;
        view.reason = cancelled && !order.object.cancel_reason.empty() ? order.object.cancel_reason
                                                                       : order.reason;
    }
    view.wake_at = order.wake_at;
    view.created_at = order.created_at;
    view.updated_at = order.updated_at;
    view.order = order.object;
    return view;
}

transition_view view_of(const pawl::event& transition, pawl::run_state of_run)
{
    transition_view view;
    view.version = transition.version;
    view.kind = to_string(transition.kind);
    view.from = static_cast<OrderStatus>(transition.from);
    view.to = static_cast<OrderStatus>(transition.to);
    view.run_state = to_string(transition.state);
    view.attempt = transition.attempt;
    if (!is_deleted(of_run))
        view.error = transition.error;
    view.by = transition.requested_by;
    view.at = transition.at;
    return view;
}

} // namespace order_processing
