// An engine with orders, and the admin API over it, called without sockets.
#pragma once

#include "pawl/admin.hpp"
#include "pawl/builder.hpp"
#include "pawl/memory.hpp"
#include "pawl/testing/harness.hpp"

#include <boost/describe.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace admin_test {

namespace asio = boost::asio;
namespace http = pawl::http;
namespace json = boost::json;
using namespace std::chrono_literals;
using pawl::admin::identity;
using pawl::admin::role;

struct order {
    std::string customer;
    double amount = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (customer, amount))

struct approval {
    std::string by;
};
BOOST_DESCRIBE_STRUCT(approval, (), (by))

enum class stage { created = 1, checked, approved };
BOOST_DESCRIBE_ENUM(stage, created, checked, approved)

inline constexpr pawl::callback<approval> approve{"approve"};

/// An order without a customer fails, and pauses after two attempts.
inline pawl::step<stage::checked> check_order(pawl::run<order>& run)
{
    if (run.object().customer.empty())
        throw std::runtime_error("the order has no customer");
    co_return pawl::to<stage::checked>;
}

inline pawl::step<stage::approved> take_approval(pawl::run<order>& run, approval given)
{
    run.object().customer += " (approved by " + given.by + ")";
    co_return pawl::to<stage::approved>;
}

inline pawl::workflow<order, stage> orders()
{
    pawl::builder<order, stage> b{"orders"};
    b.step<stage::created>(check_order).retry({.initial = 1s, .max_attempts = 2});
    b.callback<stage::checked>(approve, take_approval);
    b.end<stage::approved>();
    return std::move(b).build();
}

/// Identifies everybody as one user.
class fixed_authenticator final : public pawl::admin::authenticator {
public:
    explicit fixed_authenticator(std::optional<role> granted) : granted_(granted) {}

    std::optional<identity> authenticate(const http::request&) override
    {
        if (!granted_)
            return std::nullopt;
        return identity{"ada", *granted_, "test"};
    }
    std::string challenge() const override { return "Test"; }

private:
    std::optional<role> granted_;
};

inline pawl::admin::api_options options_for(std::optional<role> granted)
{
    pawl::admin::api_options options;
    options.authenticator = std::make_shared<fixed_authenticator>(granted);
    return options;
}

/// An answer with its document.
struct answer {
    int status = 0;
    json::value body;
    http::response raw;

    std::string text(std::string_view pointer) const
    {
        json::error_code error;
        const auto* found = body.find_pointer({pointer.data(), pointer.size()}, error);
        if (found == nullptr)
            return "(no " + std::string{pointer} + " in " + raw.body + ")";
        return found->is_string() ? std::string{found->as_string()} : json::serialize(*found);
    }

    std::string header(std::string_view name) const
    {
        for (const auto& [key, value] : raw.headers)
            if (key == name)
                return value;
        return "";
    }
};

inline answer make_answer(http::response raw)
{
    answer out{.status = raw.status, .body = {}, .raw = std::move(raw)};
    json::error_code error;
    out.body = json::parse(out.raw.body, error);
    return out;
}

inline asio::awaitable<http::response> handle(const pawl::admin::api& api,
                                              http::client_request request, identity sender)
{
    auto answered = co_await api.handle(std::move(request), std::move(sender));
    co_return answered;
}

class world {
public:
    explicit world(pawl::admin::api_options options = options_for(role::admin))
        : bench_(orders(), {.real_time_timeout = 30s})
    {
        api_.emplace(bench_.engine().operations(), std::move(options));
    }

    /// What the API keeps of the engine must end before its execution context.
    ~world() { api_.reset(); }

    pawl::testing::harness<order, stage>& bench() { return bench_; }
    const pawl::admin::api& api() const { return *api_; }

    answer send(std::string method, std::string target, std::string body = "",
                role granted = role::admin,
                std::vector<std::pair<std::string, std::string>> headers = {})
    {
        http::client_request request{.method = std::move(method),
                                     .target = "/api/v1" + std::move(target),
                                     .body = std::move(body),
                                     .headers = std::move(headers)};
        auto answered =
            bench_.wait_for(handle(*api_, std::move(request), identity{"ada", granted, "test"}));
        bench_.run_until_idle();
        return make_answer(std::move(answered));
    }

    answer get(std::string target, role granted = role::admin)
    {
        return send("GET", std::move(target), "", granted);
    }

    /// Calls the route of a server, with its rules.
    answer call(const http::request& request, const std::string& pattern)
    {
        auto answered = bench_.wait_for(call_route(request, pattern));
        return make_answer(std::move(answered));
    }

    asio::awaitable<http::response> call_route(const http::request& request, std::string pattern)
    {
        for (const auto& route : api_->routes()) {
            if (route.method != request.method || route.pattern != pattern)
                continue;
            const auto handler = route.answer;
            auto answered = co_await handler(request);
            co_return answered;
        }
        throw std::runtime_error("there is no route " + request.method + " " + pattern);
    }

private:
    pawl::testing::harness<order, stage> bench_;
    std::optional<pawl::admin::api> api_;
};

/// A request as a server passes it to a handler, from a program on this machine.
inline http::request request_for(std::string method, std::string path)
{
    http::request request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.headers = {{"host", "localhost"}, {"content-type", "application/json"}};
    request.peer = "127.0.0.1";
    return request;
}

} // namespace admin_test
