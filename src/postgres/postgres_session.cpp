#include "pawl/postgres_session.hpp"

#include "postgres/transaction_sessions.hpp"

#include <fmt/format.h>

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

void postgres_rows::refuse(std::size_t row, std::size_t column, const char* why)
{
    throw error{errc::invalid_argument,
                fmt::format("postgres_rows: row {}, column {} {}", row, column, why)};
}

boost::asio::awaitable<postgres_rows>
postgres_session::execute(std::string sql, std::vector<postgres_value> parameters)
{
    auto rows = co_await session_->execute(std::move(sql), std::move(parameters));
    if (session_->status() == PQTRANS_IDLE)
        throw error{errc::invalid_argument,
                    "postgres_transaction: a statement of the function has ended the transaction"};
    co_return postgres_rows{std::shared_ptr<const PGresult>{std::move(rows)}};
}

} // namespace pawl
