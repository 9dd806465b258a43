#include "demo.hpp"

#include "demo_orders.hpp"
#include "invariants.hpp"
#include "order_view.hpp"
#include "pawl/http/client.hpp"
#include "within.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace order_processing {
namespace {

using boost::asio::awaitable;
using boost::asio::use_awaitable;

/// Far longer than the orders take, so that the demonstration ends even after a defect.
constexpr std::chrono::minutes order_timeout{2};

struct demo_run {
    demo_order order;
    pawl::run_id id;
    order_view end;
};

awaitable<order_view> show(pawl::http::client& server, std::string order_id, std::string action)
{
    pawl::http::client_request get;
    get.target = "/orders/" + order_id + action;
    const auto answer = co_await server.request(std::move(get));
    if (answer.status != 200)
        throw std::runtime_error(fmt::format("GET {}{}: {}", order_id, action, answer.body));
    co_return pawl::codec<order_view>::decode(answer.body);
}

/// Sends an order, or finds the order that was sent before.
awaitable<void> submit(pawl::http::client& server, demo_run& run, std::ostream& out)
{
    pawl::http::client_request post;
    post.method = "POST";
    post.target = "/orders";
    post.body = to_json(run.order.request);
    const std::string& id = run.order.request.id;
    const auto answer = co_await server.request(std::move(post));
    if (answer.status == 409)
        out << id << " is in the database already\n";
    else if (answer.status != 202)
        throw std::runtime_error(fmt::format("{} was not accepted: {}", id, answer.body));

    const auto order = co_await show(server, id, "");
    run.id = pawl::parse_run_id(order.run_id).value_or(pawl::run_id{});
}

/// True for a commit after which the order stays in its status and is tried again.
bool is_repetition(const pawl::event& event) noexcept
{
    return event.kind == pawl::event_kind::repeated ||
           event.kind == pawl::event_kind::attempt_failed;
}

/// The text that is shown for an event.
std::string describe(const pawl::event& event, int repetitions)
{
    const auto source = to_string(static_cast<OrderStatus>(event.from));
    const auto destination = to_string(static_cast<OrderStatus>(event.to));
    if (event.kind == pawl::event_kind::started)
        return std::string{destination};
    if (event.from == event.to)
        return fmt::format("{}: {} {}", destination, to_string(event.kind), event.error);
    if (repetitions == 0)
        return fmt::format("{} -> {}", source, destination);
    return fmt::format("{} -> {}  ({} tries)", source, destination, repetitions + 1);
}

std::vector<OrderStatus> all_but(OrderStatus status)
{
    std::vector<OrderStatus> others;
    const auto last = static_cast<int>(OrderStatus::Refunded);
    for (int i = static_cast<int>(OrderStatus::Created); i <= last; ++i)
        if (static_cast<OrderStatus>(i) != status)
            others.push_back(static_cast<OrderStatus>(i));
    return others;
}

awaitable<void> wait_for_change(orders_client& orders, pawl::run_id run, OrderStatus from)
{
    const auto others = all_but(from);
    const auto change = [&](auto token) {
        return orders.async_await(run, others, token);
    };
    try {
        const auto changed = co_await within<order_snapshot>(order_timeout, change);
        if (!changed)
            throw std::runtime_error("an order did not move in time");
    } catch (const pawl::system_error& error) {
        if (error.code() != pawl::errc::finished_in_other_status)
            throw;
    }
}

/// Shows the transitions of an order until it has ended.
awaitable<void> watch(orders_client orders, demo_run& run, pawl::time_point start,
                      std::ostream& out)
{
    std::uint64_t last_version = 0;
    int repetitions = 0;
    for (;;) {
        const auto events =
            co_await orders.async_history(run.id, last_version, 1'000, use_awaitable);
        for (const pawl::event& event : events) {
            if (is_repetition(event)) {
                ++repetitions;
                continue;
            }
            if (event.kind == pawl::event_kind::checkpointed)
                continue; // within a step
            const std::chrono::duration<double> after = event.at - start;
            out << fmt::format("{:>+8.3f} s  {}  {}\n", after.count(), run.order.request.id,
                               describe(event, repetitions))
                << std::flush;
            repetitions = 0;
        }
        if (events.empty())
            throw std::runtime_error(run.order.request.id + " has no history");
        last_version = events.back().version;
        if (is_finished(events.back().state))
            co_return;
        co_await wait_for_change(orders, run.id, static_cast<OrderStatus>(events.back().to));
    }
}

money total_of(const std::vector<ledger_entry>& effects, std::string_view kind)
{
    money sum;
    for (const ledger_entry& entry : effects)
        if (entry.kind == kind && entry.amount)
            sum += *entry.amount;
    return sum;
}

/// Prints a row of the table. @return True when the order ended as expected.
bool report(const demo_run& run, const std::vector<ledger_entry>& effects, std::ostream& out)
{
    const auto wrong = differences(run.order, run.end, effects);
    const auto declines =
        std::count_if(effects.begin(), effects.end(),
                      [](const ledger_entry& entry) { return entry.kind == "decline"; });
    const std::chrono::duration<double> took = run.end.updated_at - run.end.created_at;
    const auto& tracking = run.end.order.tracking_number;
    out << fmt::format("{:<11}{:<12}{:>9}{:>10}{:>10}  {:<17}{:>7.3f}  {}\n", run.order.request.id,
                       to_string(run.end.status), declines, to_string(total_of(effects, "charge")),
                       to_string(total_of(effects, "refund")), tracking.empty() ? "-" : tracking,
                       took.count(), wrong.empty() ? "as expected" : "WRONG");
    for (const std::string& difference : wrong)
        out << "           " << difference << '\n';
    return wrong.empty();
}

/// Compares the final orders, read over HTTP, with the expected ones.
awaitable<bool> compare(boost::asio::any_io_executor executor, pawl::http::client& server,
                        service_urls urls, std::vector<demo_run>& runs, std::ostream& out)
{
    const auto ledgers = co_await read_ledgers(executor, std::move(urls));
    out << fmt::format("\n{:<11}{:<12}{:>9}{:>10}{:>10}  {:<17}{:>7}\n", "order", "status",
                       "declines", "charged", "refunded", "tracking", "seconds");
    bool good = true;
    std::vector<order_view> ends;
    std::vector<ledger_entry> all_effects;
    for (demo_run& run : runs) {
        auto end = co_await show(server, run.order.request.id, "/wait?timeout_ms=0");
        run.end = std::move(end);
        const auto effects = entries_of(ledgers, run.end.run_id);
        good = report(run, effects, out) && good;
        ends.push_back(run.end);
        all_effects.insert(all_effects.end(), effects.begin(), effects.end());
    }
    for (const std::string& broken : broken_invariants(ends, all_effects)) {
        out << broken << '\n';
        good = false;
    }
    if (runs[2].end.updated_at > runs[1].end.updated_at) {
        out << "order-003 was delayed by order-002\n";
        good = false;
    }
    co_return good;
}

} // namespace

awaitable<bool> run_demo(boost::asio::any_io_executor executor, const order_server& server,
                         std::ostream& out)
{
    using namespace boost::asio::experimental::awaitable_operators;
    pawl::http::client client{executor, server.url()};
    std::vector<demo_run> runs;
    for (demo_order& order : demo_orders())
        runs.push_back({std::move(order), {}, {}});

    out << '\n';
    const auto start = std::chrono::floor<pawl::duration>(std::chrono::system_clock::now());
    for (demo_run& run : runs)
        co_await submit(client, run, out);
    co_await (watch(server.orders(), runs[0], start, out) &&
              watch(server.orders(), runs[1], start, out) &&
              watch(server.orders(), runs[2], start, out));

    const bool good = co_await compare(executor, client, server.services(), runs, out);
    out << (good ? "\nEvery order ended as expected.\n" : "\nNot every order ended as expected.\n");
    co_return good;
}

} // namespace order_processing
