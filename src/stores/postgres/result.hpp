#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pawl::postgres {

struct free_result {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using result_pointer = std::unique_ptr<PGresult, free_result>;

/// The rows of a statement, in binary. Columns are read one after another.
///
///     while (rows.next()) { rows.read(a); rows.read(b); }
class result {
public:
    result() = default;

    /// `server`, the name for errors, must outlive the result.
    result(result_pointer rows, std::string_view server) : rows_(std::move(rows)), server_(server)
    {
    }

    int size() const noexcept { return rows_ ? PQntuples(rows_.get()) : 0; }
    [[noreturn]] void throw_corrupt(std::string_view problem) const;

    /// Moves to the next row, first to row 0; false after the last.
    bool next() noexcept;

    // Each function reads the next column and throws error (store_corrupt) if its type is another.
    bool is_null() const noexcept;
    void skip() noexcept { ++column_; }
    std::int64_t integer(); ///< of int2, int4 and int8
    bool boolean();
    std::string_view bytes(); ///< empty for NULL; good while the result lives
    run_id id();              ///< the null id for NULL

    template <typename Number>
    void read(Number& value)
    {
        const auto stored = integer();
        if (!std::in_range<Number>(stored))
            throw_corrupt("a number is out of its range");
        value = static_cast<Number>(stored);
    }
    void read(bool& value) { value = boolean(); }
    void read(std::string& value) { value = bytes(); }
    void read(run_id& value) { value = id(); }
    void read(time_point& value) { value = time_point{duration{integer()}}; }
    void read(std::optional<time_point>& value);

private:
    result_pointer rows_;
    std::string_view server_;
    int row_ = -1;
    int column_ = 0;
};

} // namespace pawl::postgres
