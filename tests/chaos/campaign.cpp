#include "chaos/campaign.hpp"

#include "chaos/database_check.hpp"
#include "chaos/programs.hpp"
#include "invariants.hpp"
#include "order_processing/orders.hpp"
#include "pawl/http/client.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <csignal>
#include <deque>
#include <functional>
#include <random>
#include <set>

namespace chaos {

namespace asio = boost::asio;
using asio::awaitable;
using namespace order_processing;
using namespace std::chrono_literals;
using std::chrono::microseconds;

namespace {

/// A drain is 2 s; what takes this long hangs.
constexpr auto patience = std::chrono::seconds{60};

std::string document_of(int number)
{
    Order order = sample_order("order-" + std::to_string(number));
    if (number % 3 == 1) {
        order.customer_id = "premium_customer";
        order.items[0].price = order.total = money::from_minor(150'000);
    } else if (number % 3 == 2) {
        order.items[0].product_id = "out_of_stock";
    }
    return to_json(order_request{order.id, order.customer_id, order.items, order.total,
                                 order.payment_method, order.shipping_address});
}

void rethrow(const std::exception_ptr& failure)
{
    if (failure)
        std::rethrow_exception(failure);
}

class campaign {
public:
    explicit campaign(const campaign_options& options)
        : options_(options), random_(options.seed),
          services_(options.mock_services, folder_.file("services.db"))
    {
    }

    campaign_report run()
    {
        for (int round = 0; round < options_.rounds; ++round)
            live(round);
        finish();
        report_.accepted = static_cast<int>(accepted_.size());
        return std::move(report_);
    }

private:
    int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

    /// Mostly among the first steps of the orders, sometimes long after.
    microseconds moment() { return microseconds{below(5) == 0 ? below(150'000) : below(25'000)}; }

    void broken(std::string what) { report_.broken.push_back(std::move(what)); }

    void live(int round);
    void at(asio::io_context& context, microseconds when, std::function<void()> what);
    void plan_end(asio::io_context& context, order_program& server, int& expected);
    void plan_services(asio::io_context& context);
    void freeze(asio::io_context& context, testing::child& whom, microseconds when);
    awaitable<void> submit(pawl::http::client& client, int number);
    awaitable<void> finish_orders(std::string url);
    awaitable<bool> has_ended(pawl::http::client& client, int number);
    void finish();

    const campaign_options options_;
    std::mt19937 random_;
    const temporary_folder folder_;
    services_program services_;
    campaign_report report_;
    std::deque<int> to_send_;
    std::set<int> accepted_;
    int next_order_ = 0;
};

void campaign::at(asio::io_context& context, microseconds when, std::function<void()> what)
{
    auto timer = std::make_shared<asio::steady_timer>(context, when);
    timer->async_wait(
        [timer, what = std::move(what)](const boost::system::error_code&) { what(); });
}

void campaign::freeze(asio::io_context& context, testing::child& whom, microseconds when)
{
    ++report_.freezes;
    at(context, when, [&whom] { whom.signal(SIGSTOP); });
    at(context, when + moment(), [&whom] { whom.signal(SIGCONT); });
}

void campaign::plan_end(asio::io_context& context, order_program& server, int& expected)
{
    const int choice = below(10);
    const auto end = moment();
    const int signal = choice < 7 ? SIGKILL : SIGTERM;
    if (choice == 0 || choice == 9)
        freeze(context, server.process(), microseconds{below(static_cast<int>(end.count()) + 1)});
    expected = signal == SIGKILL ? 128 + SIGKILL : 0;
    ++(signal == SIGKILL ? report_.kills : report_.drains);
    at(context, end, [&server, signal] { server.process().signal(signal); });
}

void campaign::plan_services(asio::io_context& context)
{
    const int choice = below(10);
    if (choice == 0) {
        freeze(context, services_.process(), moment());
    } else if (choice <= 2) {
        ++report_.service_kills;
        at(context, moment(), [this] { services_.kill_and_start(); });
    }
}

/// Sends an order; what gets no answer is sent again in a later round.
awaitable<void> campaign::submit(pawl::http::client& client, int number)
{
    pawl::http::client_request post;
    post.method = "POST";
    post.target = "/orders";
    post.body = document_of(number);
    int status = 0;
    try {
        const auto answer = co_await client.request(std::move(post));
        status = answer.status;
    } catch (const pawl::http::client_error&) {
    }
    // 409: the answer to an earlier try was lost with the server. 503: it is draining.
    if (status == 202 || status == 409)
        accepted_.insert(number);
    else
        to_send_.push_back(number);
    if (status != 0 && status != 202 && status != 409 && status != 503)
        broken(fmt::format("order-{} was answered {}", number, status));
}

void campaign::live(int round)
{
    order_program server{options_.order_server, folder_.file("orders.db"), services_.urls()};
    asio::io_context context{1};
    pawl::http::client client{context.get_executor(), server.url()};
    for (int i = 0; i < options_.orders_per_round; ++i)
        to_send_.push_back(next_order_++);
    for (auto left = to_send_.size(); left > 0; --left) {
        asio::co_spawn(context, submit(client, to_send_.front()), rethrow);
        to_send_.pop_front();
    }
    int expected = 0;
    plan_end(context, server, expected);
    plan_services(context);
    context.run();
    const int status = server.end_within(patience);
    if (status != expected)
        broken(fmt::format("round {}: the order server ended with {} instead of {}: {}", round,
                           status, expected, server.process().errors));
}

awaitable<bool> campaign::has_ended(pawl::http::client& client, int number)
{
    const std::string target = "/orders/order-" + std::to_string(number);
    pawl::http::client_request resume;
    resume.method = "POST";
    // Refused unless errors have paused it.
    resume.target =
        "/admin/api/v1/runs/order-processing:order-" + std::to_string(number) + "/resume";
    resume.body = R"({"reason": "the end of the campaign"})";
    co_await client.request(std::move(resume));
    pawl::http::client_request wait;
    wait.target = target + "/wait?timeout_ms=5000";
    const auto answer = co_await client.request(std::move(wait));
    if (answer.status != 200 && answer.status != 504)
        broken(fmt::format("order-{} was accepted, and now: {} {}", number, answer.status,
                           answer.body));
    co_return answer.status != 504;
}

awaitable<void> campaign::finish_orders(std::string url)
{
    const auto executor = co_await asio::this_coro::executor;
    pawl::http::client_options patient;
    patient.timeout = patience;
    pawl::http::client client{executor, url, patient};
    while (!to_send_.empty()) {
        const int number = to_send_.front();
        to_send_.pop_front();
        co_await submit(client, number);
    }
    for (const int number : accepted_) {
        bool ended = false;
        for (int tries = 0; tries < 20 && !ended; ++tries)
            ended = co_await has_ended(client, number);
        if (!ended)
            broken(fmt::format("order-{} does not end", number));
    }
    const auto orders = co_await read_orders(executor, url);
    const auto ledgers = co_await read_ledgers(executor, services_.urls());
    for (auto& sentence : broken_invariants(orders, ledgers))
        broken(std::move(sentence));
    if (orders.size() != accepted_.size())
        broken(fmt::format("{} orders were accepted, and {} are there", accepted_.size(),
                           orders.size()));
}

void campaign::finish()
{
    const auto db = folder_.file("orders.db");
    {
        order_program server{options_.order_server, db, services_.urls()};
        asio::io_context context{1};
        asio::co_spawn(context, finish_orders(server.url()), rethrow);
        context.run();
        server.process().signal(SIGTERM);
        if (const int status = server.end_within(patience); status != 0)
            broken(fmt::format("the last order server ended with {}", status));
    }
    for (auto& sentence : faults_of_database(db))
        broken(std::move(sentence));
}

} // namespace

campaign_report run_campaign(const campaign_options& options)
{
    return campaign{options}.run();
}

} // namespace chaos
