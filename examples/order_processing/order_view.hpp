#pragma once

#include "order.hpp"
#include "pawl/event.hpp"
#include "workflow.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The documents of the order server's answers.
namespace order_processing {

/// One order, as `GET /orders/{id}` shows it.
struct order_view {
    std::string order_id;
    std::string run_id;
    OrderStatus status = OrderStatus::Created;
    std::string run_state; ///< "Initiated", "Running", "Paused", "Cancelled", "Completed", …
    std::uint64_t version = 0;
    int attempt = 0; ///< failed attempts of the current step
    std::string last_error;
    std::string reason; ///< why it is paused or cancelled
    std::optional<pawl::time_point> wake_at;
    pawl::time_point created_at;
    pawl::time_point updated_at;
    Order order;
};
BOOST_DESCRIBE_STRUCT(order_view, (),
                      (order_id, run_id, status, run_state, version, attempt, last_error, reason,
                       wake_at, created_at, updated_at, order))

struct order_page {
    std::vector<order_view> orders;
    std::optional<std::string> next; ///< give it as `after`; absent on the last page
};
BOOST_DESCRIBE_STRUCT(order_page, (), (orders, next))

/// One commit of an order's run.
struct transition_view {
    std::uint64_t version = 0;
    std::string kind; ///< "started", "moved", "repeated", "attempt_failed", …
    OrderStatus from = OrderStatus::Created;
    OrderStatus to = OrderStatus::Created;
    std::string run_state; ///< after it
    int attempt = 0;       ///< failed attempts of the step, after it
    std::string error;     ///< of the failed attempt, or why it was paused or cancelled
    std::string by;        ///< the operator who requested it, as named in the file of tokens
    pawl::time_point at;
};
BOOST_DESCRIBE_STRUCT(transition_view, (),
                      (version, kind, from, to, run_state, attempt, error, by, at))

struct order_history {
    std::string order_id;
    std::string run_id;
    std::vector<transition_view> transitions;
    std::optional<std::uint64_t> next; ///< give it as `after`; absent on the last page
};
BOOST_DESCRIBE_STRUCT(order_history, (), (order_id, run_id, transitions, next))

/// The answer to an accepted request.
struct accepted_order {
    std::string order_id;
    std::string run_id;
};
BOOST_DESCRIBE_STRUCT(accepted_order, (), (order_id, run_id))

/// The outcome of a cancel.
struct cancel_answer {
    std::string order_id;
    std::string run_id;
    std::string outcome; ///< "cancelled"; "pending" when a step or an operator has to end first
};
BOOST_DESCRIBE_STRUCT(cancel_answer, (), (order_id, run_id, outcome))

order_view view_of(const order_snapshot& order);

/// @param of_run The current state of the run: a transition of a run whose data was deleted has no
/// error text.
transition_view view_of(const pawl::event& transition, pawl::run_state of_run);

template <class T>
std::string to_json(const T& document)
{
    std::string text;
    pawl::codec<T>::encode(document, text);
    return text;
}

} // namespace order_processing
