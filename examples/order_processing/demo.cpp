#include "demo.hpp"

#include "demo_orders.hpp"
#include "invariants.hpp"
#include "order_view.hpp"
#include "pawl/http/client.hpp"
#include "within.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <ostream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace order_processing {
namespace {

using boost::asio::awaitable;
using boost::asio::use_awaitable;

/// Far longer than the orders take, so that a mistake ends the demonstration.
constexpr std::chrono::minutes patience{2};

struct demo_run {
    demo_order what;
    pawl::run_id run;
    order_view end;
};

awaitable<pawl::http::client_response> ask(pawl::http::client& server,
                                           pawl::http::client_request request)
{
    auto answer = co_await server.request(std::move(request));
    co_return answer;
}

/// Sends an order, or finds the one that was sent before.
awaitable<void> submit(pawl::http::client& server, demo_run& order, std::ostream& out)
{
    pawl::http::client_request post;
    post.method = "POST";
    post.target = "/orders";
    post.body = to_json(order.what.request);
    const std::string& id = order.what.request.id;
    auto answer = co_await server.request(std::move(post));
    if (answer.status == 409) {
        out << id << " is in the database already\n";
    } else if (answer.status != 202) {
        throw std::runtime_error(fmt::format("{} was not accepted: {}", id, answer.body));
    }

    pawl::http::client_request get;
    get.target = "/orders/" + id;
    answer = co_await server.request(std::move(get));
    const auto run = pawl::parse_run_id(pawl::codec<order_view>::decode(answer.body).run_id);
    if (answer.status != 200 || !run)
        throw std::runtime_error(fmt::format("{} cannot be found: {}", id, answer.body));
    order.run = *run;
}

std::string describe(const pawl::event& event)
{
    const auto from = to_string(static_cast<OrderStatus>(event.from));
    const auto to = to_string(static_cast<OrderStatus>(event.to));
    switch (event.kind) {
    case pawl::event_kind::started:
        return fmt::format("{}", to);
    case pawl::event_kind::checkpointed:
        return {}; // inside of a step
    case pawl::event_kind::repeated:
        return fmt::format("{}: again later", to);
    case pawl::event_kind::attempt_failed:
        return fmt::format("{}: {}", to, event.error);
    default:
        break;
    }
    return event.from == event.to ? fmt::format("{}: {}", to, to_string(event.kind))
                                  : fmt::format("{} -> {}", from, to);
}

std::vector<OrderStatus> all_but(OrderStatus status)
{
    std::vector<OrderStatus> others;
    for (int i = static_cast<int>(OrderStatus::Created); i <= static_cast<int>(OrderStatus::Refunded);
         ++i)
        if (static_cast<OrderStatus>(i) != status)
            others.push_back(static_cast<OrderStatus>(i));
    return others;
}

} // namespace
} // namespace order_processing
