#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <libpq-fe.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// PostgreSQL's binary formats, for sending. Source: its manual, "Frontend/Backend Protocol", and
// the send and receive functions of its types.
namespace pawl::postgres {

/// Unsigned numbers are stored in signed columns; larger ones become the maximum.
constexpr std::int64_t clamp(std::uint64_t number) noexcept
{
    constexpr std::uint64_t greatest = INT64_MAX;
    return static_cast<std::int64_t>(number < greatest ? number : greatest);
}

/// The 16 bytes of `id`, which must outlive the view.
std::string_view as_text(const run_id& id);

void append_int2(std::string& bytes, std::int16_t value);
void append_int4(std::string& bytes, std::int32_t value);
void append_int8(std::string& bytes, std::int64_t value);

/// The parameters of a statement.
class parameters {
public:
    parameters& int4(std::int32_t value);
    parameters& int8(std::int64_t value);
    parameters& boolean(bool value);
    parameters& time(time_point value) { return int8(value.time_since_epoch().count()); }
    parameters& bytes(std::string_view value);
    parameters& id(const run_id& value);
    parameters& null();
    parameters& int4_array(const std::vector<std::int32_t>& values);
    parameters& int8_array(const std::vector<std::int64_t>& values);
    parameters& id_array(const std::vector<run_id>& values);
    parameters& bytes_array(const std::vector<std::string>& values);
    parameters& text_array(const std::vector<std::string>& values);

    int count() const noexcept { return static_cast<int>(ranges_.size()); }
    std::size_t size() const noexcept { return buffer_.size(); }

    /// Calls `use(values, lengths, formats)`, arrays as libpq takes them.
    template <typename Use>
    auto as_arrays(Use use) const
    {
        std::vector<const char*> values;
        std::vector<int> lengths;
        for (const value_range& range : ranges_) {
            values.push_back(range.is_null ? nullptr : buffer_.data() + range.begin);
            lengths.push_back(static_cast<int>(range.length));
        }
        const std::vector<int> formats(ranges_.size(), 1);
        return use(values.data(), lengths.data(), formats.data());
    }

private:
    struct value_range {
        std::size_t begin = 0;
        std::size_t length = 0;
        bool is_null = false;
    };

    template <typename Append>
    parameters& add(Append append);

    std::string buffer_;
    std::vector<value_range> ranges_;
};

/// An array of a composite type, built row by row. Fields are added in the order of the type.
class row_array {
public:
    row_array(Oid element, int fields);

    /// Begins a row, and ends the previous one.
    row_array& row();

    row_array& int2(std::int16_t value);
    row_array& int4(std::int32_t value);
    row_array& int8(std::int64_t value);
    row_array& boolean(bool value);
    row_array& id(const run_id& value);
    row_array& bytes(std::string_view value);
    row_array& text(std::string_view value);
    row_array& time(time_point value) { return int8(value.time_since_epoch().count()); }
    row_array& time(const std::optional<time_point>& value);

    /// NULL when the value is empty.
    row_array& bytes_or_null(std::string_view value);

    bool empty() const noexcept { return rows_ == 0; }

    /// Ends the array; nothing may be added afterwards.
    std::string_view finish();

private:
    void end_row();
    void begin_field(std::uint32_t type, std::int32_t length);

    std::string bytes_;
    const int fields_;
    int rows_ = 0;
    std::size_t row_begin_ = 0;
};

} // namespace pawl::postgres
