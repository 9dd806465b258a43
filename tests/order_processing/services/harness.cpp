#include "order_processing/services/harness.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/json/parse.hpp>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <limits>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

namespace order_processing::testing {

namespace asio = boost::asio;
namespace json = boost::json;
using pawl::http::request;
using pawl::http::response;
using pawl::http::route;

namespace {

std::vector<std::string> split(const std::string& text, char separator)
{
    std::vector<std::string> parts{""};
    for (const char c : text) {
        if (c == separator)
            parts.emplace_back();
        else
            parts.back().push_back(c);
    }
    return parts;
}

/// Fills the captures in when the path fits the pattern.
bool fits(const std::string& pattern, request& asked)
{
    const auto wanted = split(pattern, '/');
    const auto given = split(asked.path, '/');
    if (wanted.size() != given.size())
        return false;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (wanted[i].starts_with('{'))
            asked.captures[wanted[i].substr(1, wanted[i].size() - 2)] = given[i];
        else if (wanted[i] != given[i])
            return false;
    }
    return true;
}

request make_request(const std::string& method, const std::string& target, const std::string& body,
                     const std::string& key, const std::string& content_type)
{
    request asked;
    asked.method = method;
    asked.path = target.substr(0, target.find('?'));
    asked.body = body;
    if (!key.empty())
        asked.headers["idempotency-key"] = key;
    if (!body.empty())
        asked.headers["content-type"] = content_type;
    if (asked.path.size() < target.size())
        for (const auto& pair : split(target.substr(asked.path.size() + 1), '&'))
            asked.query[pair.substr(0, pair.find('='))] = pair.substr(pair.find('=') + 1);
    return asked;
}

reply to_reply(const response& answer)
{
    reply read{.status = answer.status, .text = answer.body, .content_type = answer.content_type};
    read.body = json::parse(answer.body);
    for (const auto& [name, value] : answer.headers)
        read.replayed = read.replayed || (name == "Idempotent-Replay" && value == "true");
    return read;
}

} // namespace

std::string reply::string(std::string_view member) const
{
    const auto* found = body.as_object().if_contains({member.data(), member.size()});
    return found != nullptr && found->is_string() ? found->as_string().c_str() : "";
}

double reply::number(std::string_view member) const
{
    const auto* found = body.as_object().if_contains({member.data(), member.size()});
    return found != nullptr && found->is_number() ? found->to_number<double>()
                                                  : std::numeric_limits<double>::quiet_NaN();
}

bool reply::detail_has(std::string_view words) const
{
    return content_type == "application/problem+json" &&
           string("detail").find(words) != std::string::npos;
}

called_service::called_service(std::string name, make_routes& routes,
                               std::shared_ptr<services::ledger> books)
{
    auto owner = std::make_shared<services::service>();
    owner->name = std::move(name);
    owner->books_of_all = std::move(books);
    routes_ = routes(owner);
}

reply called_service::call(const std::string& method, const std::string& target,
                           const std::string& body, const std::string& key)
{
    return call_at_once(1, method, target, body, key).front();
}

std::vector<reply> called_service::call_at_once(int count, const std::string& method,
                                                const std::string& target, const std::string& body,
                                                const std::string& key)
{
    auto asked = make_request(method, target, body, key, content_type);
    const route* found = nullptr;
    for (const auto& each : routes_)
        if (each.method == method && fits(each.pattern, asked))
            found = &each;
    if (found == nullptr)
        throw std::invalid_argument("no route for " + method + " " + target);

    struct outcome {
        std::exception_ptr failure;
        response answer;
    };
    std::vector<outcome> outcomes(static_cast<std::size_t>(count));
    for (auto& each : outcomes)
        asio::co_spawn(context_, found->answer(asked),
                       [&each](std::exception_ptr failure, response answer) {
                           each = {std::move(failure), std::move(answer)};
                       });
    context_.restart();
    {
        std::vector<std::jthread> others;
        for (int i = 1; i < std::min(count, 4); ++i)
            others.emplace_back([this] { context_.run(); });
        context_.run();
    }
    std::vector<reply> replies;
    for (const auto& each : outcomes) {
        if (each.failure)
            std::rethrow_exception(each.failure);
        replies.push_back(to_reply(each.answer));
    }
    return replies;
}

std::vector<json::object> called_service::entries(const std::string& query)
{
    std::vector<json::object> found;
    const auto page = call("GET", "/ledger" + query);
    for (const auto& each : page.body.at("entries").as_array())
        found.push_back(each.as_object());
    return found;
}

std::string called_service::kinds()
{
    std::string all;
    for (const auto& each : entries())
        all += (all.empty() ? "" : " ") + std::string{each.at("kind").as_string().c_str()};
    return all;
}

called_services::called_services(const std::string& file)
    : books(std::make_shared<services::ledger>(file, std::chrono::milliseconds{0})),
      payment("payment", services::payment_routes, books),
      inventory("inventory", services::inventory_routes, books),
      shipping("shipping", services::shipping_routes, books)
{
}

temporary_directory::temporary_directory()
{
    auto pattern = (std::filesystem::temp_directory_path() / "pawl-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
        throw std::runtime_error("no temporary directory can be made");
    path_ = pattern;
}

temporary_directory::~temporary_directory()
{
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string temporary_directory::file(std::string_view name) const
{
    return (path_ / name).string();
}

} // namespace order_processing::testing
