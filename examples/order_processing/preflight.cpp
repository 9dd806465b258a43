#include "preflight.hpp"

#include "pawl/error.hpp"
#include "pawl/http/client.hpp"
#include "store.hpp"

#include <fmt/format.h>

#include <exception>
#include <stdexcept>
#include <utility>

namespace order_processing {
namespace {

using boost::asio::any_io_executor;
using boost::asio::awaitable;

/// Adds a finding; an exception of `look` is its problem.
template <class Look>
void add(std::vector<finding>& findings, std::string subject, const Look& look)
{
    finding added{std::move(subject), {}};
    try {
        look();
    } catch (const std::exception& error) {
        added.problem = error.what();
    }
    findings.push_back(std::move(added));
}

awaitable<void> read_database(any_io_executor executor, std::string db)
{
    const auto store = open_store(std::move(executor), db);
    pawl::record_query query;
    query.limit = 1;
    co_await store->list(query);
}

awaitable<void> ask_service(any_io_executor executor, std::string url, std::string token,
                            server_settings settings)
{
    pawl::http::client client{
        std::move(executor), url,
        client_options_of(url, settings.orders.request_timeout, 1, token, settings.access)};
    pawl::http::client_request get;
    const auto answer = co_await client.request(std::move(get));
    if (answer.status == 401 || answer.status == 403)
        throw std::runtime_error(
            fmt::format("it answers {}: {}", answer.status,
                        token.empty() ? "it needs a token" : "it does not know the token"));
}

awaitable<finding> find_out(std::string subject, awaitable<void> look)
{
    finding found{std::move(subject), {}};
    try {
        co_await std::move(look);
    } catch (const std::exception& error) {
        found.problem = error.what();
    }
    co_return found;
}

} // namespace

void check_service(const std::string& name, const std::string& url, bool mock)
{
    const auto flag = "--" + name + "-url";
    if (url.empty() && !mock)
        throw pawl::definition_error{"the " + name + " service has no URL (" + flag +
                                     "), and is not mocked (--demo)"};
    if (!url.empty() && mock)
        throw pawl::definition_error{"the " + name + " service has a URL (" + flag +
                                     "), and is mocked (--demo): give one of both"};
}

access_rules read_access_rules(const server_settings& settings)
{
    access_rules rules;
    if (!settings.operator_tokens_file.empty())
        rules.operators = token_set{settings.operator_tokens_file};
    if (settings.customer_tokens_file.empty())
        return rules;
    if (rules.operators.empty())
        throw pawl::definition_error{"customers need tokens (--customer-tokens), and operators do "
                                     "not: give --operator-tokens, too"};
    rules.customers = token_set{settings.customer_tokens_file};
    return rules;
}

pawl::http::server_options listen_options(const server_settings& settings)
{
    pawl::http::server_options options;
    options.address = settings.address;
    options.port = settings.port;
    options.hosts = settings.hosts;
    options.certificate_chain_file = settings.certificate_chain_file;
    options.private_key_file = settings.private_key_file;
    options.log = settings.log;
    return options;
}

awaitable<std::vector<finding>> check_settings(any_io_executor executor, server_settings settings)
{
    std::vector<finding> found;
    add(found, "the options of orders", [&] { check(settings.orders); });
    add(found, "the files of tokens", [&] { read_access_rules(settings); });
    add(found, "the address " + settings.address + ", the certificate and its key", [&] {
        auto options = listen_options(settings);
        options.port = 0; // a running server may use the configured port
        pawl::http::server{executor, {}, std::move(options)};
    });
    // The URI may contain a password.
    const auto shown_db = is_postgres(settings.db) ? std::string{"in PostgreSQL"} : settings.db;
    auto database =
        co_await find_out("the database " + shown_db, read_database(executor, settings.db));
    found.push_back(std::move(database));

    struct service {
        std::string name;
        std::string url;
        std::string token;
        bool mock;
    };
    const std::vector<service> all{{"payment", settings.services.payment,
                                    settings.access.payment_token, settings.mocks.payment},
                                   {"inventory", settings.services.inventory,
                                    settings.access.inventory_token, settings.mocks.inventory},
                                   {"shipping", settings.services.shipping,
                                    settings.access.shipping_token, settings.mocks.shipping}};
    for (const auto& target : all) {
        const auto subject = "the " + target.name + " service " + target.url;
        if (target.url.empty() || target.mock) {
            add(found, subject + (target.mock ? "(mock)" : ""),
                [&] { check_service(target.name, target.url, target.mock); });
            continue;
        }
        auto service_finding =
            co_await find_out(subject, ask_service(executor, target.url, target.token, settings));
        found.push_back(std::move(service_finding));
    }
    co_return found;
}

} // namespace order_processing
