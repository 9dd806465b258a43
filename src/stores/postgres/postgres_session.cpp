#include "pawl/postgres_session.hpp"

#include "stores/postgres/error.hpp"
#include "stores/postgres/transaction_sessions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>

namespace pawl {

namespace {

const PGresult* result_of(const std::shared_ptr<const void>& rows) noexcept
{
    return static_cast<const PGresult*>(rows.get());
}

} // namespace

std::size_t postgres_rows::size() const noexcept
{
    return result_ ? static_cast<std::size_t>(PQntuples(result_of(result_))) : 0;
}

std::size_t postgres_rows::columns() const noexcept
{
    return result_ ? static_cast<std::size_t>(PQnfields(result_of(result_))) : 0;
}

std::uint64_t postgres_rows::affected() const noexcept
{
    if (!result_)
        return 0;
    const std::string_view count = PQcmdTuples(const_cast<PGresult*>(result_of(result_)));
    std::uint64_t value = 0;
    std::from_chars(count.data(), count.data() + count.size(), value);
    return value;
}

std::optional<std::string_view> postgres_rows::text(std::size_t row, std::size_t column) const
{
    if (row >= size() || column >= columns())
        refuse(row, column, "does not exist");
    const auto* rows = result_of(result_);
    const int r = static_cast<int>(row);
    const int c = static_cast<int>(column);
    if (PQgetisnull(rows, r, c) != 0)
        return {};
    return std::string_view{PQgetvalue(rows, r, c),
                            static_cast<std::size_t>(PQgetlength(rows, r, c))};
}

void postgres_rows::refuse(std::size_t row, std::size_t column, const char* reason)
{
    throw error{errc::invalid_argument,
                fmt::format("postgres_rows: row {}, column {} {}", row, column, reason)};
}

namespace {

/// Removes leading white space and comments.
std::string_view trim_front(std::string_view sql)
{
    for (;;) {
        sql.remove_prefix(std::min(sql.find_first_not_of(" \t\r\n\f\v;"), sql.size()));
        if (sql.starts_with("--"))
            sql.remove_prefix(std::min(sql.find('\n'), sql.size()));
        else if (sql.starts_with("/*"))
            sql.remove_prefix(std::min(sql.find("*/"), sql.size() - 2) + 2);
        else
            return sql;
    }
}

/// Takes the next word of a statement, in upper case; empty when no word follows.
std::string take_word(std::string_view& sql)
{
    sql = trim_front(sql);
    std::string word;
    while (!sql.empty() && std::isalpha(static_cast<unsigned char>(sql.front()))) {
        word += static_cast<char>(std::toupper(static_cast<unsigned char>(sql.front())));
        sql.remove_prefix(1);
    }
    return word;
}

/// Whether a statement begins or ends a transaction; ROLLBACK TO a savepoint does neither.
bool controls_transactions(std::string_view sql)
{
    const auto first = take_word(sql);
    auto second = take_word(sql);
    if (first == "PREPARE")
        return second == "TRANSACTION";
    if (first == "ROLLBACK") {
        if (second == "WORK" || second == "TRANSACTION")
            second = take_word(sql);
        return second != "TO";
    }
    static constexpr std::string_view others[] = {"BEGIN", "START", "COMMIT", "END", "ABORT"};
    return std::ranges::find(others, first) != std::end(others);
}

/// Reports the failure of a statement of the application. Errors that neither the database nor a
/// temporary condition causes are the application's: invalid_argument.
[[noreturn]] void throw_to_application(const postgres::server_error& refused)
{
    static constexpr std::string_view others[] = {"40", "53", "55P03", "57", "58", "XX"};
    const auto code = refused.code();
    const bool is_servers_fault = std::ranges::any_of(
        others, [&](std::string_view prefix) { return refused.state().starts_with(prefix); });
    if (!is_servers_fault && (code == errc::store_corrupt || code == errc::store_unavailable))
        throw error{errc::invalid_argument, refused.detail()};
    throw refused;
}

} // namespace

boost::asio::awaitable<postgres_rows>
postgres_session::execute(std::string sql, std::vector<postgres_value> parameters)
{
    constexpr std::size_t max_parameters = 65'535;
    if (controls_transactions(sql))
        throw error{errc::invalid_argument,
                    fmt::format("postgres_session::execute: the function of postgres_transaction() "
                                "must not begin or end transactions: {}",
                                sql.substr(0, 80))};
    if (parameters.size() > max_parameters)
        throw error{errc::invalid_argument,
                    fmt::format("postgres_session::execute: {} parameters are more than {}",
                                parameters.size(), max_parameters)};
    postgres::result_pointer rows;
    std::optional<postgres::server_error> refused;
    try {
        rows = co_await session_->execute(std::move(sql), std::move(parameters));
    } catch (const postgres::server_error& failed) {
        refused = failed;
    }
    if (refused)
        throw_to_application(*refused);
    co_return postgres_rows{std::shared_ptr<const PGresult>{std::move(rows)}};
}

} // namespace pawl
