#include "order_view.hpp"

namespace order_processing {

order_view view_of(const order_snapshot& order)
{
    order_view view;
    view.order_id = order.foreign_id;
    view.run_id = to_string(order.id);
    view.status = order.status;
    view.run_state = to_string(order.state);
    view.version = order.version;
    view.attempt = order.attempt;
    view.last_error = order.last_error;
    view.reason = order.reason;
    view.wake_at = order.wake_at;
    view.created_at = order.created_at;
    view.updated_at = order.updated_at;
    view.order = order.object;
    return view;
}

transition_view view_of(const pawl::event& transition)
{
    transition_view view;
    view.version = transition.version;
    view.kind = to_string(transition.kind);
    view.from = static_cast<OrderStatus>(transition.from);
    view.to = static_cast<OrderStatus>(transition.to);
    view.run_state = to_string(transition.state);
    view.attempt = transition.attempt;
    view.error = transition.error;
    view.at = transition.at;
    return view;
}

} // namespace order_processing
