// What the steps do when a service refuses, answers ambiguously, answers late, forgets a key, or is
// away: for each, where the order ends and what was asked of the services.
#include "orders.hpp"
#include "pawl/testing/harness.hpp"
#include "printing.hpp"
#include "workflow.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(steps_and_services)

using namespace order_processing;
using namespace std::chrono_literals;
using boost::asio::awaitable;
using pawl::http::client_request;
using pawl::http::client_response;

namespace {

/// Three services that answer everything well, but for what a test says of a request.
class scripted_services {
public:
    using answer = std::function<client_response()>;

    scripted_services()
    {
        say("POST /payments", 201, R"({"payment_id":"p"})");
        say("GET /payments?", 404, "{}");
        say("POST /payments/p/refund", 201, R"({"refund_id":"r"})");
        say("POST /reservations", 201, R"({"reservation_id":"s"})");
        say("DELETE /reservations/s", 204, "");
        say("POST /availability", 200, R"({"items":[]})");
        say("POST /shipments", 201, R"({"tracking_number":"t"})");
        say("GET /shipments?", 404, "{}");
        captured("99.99", "0");
    }

    void captured(const std::string& amount, const std::string& refunded)
    {
        say("GET /payments/p", 200,
            R"({"payment_id":"p","status":"completed","amount":)" + amount + R"(,"captured":)" +
                amount + R"(,"refunded":)" + refunded + "}");
    }

    void say(const std::string& request, int status, std::string body = "{}")
    {
        on(request, [=] { return client_response{status, {}, body}; });
    }

    void fail(const std::string& request, pawl::http::failure kind)
    {
        on(request, [=]() -> client_response { throw pawl::http::client_error{kind, request}; });
    }

    void on(const std::string& request, answer made) { answers_[request] = std::move(made); }

    int count(const std::string& request) const
    {
        return static_cast<int>(std::count(requests.begin(), requests.end(), request));
    }

    order_services clients()
    {
        const transport to = [this](client_request asked) {
            return answer_to(std::move(asked));
        };
        return {payment_client{"", to}, inventory_client{"", to}, shipping_client{"", to}};
    }

    std::vector<std::string> requests;
    std::vector<std::string> bodies;
    std::function<awaitable<void>(std::string)> delay; ///< before each answer

private:
    awaitable<client_response> answer_to(client_request asked)
    {
        const auto query = asked.target.find('?');
        auto name = asked.method + " " +
                    (query == std::string::npos ? asked.target : asked.target.substr(0, query + 1));
        requests.push_back(name);
        bodies.push_back(asked.body);
        if (delay)
            co_await delay(name);
        const auto made = answers_.at(name); // a copy: it may replace itself
        co_return made();
    }

    std::map<std::string, answer> answers_;
};

struct shop {
    scripted_services services;
    order_services clients = services.clients();
    pawl::testing::harness<Order, OrderStatus> orders{order_workflow(clients, {}, {})};

    pawl::snapshot<Order, OrderStatus> buy()
    {
        return orders.await_finished(orders.trigger("a", sample_order("a")));
    }

    /// Submits an order and cancels it once it has had a failure there.
    pawl::snapshot<Order, OrderStatus> buy_and_cancel(OrderStatus in)
    {
        const auto run = orders.trigger("a", sample_order("a"));
        orders.callback_on(run, in, "cancel", cancel_request{"changed my mind"});
        return orders.await_finished(run);
    }
};

const auto ambiguous = pawl::http::failure::ambiguous;
const auto not_sent = pawl::http::failure::not_sent;

} // namespace

