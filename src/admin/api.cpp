#include "pawl/admin.hpp"

#include "admin/api_core.hpp"
#include "admin/console_routes.hpp"
#include "admin/refusal.hpp"
#include "http/on_exit.hpp"
#include "http/routes.hpp"
#include "http/target.hpp"
#include "http/text.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace pawl::admin {

using boost::asio::awaitable;

namespace detail {

std::vector<api_route> api_routes()
{
    auto all = read_routes();
    for (const auto& routes : {command_routes(), bulk_routes()})
        all.insert(all.end(), routes.begin(), routes.end());
    all.emplace_back("GET", stream_pattern, stream_permission, open_stream);
    return all;
}

http::response refuse(const api_core& core, const refusal& reason)
{
    if (core.options.on_refusal)
        core.options.on_refusal(reason.status(), reason.code());
    return make_problem(reason.status(), reason.code(), reason.what());
}

http::response json_response(std::string body)
{
    http::response answer;
    answer.body = std::move(body) + "\n";
    return answer;
}

awaitable<http::response> answer_route(shared_core core, api_route route,
                                       const http::request& message, identity sender)
{
    try {
        http::response answer = co_await route.answer(core, message, std::move(sender));
        co_return answer;
    } catch (const refusal& refused) {
        co_return make_problem(refused.status(), refused.code(), refused.what());
    } catch (const system_error& failure) {
        if (failure.code().category() != pawl_category())
            throw;
        co_return make_problem(failure, message.headers.contains("if-match"));
    }
}

awaitable<run_view> find_run(shared_core core, const http::request& message)
{
    const std::string text = message.captures.at("run");
    auto engine = core->engine;
    if (const auto id = parse_run_id(text)) {
        auto found = co_await engine.async_read(*id);
        if (!found)
            throw refusal(404, "not_found", fmt::format("there is no run {}", text));
        co_return std::move(*found);
    }
    const auto colon = text.find(':');
    if (colon == 0 || colon == text.npos || colon + 1 == text.size())
        throw refusal(404, "not_found",
                      fmt::format("'{}' is neither the id of a run nor WORKFLOW:FOREIGN_ID", text));
    run_filter filter;
    filter.workflow = text.substr(0, colon);
    filter.foreign_ids = {text.substr(colon + 1)};
    filter.limit = 1;
    auto page = co_await engine.async_list(std::move(filter));
    if (page.runs.empty())
        throw refusal(404, "not_found", fmt::format("there is no run of {}", text));
    co_return std::move(page.runs.front());
}

namespace {

void check(const api_options& options)
{
    const auto require = [](bool holds, const std::string& text) {
        if (!holds)
            throw definition_error("api_options::" + text);
    };
    const auto& prefix = options.prefix;
    require(options.authenticator != nullptr, "authenticator is required: see token_file()");
    require(prefix.empty() || (prefix.starts_with('/') && !prefix.ends_with('/')),
            fmt::format("prefix is '{}'; it must begin with a slash and not end with one", prefix));
    require(options.max_requests > 0, "max_requests is 0; it must be at least 1");
    require(options.max_streams > 0, "max_streams is 0; it must be at least 1");
    require(options.max_body > 0, "max_body is 0; it must be at least 1");
    require(options.max_failed_sign_ins > 0, "max_failed_sign_ins is 0; it must be at least 1");
    require(options.stream_interval > duration::zero(), "stream_interval must be above zero");
    require(options.stream_lifetime > duration::zero(), "stream_lifetime must be above zero");
}

/// Admits a request to its route, and answers it.
awaitable<http::response> answer_admitted(shared_core core, api_route route,
                                          const http::request& message)
{
    std::optional<http::response> refused;
    identity sender;
    try {
        sender = core->rules.admit(message, route.needed);
    } catch (const refusal& reason) {
        refused = refuse(*core, reason);
        const auto challenge = core->options.authenticator->challenge();
        if (reason.status() == 401 && !challenge.empty())
            refused->headers.emplace_back("WWW-Authenticate", challenge);
    }
    const bool is_stream = route.pattern == stream_pattern;
    const auto before = core->requests.fetch_add(1);
    const http::detail::on_exit leaving([core] { core->requests.fetch_sub(1); });
    if (!refused && !is_stream && before >= core->options.max_requests)
        refused = refuse(*core, refusal{503, "overloaded", "too many requests are in progress"});
    http::response answer;
    if (refused)
        answer = std::move(*refused);
    else
        answer = co_await answer_route(core, route, message, std::move(sender));
    add_security_headers(answer);
    co_return answer;
}

/// For the table of in-process requests, which only finds routes.
awaitable<http::response> never_called(const http::request&)
{
    co_return http::response{};
}

} // namespace
} // namespace detail

