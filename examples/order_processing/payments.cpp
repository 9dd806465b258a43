#include "payments.hpp"

#include "pawl/log.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace order_processing {
namespace {

using boost::asio::awaitable;

void begin_charge(pawl::run<Order>& run)
{
    Order& order = run.object();
    const int number = tries_with(order, order.payment_method) + 1;
    Payment next;
    next.method = order.payment_method;
    next.amount = order.total;
    next.key = run.idempotency_key("charge-" + next.method + "-" + to_string(next.amount) + "-" +
                                   std::to_string(number));
    order.payments.push_back(std::move(next));
    order.payment_attempts = number;
}

/// For the customer; the provider's own words go to the log.
std::string_view sentence_of(charge_answer answer)
{
    switch (answer) {
    case charge_answer::accepted:
        break;
    case charge_answer::declined:
        return "payment declined by bank";
    case charge_answer::refused:
        return "invalid payment method";
    case charge_answer::rejected:
        return "the payment service refuses the charge";
    }
    return {};
}

/// Stores the provider's answer to the try in flight.
charge_outcome note_answer(pawl::run<Order>& run, const charge_result& result, int limit)
{
    Order& order = run.object();
    Payment& last = order.payments.back();
    last.detail = sentence_of(result.answer);
    if (!result.detail.empty())
        run.log(pawl::log_level::info, "the payment service refuses a charge: " + result.detail);
    switch (result.answer) {
    case charge_answer::accepted:
        last.state = PaymentState::live;
        last.payment_id = result.payment_id;
        order.payment_id = result.payment_id;
        order.payment_polls = 0;
        return charge_outcome::accepted;
    case charge_answer::declined:
        last.state = PaymentState::declined;
        break;
    case charge_answer::refused:
        last.state = PaymentState::refused;
        break;
    case charge_answer::rejected:
        last.state = PaymentState::refused;
        return charge_outcome::rejected;
    }
    if (is_spent(order, last.method, limit))
        return charge_outcome::spent;
    return charge_outcome::declined;
}

/// Sends the try in flight. If the answer is lost, looks up the outcome.
awaitable<charge_result> send_charge(const Order& order, order_services services)
{
    const Payment& last = order.payments.back();
    std::optional<service_error> lost;
    try {
        charge_result answer = co_await services.payments.charge(order, last.amount, last.key);
        co_return answer;
    } catch (const service_error& error) {
        if (error.kind() != service_failure::ambiguous)
            throw;
        lost = error;
    }
    std::optional<charge_result> known;
    try {
        known = co_await services.payments.find_charge(last.key);
    } catch (const service_error&) {
        // `lost` is the more important error: the charge was sent.
    }
    if (!known)
        throw service_error{*lost};
    co_return std::move(*known);
}

/// The amount of one payment that was refunded or is about to be.
money refunded_of(const Order& order, std::string_view payment_id)
{
    money sum;
    for (const Refund& refund : order.refunds)
        if (refund.payment_id == payment_id)
            sum += refund.amount;
    return sum;
}

/// The amount of one payment that is known to be refunded.
money confirmed_of(const Order& order, std::string_view payment_id)
{
    money sum;
    for (const Refund& refund : order.refunds)
        if (refund.payment_id == payment_id && !refund.refund_id.empty())
            sum += refund.amount;
    return sum;
}

} // namespace

bool charge_in_flight(const Order& order) noexcept
{
    return !order.payments.empty() && order.payments.back().state == PaymentState::in_flight;
}

int tries_with(const Order& order, std::string_view method) noexcept
{
    return static_cast<int>(
        std::count_if(order.payments.begin(), order.payments.end(),
                      [&](const Payment& payment) { return payment.method == method; }));
}

bool is_spent(const Order& order, std::string_view method, int limit) noexcept
{
    if (charge_in_flight(order) && order.payments.back().method == method)
        return false;
    const bool ended =
        std::any_of(order.payments.begin(), order.payments.end(), [&](const Payment& payment) {
            return payment.method == method && payment.state != PaymentState::declined;
        });
    return ended || tries_with(order, method) >= limit;
}

std::optional<std::string> alternative_method(std::string_view customer_id)
{
    if (customer_id == "premium_customer")
        return "debit_card";
    return {};
}

Payment* current_payment(Order& order) noexcept
{
    if (order.payment_id.empty())
        return nullptr;
    const auto found =
        std::find_if(order.payments.begin(), order.payments.end(), [&](const Payment& payment) {
            return payment.payment_id == order.payment_id;
        });
    return found == order.payments.end() ? nullptr : &*found;
}