BOOST_AUTO_TEST_CASE(an_order_that_the_inventory_refuses_is_refunded)
{
    for (const int status : {400, 404, 409, 413, 422}) {
        shop s;
        s.services.say("POST /reservations", status);
        s.services.say("POST /availability", status);
        const auto end = s.buy();
        BOOST_TEST((end.status == OrderStatus::Refunded), "status " << status);
        BOOST_TEST(s.services.count("POST /payments/p/refund") == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_cancelled_order_is_refunded_though_its_stock_cannot_be_released)
{
    shop s;
    s.services.say("POST /shipments", 422);
    s.services.say("DELETE /reservations/s", 500);
    const auto run = s.orders.trigger("a", sample_order("a"));
    s.orders.await(run, {OrderStatus::Cancelled});
    s.orders.run_until_idle();
    BOOST_TEST(s.services.count("POST /payments/p/refund") == 1);
}

BOOST_AUTO_TEST_CASE(a_reservation_that_has_expired_needs_no_release)
{
    for (const int status : {404, 410}) {
        shop s;
        s.services.say("POST /shipments", 422);
        s.services.say("DELETE /reservations/s", status);
        BOOST_TEST((s.buy().status == OrderStatus::Refunded));
    }
}

BOOST_AUTO_TEST_CASE(a_shipment_that_may_have_been_made_is_not_cancelled)
{
    for (const int status : {429, 500, 502, 503, 504}) {
        shop s;
        s.services.say("POST /shipments", status);
        const auto run = s.orders.trigger("a", sample_order("a"));
        s.orders.callback_on(run, OrderStatus::InventoryReserved, "cancel", cancel_request{});
        s.services.say("POST /shipments", 201, R"({"tracking_number":"t"})");
        const auto end = s.orders.await_finished(run);
        BOOST_TEST((end.status == OrderStatus::Fulfilled), "status " << status);
    }
}

BOOST_AUTO_TEST_CASE(a_shipment_that_was_not_sent_can_be_cancelled)
{
    shop s;
    s.services.fail("POST /shipments", not_sent);
    const auto end = s.buy_and_cancel(OrderStatus::InventoryReserved);
    BOOST_TEST((end.status == OrderStatus::Refunded));
}

BOOST_AUTO_TEST_CASE(a_refusal_of_a_shipment_is_checked)
{
    for (const bool repeated : {false, true}) {
        for (const int status : {409, 422}) {
            shop s;
            s.services.say("GET /shipments?", 200,
                           R"({"tracking_number":"t","reservation_id":"s"})");
            s.services.on("POST /shipments", [&s, repeated, status]() -> client_response {
                s.services.say("POST /shipments", status);
                if (repeated)
                    throw pawl::http::client_error{ambiguous, "the answer is lost"};
                return {status, {}, "{}"}; // the HTTP client may have sent it twice
            });
            const auto end = s.buy();
            BOOST_TEST((end.status == OrderStatus::Fulfilled));
            BOOST_TEST(end.object.tracking_number == "t");
            BOOST_TEST(s.services.count("POST /payments/p/refund") == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_shipment_of_an_earlier_run_is_not_taken_for_its_own)
{
    shop s;
    s.services.say("GET /shipments?", 200,
                   R"({"tracking_number":"t","reservation_id":"an earlier one"})");
    s.services.on("POST /shipments", [&s]() -> client_response {
        s.services.say("POST /shipments", 409);
        throw pawl::http::client_error{ambiguous, "the answer is lost"};
    });
    BOOST_TEST((s.buy().status == OrderStatus::Refunded));
    BOOST_TEST(s.services.count("POST /payments/p/refund") == 1);
}

BOOST_AUTO_TEST_CASE(a_key_used_for_another_request_is_no_refusal)
{
    shop s;
    s.services.say("POST /shipments", 422, R"({"type":"urn:order-processing:key-reused"})");
    const auto run = s.orders.trigger("a", sample_order("a"));
    s.orders.advance(10min);
    BOOST_TEST((s.orders.find(run).status == OrderStatus::InventoryReserved));
    BOOST_TEST(s.services.count("POST /payments/p/refund") == 0);
}

BOOST_AUTO_TEST_CASE(a_cancelled_charge_without_an_answer_is_made_certain_and_given_back)
{
    shop s;
    s.services.fail("POST /payments", ambiguous);
    const auto run = s.orders.trigger("a", sample_order("a"));
    s.orders.callback_on(run, OrderStatus::Validated, "cancel", cancel_request{});
    s.orders.advance(1min);
    BOOST_TEST((s.orders.find(run).status == OrderStatus::Cancelled));
    s.services.say("POST /payments", 201, R"({"payment_id":"p"})");
    const auto end = s.orders.await_finished(run);
    BOOST_TEST((end.status == OrderStatus::Refunded));
    BOOST_TEST(end.object.payments.size() == 1u);
    BOOST_TEST(s.services.count("POST /payments/p/refund") == 1);
}

BOOST_AUTO_TEST_CASE(a_charge_that_was_not_sent_is_not_made_by_a_cancellation)
{
    shop s;
    s.services.fail("POST /payments", not_sent);
    const auto end = s.buy_and_cancel(OrderStatus::Validated);
    BOOST_TEST((end.status == OrderStatus::Cancelled));
    BOOST_TEST(end.object.payments.empty());
    BOOST_TEST(s.services.count("GET /payments?") == 0);
}

BOOST_AUTO_TEST_CASE(a_conflict_does_not_end_a_charge_that_may_be_under_way)
{
    shop s;
    s.services.on("POST /payments", [&s]() -> client_response {
        s.services.on("POST /payments", [&s] {
            s.services.say("GET /payments?", 200, R"({"payment_id":"p","status":"completed"})");
            return client_response{409, {}, R"({"detail":"a request with this key is under way"})"};
        });
        throw pawl::http::client_error{ambiguous, "the answer is lost"};
    });
    BOOST_TEST((s.buy().status == OrderStatus::Fulfilled));
    BOOST_TEST(s.services.count("POST /payments") == 2);
}

BOOST_AUTO_TEST_CASE(a_payment_is_voided_only_when_the_answer_says_so)
{
    for (const char* body : {"", "{}", "<html>", R"({"payment_id":"p","status":"processing"})",
                             R"({"payment_id":"q","status":"voided"})"}) {
        shop s;
        s.services.say("GET /payments/p", 200, R"({"payment_id":"p","status":"processing"})");
        s.services.say("POST /payments/p/void", 200, body);
        const auto run = s.orders.trigger("a", sample_order("a"));
        s.orders.callback_on(run, OrderStatus::PaymentProcessing, "cancel", cancel_request{});
        s.orders.advance(1min);
        BOOST_TEST((s.orders.find(run).status == OrderStatus::Cancelled));
        BOOST_TEST(s.orders.find(run).object.payment_id == "p", body);
        s.services.say("POST /payments/p/void", 200, R"({"payment_id":"p","status":"voided"})");
        const auto end = s.orders.await_finished(run);
        BOOST_TEST((end.object.payments.at(0).state == PaymentState::voided));
    }
}

BOOST_AUTO_TEST_CASE(an_unreadable_payment_is_neither_refunded_nor_given_up)
{
    for (const char* body : {"{}", R"({"payment_id":"p","status":"completed"})",
                             R"({"payment_id":"p","status":"refunded"})",
                             R"({"payment_id":"q","status":"completed","captured":99.99})",
                             R"({"payment_id":"q","status":"failed"})"}) {
        shop s;
        s.services.say("POST /payments/p/void", 200, "{}");
        s.services.on("POST /shipments", [&s, body]() -> client_response {
            s.services.say("GET /payments/p", 200, body);
            return {422, {}, "{}"};
        });
        const auto run = s.orders.trigger("a", sample_order("a"));
        s.orders.advance(1min);
        BOOST_TEST((s.orders.find(run).status == OrderStatus::Cancelled), body);
        BOOST_TEST(s.orders.find(run).object.payment_id == "p", body);
        s.services.captured("99.99", "0");
        BOOST_TEST((s.orders.await_finished(run).status == OrderStatus::Refunded));
        BOOST_TEST(s.services.count("POST /payments/p/refund") == 1);
    }
}

BOOST_AUTO_TEST_CASE(an_order_that_captured_another_amount_pauses)
{
    for (const char* amount : {"99.98", "100.00"}) {
        shop s;
        s.services.captured(amount, "0");
        const auto run = s.orders.trigger("a", sample_order("a"));
        s.orders.run_until_idle();
        const auto found = s.orders.find(run);
        BOOST_TEST((found.status == OrderStatus::PaymentProcessing));
        BOOST_TEST(found.state == pawl::run_state::paused);
    }
}

BOOST_AUTO_TEST_CASE(a_paused_order_that_is_cancelled_is_refunded_once_it_is_resumed)
{
    shop s;
    s.services.captured("99.98", "0");
    const auto run = s.orders.trigger("a", sample_order("a"));
    BOOST_TEST(s.orders.find(run).state == pawl::run_state::paused);
    auto& client = s.orders.client();
    s.orders.wait_for(client.async_send(run, "cancel", cancel_request{"changed my mind"}));
    s.orders.wait_for(client.async_resume(run, {"resumed by an operator", "ada"}));
    const auto end = s.orders.await_finished(run);
    BOOST_TEST((end.status == OrderStatus::Refunded));
    BOOST_TEST(end.object.cancel_reason == "changed my mind");
    BOOST_TEST((end.object.refunds.at(0).amount == money::from_minor(9'998)));
}

BOOST_AUTO_TEST_CASE(a_refund_that_was_made_is_not_repeated)
{
    shop s;
    s.services.say("POST /shipments", 422);
    s.services.on("POST /payments/p/refund", [&s]() -> client_response {
        s.services.captured("99.99", "99.99"); // and the key is forgotten
        throw pawl::http::client_error{ambiguous, "the answer is lost"};
    });
    const auto end = s.buy();
    BOOST_TEST((end.status == OrderStatus::Refunded));
    BOOST_TEST(s.services.count("POST /payments/p/refund") == 1);
}

BOOST_AUTO_TEST_CASE(a_refund_that_is_refused_goes_on_once_it_was_made_by_hand)
{
    shop s;
    s.services.say("POST /shipments", 422);
    s.services.say("POST /payments/p/refund", 409);
    const auto run = s.orders.trigger("a", sample_order("a"));
    s.orders.advance(1min);
    BOOST_TEST((s.orders.find(run).status == OrderStatus::Cancelled));
    s.services.captured("99.99", "99.99");
    BOOST_TEST((s.orders.await_finished(run).status == OrderStatus::Refunded));
}

BOOST_AUTO_TEST_CASE(a_cancellation_refunds_what_was_captured_and_no_more)
{
    shop s;
    s.services.say("GET /payments/p", 200,
                   R"({"payment_id":"p","status":"processing","amount":99.99})");
    const auto run = s.orders.trigger("a", sample_order("a"));
    s.services.on("POST /payments/p/void", [&s] {
        s.services.captured("50.00", "0");
        return client_response{409, {}, "{}"};
    });
    s.orders.callback_on(run, OrderStatus::PaymentProcessing, "cancel", cancel_request{});
    BOOST_TEST((s.orders.await_finished(run).status == OrderStatus::Refunded));
    const auto at = std::find(s.services.requests.begin(), s.services.requests.end(),
                              "POST /payments/p/refund");
    BOOST_REQUIRE((at != s.services.requests.end()));
    const auto body = s.services.bodies[static_cast<std::size_t>(at - s.services.requests.begin())];
    BOOST_TEST(body.find("50.00") != std::string::npos, body);
}

BOOST_AUTO_TEST_CASE(charges_never_ask_for_more_connections_than_there_are)
{
    int running = 0;
    int most = 0;
    shop s;
    boost::asio::steady_timer open{s.orders.context(),
                                   boost::asio::steady_timer::time_point::max()};
    s.services.delay = [&](std::string request) -> awaitable<void> {
        if (request != "POST /payments")
            co_return;
        most = std::max(most, ++running);
        boost::system::error_code ignored;
        co_await open.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
        --running;
    };
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 200; ++i) {
        const auto id = "order-" + std::to_string(i);
        runs.push_back(s.orders.wait_for(s.orders.client().async_trigger(id, sample_order(id))));
    }
    open.expires_at(boost::asio::steady_timer::time_point::min());
    for (const auto& run : runs)
        BOOST_TEST((s.orders.await_finished(run).status == OrderStatus::Fulfilled));
    BOOST_TEST(most > 1);
    BOOST_TEST(most <= 64);
}

BOOST_AUTO_TEST_SUITE_END()
