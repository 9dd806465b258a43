#include "cli/transport.hpp"

#include "pawl/admin.hpp"
#include "pawl/engine.hpp"
#include "pawl/error.hpp"
#ifdef PAWL_CLI_POSTGRES
#include "pawl/postgres.hpp"
#endif
#ifdef PAWL_CLI_SQLITE
#include "pawl/sqlite.hpp"
#endif

#include <fmt/format.h>

#include <filesystem>
#include <optional>

namespace pawl::cli {

using boost::asio::any_io_executor;
using boost::asio::awaitable;

namespace {

constexpr std::string_view api_path = "/api/v1";

class http_transport final : public transport {
public:
    http_transport(any_io_executor executor, const endpoint& where)
        : prefix_(where.prefix), client_(std::move(executor), where.url, options_for(where))
    {
    }

    awaitable<api_answer> send(http::client_request request) override
    {
        request.target = prefix_ + std::string{api_path} + request.target;
        try {
            auto got = co_await client_.request(std::move(request));
            co_return api_answer{got.status, std::move(got.body)};
        } catch (const http::client_error& failure) {
            if (failure.kind() == http::failure::not_sent)
                throw unreachable(failure.what());
            throw; // it may have had an effect
        }
    }

    awaitable<void> close() override { co_return; }

private:
    static http::client_options options_for(const endpoint& where)
    {
        http::client_options options;
        options.timeout = std::chrono::seconds{60};
        options.body_limit = 64 * 1024 * 1024;
        options.ca_file = where.ca_file;
        if (!where.token.empty())
            options.headers.emplace_back("Authorization", "Bearer " + where.token);
        return options;
    }

    std::string prefix_;
    http::client client_;
};

bool is_postgres(const std::string& database)
{
    return database.starts_with("postgres://") || database.starts_with("postgresql://");
}

std::shared_ptr<record_store> open_store(const any_io_executor& executor,
                                         const std::string& database)
{
    if (is_postgres(database)) {
#ifdef PAWL_CLI_POSTGRES
        return open_postgres(executor, database);
#else
        (void)executor;
        throw unreachable("this pawl was built without PostgreSQL");
#endif
    }
#ifdef PAWL_CLI_SQLITE
    if (!std::filesystem::exists(database)) // opening would create it
        throw unreachable(fmt::format("there is no database file '{}'", database));
    return open_sqlite(database);
#else
    throw unreachable("this pawl was built without SQLite");
#endif
}

/// Whoever can open the database may do everything.
admin::identity identity_of(const endpoint& where)
{
    return {where.user.empty() ? "unknown" : where.user, admin::role::admin, "database"};
}

/// The API is not served, so nobody else is identified.
class no_authenticator final : public admin::authenticator {
public:
    std::optional<admin::identity> authenticate(const http::request&) override
    {
        return std::nullopt;
    }
};

class database_transport final : public transport {
public:
    database_transport(const any_io_executor& executor, const endpoint& where)
        : sender_(identity_of(where)),
          engine_(executor, {.store = open_store(executor, where.database),
                             .name = "pawl-cli",
                             .client_only = true,
                             .log = {}})
    {
    }

    awaitable<api_answer> send(http::client_request request) override
    {
        if (!api_)
            co_await start();
        request.target.insert(0, api_path);
        auto got = co_await api_->handle(std::move(request), sender_);
        co_return api_answer{got.status, std::move(got.body)};
    }

    awaitable<void> close() override
    {
        api_.reset();
        co_await engine_.async_stop(std::chrono::seconds{1});
    }

private:
    awaitable<void> start()
    {
        try {
            co_await engine_.async_start();
        } catch (const system_error& failure) {
            throw unreachable(fmt::format("the database cannot be opened: {}", failure.what()));
        }
        admin::api_options options;
        options.authenticator = std::make_shared<no_authenticator>();
        api_.emplace(engine_.operations(), std::move(options));
    }

    admin::identity sender_;
    pawl::engine engine_;
    std::optional<admin::api> api_;
};

} // namespace

std::unique_ptr<transport> make_transport(any_io_executor executor, endpoint where)
{
    if (where.database.empty())
        return std::make_unique<http_transport>(std::move(executor), where);
    try {
        return std::make_unique<database_transport>(executor, where);
    } catch (const system_error& failure) {
        throw unreachable(fmt::format("the database cannot be opened: {}", failure.what()));
    }
}

} // namespace pawl::cli