class api::impl {
public:
    impl(operations core, api_options options)
        : core_(std::make_shared<detail::api_core>(std::move(core), std::move(options))),
          routes_(detail::api_routes()), table_(patterns())
    {
    }

    std::vector<http::route> routes() const
    {
        std::vector<http::route> all;
        for (const auto& route : routes_) {
            auto answer = [core = core_, route](const http::request& message) {
                return detail::answer_admitted(core, route, message);
            };
            const bool is_stream = route.pattern == detail::stream_pattern;
            all.push_back({.method = std::string{route.method},
                           .pattern = path_of(route),
                           .answer = std::move(answer),
                           .max_requests = is_stream ? core_->options.max_streams : 0});
        }
        if (core_->options.has_console)
            for (auto& route : detail::console_routes(core_))
                all.push_back(std::move(route));
        return all;
    }

    /// @param self Keeps the object alive.
    static awaitable<http::response> handle(std::shared_ptr<const impl> self,
                                            http::client_request request, identity sender)
    {
        auto target = http::detail::parse_target(request.target);
        http::detail::route_match match;
        if (target && target->repeated.empty())
            match = self->table_.find(request.method, target->segments);
        if (match.answer == nullptr)
            co_return detail::make_problem(404, "not_found",
                                           "there is nothing at " + request.target);
        http::request message;
        message.method = std::move(request.method);
        message.path = std::move(target->path);
        message.query = std::move(target->query);
        message.captures = std::move(match.captures);
        for (auto& [name, value] : request.headers)
            message.headers.emplace(http::detail::to_lower(name), std::move(value));
        message.body = std::move(request.body);
        message.user = sender.name;
        message.peer = "process";
        const auto route = std::ranges::find_if(self->routes_, [&](const detail::api_route& known) {
            return known.method == message.method && self->path_of(known) == match.pattern;
        });
        if (route == self->routes_.end() || route->pattern == detail::stream_pattern)
            co_return detail::make_problem(404, "not_found",
                                           "there is nothing at " + request.target);
        try {
            detail::check_permission(sender, route->needed);
        } catch (const detail::refusal& refused) {
            co_return detail::refuse(*self->core_, refused);
        }
        auto answer =
            co_await detail::answer_route(self->core_, *route, message, std::move(sender));
        co_return answer;
    }

private:
    std::string path_of(const detail::api_route& route) const
    {
        return core_->options.prefix + std::string{detail::api_path} + std::string{route.pattern};
    }

    std::vector<http::route> patterns() const
    {
        std::vector<http::route> all;
        for (const auto& route : routes_)
            all.push_back({.method = std::string{route.method},
                           .pattern = path_of(route),
                           .answer = detail::never_called});
        return all;
    }

    std::shared_ptr<detail::api_core> core_;
    std::vector<detail::api_route> routes_;
    http::detail::route_table table_;
};

api::api(operations core, api_options options)
{
    detail::check(options);
    impl_ = std::make_shared<const impl>(std::move(core), std::move(options));
}

std::vector<http::route> api::routes() const
{
    return impl_->routes();
}

awaitable<http::response> api::handle(http::client_request request, identity sender) const
{
    return impl::handle(impl_, std::move(request), std::move(sender));
}

} // namespace pawl::admin
