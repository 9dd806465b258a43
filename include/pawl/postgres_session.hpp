#pragma once

#include <boost/asio/awaitable.hpp>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl {

/// A parameter of a statement: NULL, or a text whose type the server infers. Made implicitly of
/// texts, numbers, bool, std::nullopt and std::optional of these.
class postgres_value {
public:
    postgres_value(std::nullopt_t) {}
    postgres_value(std::string text) : text_(std::move(text)) {}
    postgres_value(std::string_view text) : text_(text) {}
    postgres_value(const char* text) : text_(text) {}
    postgres_value(std::same_as<bool> auto value) : text_(value ? "t" : "f") {}

    template <class Number>
        requires(std::integral<Number> || std::floating_point<Number>) &&
                (!std::same_as<Number, bool>)
    postgres_value(Number value)
    {
        char digits[64];
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        text_.emplace(digits, end);
    }

    template <class Value>
    postgres_value(const std::optional<Value>& value)
    {
        if (value)
            text_ = postgres_value{*value}.text_;
    }

    /// Null for NULL. Valid while the value lives.
    const char* text() const noexcept { return text_ ? text_->c_str() : nullptr; }

private:
    std::optional<std::string> text_;
};

/// The result of a statement: rows of texts. Rows and columns are numbered from 0. A copy shares
/// the result.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class postgres_rows {
public:
    postgres_rows() = default;

    std::size_t size() const noexcept; ///< number of rows
    std::size_t columns() const noexcept;

    /// The number of rows that the statement inserted, updated, deleted or selected.
    std::uint64_t affected() const noexcept;

    /// The value as PostgreSQL writes it; without a value for NULL. Valid while the rows live.
    ///
    /// Errors: throws pawl::error (invalid_argument) if the row or column does not exist.
    std::optional<std::string_view> text(std::size_t row, std::size_t column = 0) const;

    /// The value as a T: std::string, bool, or a number.
    ///
    /// Errors: throws pawl::error (invalid_argument), naming row and column, if the row or column
    /// does not exist, or if the value is NULL or not a T.
    template <class T>
    T get(std::size_t row, std::size_t column = 0) const
    {
        const auto found = text(row, column);
        if (!found)
            refuse(row, column, "is NULL");
        if constexpr (std::same_as<T, std::string>) {
            return std::string{*found};
        } else if constexpr (std::same_as<T, bool>) {
            if (*found != "t" && *found != "f")
                refuse(row, column, "is not a boolean");
            return *found == "t";
        } else {
            static_assert(std::integral<T> || std::floating_point<T>,
                          "postgres_rows::get() gives std::string, bool, and numbers");
            T value{};
            const auto* end = found->data() + found->size();
            const auto read = std::from_chars(found->data(), end, value);
            if (read.ec != std::errc{} || read.ptr != end)
                refuse(row, column, "is not a number of this type");
            return value;
        }
    }

    /// Made by postgres_session.
    explicit postgres_rows(std::shared_ptr<const void> result) : result_(std::move(result)) {}

private:
    [[noreturn]] static void refuse(std::size_t row, std::size_t column, const char* reason);

    std::shared_ptr<const void> result_; ///< libpq's
};

namespace postgres {
class transaction_session;
}

/// The session in which the transaction of postgres_transaction() is open. Valid until the function
/// that was given it has returned.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe; one statement at a time.
class postgres_session {
public:
    /// Executes one statement. `$1`, `$2`, … stand for the parameters.
    ///
    /// @code
    /// const auto rows = co_await session.execute(
    ///     "INSERT INTO entries (account, amount) VALUES ($1, $2) RETURNING entry",
    ///     {account, amount});
    /// const auto entry = rows.get<std::int64_t>(0);
    /// @endcode
    ///
    /// Completes: on the caller's executor, when the server has answered.
    ///
    /// Errors: pawl::error with the server's text: invalid_argument — the statement, a value, or a
    /// constraint; store_access_denied — missing rights; store_unavailable — the connection was
    /// lost, or a time limit exceeded, which the text names; others as listed at open_postgres().
    /// After an error the transaction cannot commit, unless `fn` rolls back to a savepoint.
    ///
    /// Cancellation: none; `statement_timeout` and `lock_timeout` limit the statement.
    boost::asio::awaitable<postgres_rows> execute(std::string sql,
                                                  std::vector<postgres_value> parameters = {});

    /// Made by the store.
    explicit postgres_session(postgres::transaction_session& session) noexcept : session_(&session)
    {
    }

private:
    postgres::transaction_session* session_;
};

} // namespace pawl
