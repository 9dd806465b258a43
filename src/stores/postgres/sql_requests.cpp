#include "stores/postgres/sql_requests.hpp"

#include "pawl/postgres_requests.hpp"
#include "stores/postgres/error.hpp"
#include "stores/postgres/result.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

/// As the variable `longest` of the function take_requests().
constexpr duration longest_lease = std::chrono::seconds{60};

} // namespace

/// When the answer is lost, the statement is sent again; what the first one has taken waits for the
/// end of the lease.
asio::awaitable<std::vector<stored_request>> sql_requests::take(std::vector<std::string> workflows,
                                                                std::size_t limit, duration lease)
{
    auto rows = co_await sessions_->run(
        statements_->take_requests(workflows, limit, std::min(lease, longest_lease)));
    co_return queries::read_requests(std::move(rows));
}

asio::awaitable<void> sql_requests::settle(std::vector<std::uint64_t> done,
                                           std::vector<std::uint64_t> failed, duration delay)
{
    co_await sessions_->run(
        statements_->settle_requests(done, failed, std::min(delay, longest_lease)));
}

} // namespace pawl::postgres

namespace pawl::detail {

void store_request(pg_conn* connection, const sql_request& request,
                   const postgres_request_options& options)
{
    const auto check = [](const std::string& text, const char* name) {
        if (text.find('\0') != std::string::npos)
            throw error{errc::invalid_argument, fmt::format("{} contains a NUL", name)};
    };
    check(request.workflow, "the name of the workflow");
    check(request.foreign_id, "the foreign id");
    check(request.callback, "the name of the callback");
    check(options.idempotency_key, "postgres_request_options::idempotency_key");
    if (options.schema.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") !=
        std::string::npos)
        throw error{errc::invalid_argument,
                    fmt::format("postgres_request_options::schema is \"{}\"; it must have "
                                "lower-case letters, digits and '_'",
                                options.schema)};
    const bool is_start = request.callback.empty();
    const auto version = std::to_string(request.version);
    check(request.payload, is_start ? "the object" : "the payload");
    const std::array values{request.workflow.c_str(),
                            request.foreign_id.c_str(),
                            is_start ? nullptr : request.callback.c_str(),
                            request.payload.c_str(),
                            options.idempotency_key.c_str(),
                            version.c_str()};
    const auto sql = fmt::format(
        "SELECT {}.store_request('{}', $1::text, $2::text, $3::text, $4::json, $5::text, "
        "$6::bigint)",
        postgres::quoted(options.schema), is_start ? "start" : "send");
    const postgres::result_pointer result{PQexecParams(connection, sql.c_str(),
                                                       static_cast<int>(values.size()), nullptr,
                                                       values.data(), nullptr, nullptr, 0)};
    if (PQresultStatus(result.get()) != PGRES_TUPLES_OK)
        postgres::throw_result_error(connection, result.get(), "the connection of the program",
                                     "storing a request");
}

} // namespace pawl::detail
