#include "workflow.hpp"

#include "pawl/builder.hpp"
#include "pawl/error.hpp"
#include "pawl/log.hpp"
#include "pawl/step.hpp"
#include "steps.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace order_processing {
namespace {

using enum OrderStatus;
using order_run = pawl::run<Order>;

/// Limits of runs in one step. The steps that most orders take share the 64 connections
/// of the payment service's client; the others seldom wait for one, which costs no attempt.
constexpr std::size_t charging = 32;
constexpr std::size_t other_step = 8;

void require(bool holds, const char* field, const char* bound)
{
    if (!holds)
        throw pawl::definition_error{std::string{"order_options::"} + field + " must be " + bound};
}

pawl::retry_policy constant(pawl::duration backoff, int errors)
{
    pawl::retry_policy policy;
    policy.initial = backoff;
    policy.multiplier = 1;
    policy.max_attempts = errors;
    return policy;
}

/// How a step reacts to an unreachable service.
struct failure_rules {
    pawl::duration unreachable_backoff;
    std::function<void()> on_unsent;
};

/// Logs the part of a step's error that only operators should read. A request that was
/// certainly not sent uses up no attempt: the step is repeated until the service can be reached.
template <class Next>
boost::asio::awaitable<Next> guarded(order_run& run, std::shared_ptr<const failure_rules> rules,
                                     boost::asio::awaitable<Next> step)
{
    try {
        auto next = co_await std::move(step);
        co_return next;
    } catch (const service_error& error) {
        if (!error.detail().empty())
            run.log(pawl::log_level::warn, error.detail());
        if (error.kind() != service_failure::not_sent)
            throw;
    }
    if (rules->on_unsent)
        rules->on_unsent();
    co_return pawl::repeat_after(rules->unreachable_backoff);
}

boost::asio::awaitable<void> notify(const std::function<void(const order_snapshot&)>& listener,
                                    const order_snapshot& order)
{
    if (listener)
        listener(order);
    co_return;
}

} // namespace

void check(const order_options& options)
{
    const pawl::duration zero{};
    require(options.validation_backoff > zero, "validation_backoff", "above zero");
    require(options.validation_errors >= 1, "validation_errors", "at least 1");
    require(options.payment_backoff > zero, "payment_backoff", "above zero");
    require(options.payment_errors >= 1, "payment_errors", "at least 1");
    require(options.tries_per_method >= 1, "tries_per_method", "at least 1");
    require(options.poll_interval > zero, "poll_interval", "above zero");
    require(options.max_poll_interval >= options.poll_interval, "max_poll_interval",
            "at least poll_interval");
    require(options.payment_timeout > zero, "payment_timeout", "above zero");
    require(options.partial_tries >= 1, "partial_tries", "at least 1");
    require(options.request_timeout > zero, "request_timeout", "above zero");
    require(options.unreachable_backoff > zero, "unreachable_backoff", "above zero");
}

pawl::workflow<Order, OrderStatus> order_workflow(order_services& services, order_options options,
                                                  order_observer observer)
{
    check(options);
    const auto rules = std::make_shared<const failure_rules>(
        failure_rules{options.unreachable_backoff, std::move(observer.unsent)});
    pawl::builder<Order, OrderStatus> b{"order-processing"};
    b.defaults({.retry = options.other_steps});

    b.step<Created>(validate_order)
        .retry(constant(options.validation_backoff, options.validation_errors));

    b.step<Validated>([&services, options, rules](order_run& run) {
         return guarded(run, rules, process_payment(run, services, options));
     })
        .retry(constant(options.payment_backoff, options.payment_errors))
        .max_concurrency(charging);

    b.step<PaymentProcessing>([&services, options, rules](order_run& run) {
         return guarded(run, rules, complete_payment(run, services, options));
     }).max_concurrency(charging);
    b.timeout<PaymentProcessing>(options.payment_timeout, [&services, rules](order_run& run) {
        return guarded(run, rules, payment_timed_out(run, services));
    });

    b.step<PaymentFailed>([&services, options, rules](order_run& run) {
         return guarded(run, rules, handle_payment_failure(run, services, options));
     }).max_concurrency(other_step);

    b.step<PaymentProcessed>([&services, rules](order_run& run) {
         return guarded(run, rules, reserve_inventory(run, services));
     }).max_concurrency(charging);

    b.step<InventoryFailed>([&services, options, rules](order_run& run) {
         return guarded(run, rules, handle_inventory_failure(run, services, options));
     }).max_concurrency(other_step);

    b.step<InventoryReserved>([&services, rules](order_run& run) {
         return guarded(run, rules, fulfill_order(run, services));
     }).max_concurrency(charging);

    b.callback<Created, Validated, PaymentProcessing, PaymentProcessed, PaymentFailed,
               InventoryReserved, InventoryFailed>("cancel", cancel_order);

    b.step<Cancelled>([&services, options, rules](order_run& run) {
         return guarded(run, rules, process_cancellation(run, services, options));
     }).max_concurrency(other_step);

    b.end<Fulfilled, Refunded>();
    b.scrub(scrub_personal_data);
    b.attribute(customer, &Order::customer_id);

    b.on_complete([listener = std::move(observer.completed)](const order_snapshot& order) {
        return notify(listener, order);
    });
    b.on_cancel([listener = std::move(observer.cancelled)](const order_snapshot& order) {
        return notify(listener, order);
    });
    b.on_pause([listener = std::move(observer.paused)](const order_snapshot& order) {
        return notify(listener, order);
    });
    return std::move(b).build();
}

} // namespace order_processing