void archive_payment(Order& order, PaymentState end)
{
    if (Payment* payment = current_payment(order))
        payment->state = end;
    order.payment_id.clear();
}

awaitable<charge_outcome> charge(pawl::run<Order>& run, order_services& services,
                                 const order_options& options)
{
    Order& order = run.object();
    const bool first = !charge_in_flight(order);
    if (!first) {
        auto known = co_await services.within(run.trace_parent())
                         .payments.find_charge(order.payments.back().key);
        if (known)
            co_return note_answer(run, *known, options.tries_per_method);
    } else {
        if (is_spent(order, order.payment_method, options.tries_per_method))
            co_return charge_outcome::spent;
        begin_charge(run);
        co_await run.checkpoint();
    }
    charge_result answer;
    std::optional<service_error> unsent;
    try {
        answer = co_await send_charge(order, services.within(run.trace_parent()));
    } catch (const service_error& error) {
        if (error.kind() != service_failure::not_sent || !first)
            throw;
        unsent = error;
    }
    if (unsent) {
        // The provider has not received this try, so it does not count.
        order.payments.pop_back();
        order.payment_attempts = tries_with(order, order.payment_method);
        co_await run.checkpoint();
        throw service_error{*unsent};
    }
    co_return note_answer(run, answer, options.tries_per_method);
}

awaitable<void> refund_down_to(pawl::run<Order>& run, order_services& services, money keep)
{
    Order& order = run.object();
    const Payment* payment = current_payment(order);
    if (!payment)
        co_return;

    const money due = payment->amount - refunded_of(order, order.payment_id) - keep;
    if (due > money{}) {
        const auto number = std::to_string(order.refunds.size() + 1);
        const auto key = run.idempotency_key("refund-" + to_string(due) + "-" + number);
        order.refunds.push_back({key, order.payment_id, due, {}});
        co_await run.checkpoint();
    }
    for (Refund& refund : order.refunds) {
        if (!refund.refund_id.empty())
            continue;
        // A provider forgets keys after some time, so do not repeat a refund that has happened.
        const payment_view view =
            co_await services.within(run.trace_parent()).payments.find(refund.payment_id);
        if (view.refunded >= confirmed_of(order, refund.payment_id) + refund.amount) {
            refund.refund_id = "part of " + refund.payment_id;
            continue;
        }
        auto id = co_await services.within(run.trace_parent())
                      .payments.refund(refund.payment_id, refund.amount, refund.key);
        if (!id)
            throw service_error{service_failure::unexpected,
                                "the payment service refuses to refund " +
                                    to_string(refund.amount) +
                                    ": refund it at the provider, then resume the order",
                                "refused: the refund of payment " + refund.payment_id};
        refund.refund_id = std::move(*id);
    }
    if (keep == money{})
        archive_payment(order, PaymentState::refunded);
}

awaitable<void> give_money_back(pawl::run<Order>& run, order_services& services)
{
    Order& order = run.object();
    Payment* payment = current_payment(order);
    if (!payment)
        co_return;

    payment_view view =
        co_await services.within(run.trace_parent()).payments.find(order.payment_id);
    if (view.status == payment_status::processing) {
        const auto key = run.idempotency_key_per_run("void-" + order.payment_id);
        const bool voided = co_await services.within(run.trace_parent())
                                .payments.void_payment(order.payment_id, key);
        if (voided) {
            archive_payment(order, PaymentState::voided);
            co_return;
        }
        view = co_await services.within(run.trace_parent()).payments.find(order.payment_id);
    }
    switch (view.status) {
    case payment_status::processing:
        throw service_error{service_failure::unexpected,
                            "the payment can neither be voided nor refunded",
                            "payment " + order.payment_id + " is still processing"};
    case payment_status::completed:
        payment->state = PaymentState::captured;
        payment->amount = view.captured; // refund the amount that was captured
        co_await refund_down_to(run, services, money{});
        co_return;
    case payment_status::failed:
        archive_payment(order, PaymentState::failed);
        co_return;
    case payment_status::voided:
        archive_payment(order, PaymentState::voided);
        co_return;
    case payment_status::refunded: {
        // By a refund whose answer was lost, or manually at the provider.
        co_await refund_down_to(run, services, view.captured);
        archive_payment(order, PaymentState::refunded);
        co_return;
    }
    }
}

} // namespace order_processing
