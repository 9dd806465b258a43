#include "stores/postgres/encode.hpp"

#include <boost/endian/conversion.hpp>

namespace pawl::postgres {

namespace {

// The object ids of PostgreSQL's own types, which never change.
constexpr std::uint32_t bool_type = 16;
constexpr std::uint32_t bytea_type = 17;
constexpr std::uint32_t int8_type = 20;
constexpr std::uint32_t int2_type = 21;
constexpr std::uint32_t int4_type = 23;
constexpr std::uint32_t text_type = 25;
constexpr std::uint32_t uuid_type = 2950;

template <typename Number>
void append_big(std::string& bytes, Number value)
{
    boost::endian::native_to_big_inplace(value);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Appends the head of an array: number of dimensions, whether it has NULLs, element type; then the
/// length and lower bound of the dimension.
void append_array_head(std::string& bytes, std::uint32_t type, std::size_t length)
{
    append_int4(bytes, length > 0 ? 1 : 0);
    append_int4(bytes, 0);
    append_big(bytes, type);
    if (length > 0) {
        append_int4(bytes, static_cast<std::int32_t>(length));
        append_int4(bytes, 1);
    }
}

void append_texts(std::string& bytes, std::uint32_t type, const std::vector<std::string>& values)
{
    append_array_head(bytes, type, values.size());
    for (const auto& value : values) {
        append_int4(bytes, static_cast<std::int32_t>(value.size()));
        bytes.append(value);
    }
}

constexpr std::size_t array_length_offset = 12;

constexpr std::int32_t null_length = -1;

} // namespace

std::string_view as_text(const run_id& id)
{
    return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

void append_int2(std::string& bytes, std::int16_t value)
{
    append_big(bytes, value);
}

void append_int4(std::string& bytes, std::int32_t value)
{
    append_big(bytes, value);
}

void append_int8(std::string& bytes, std::int64_t value)
{
    append_big(bytes, value);
}

template <typename Append>
parameters& parameters::add(Append append)
{
    value_range added{.begin = buffer_.size()};
    append(buffer_);
    added.length = buffer_.size() - added.begin;
    ranges_.push_back(added);
    return *this;
}

parameters& parameters::int4(std::int32_t value)
{
    return add([value](std::string& out) { append_int4(out, value); });
}

parameters& parameters::int8(std::int64_t value)
{
    return add([value](std::string& out) { append_int8(out, value); });
}

parameters& parameters::boolean(bool value)
{
    return add([value](std::string& out) { out.push_back(value ? 1 : 0); });
}

parameters& parameters::bytes(std::string_view value)
{
    return add([value](std::string& out) { out.append(value); });
}

parameters& parameters::id(const run_id& value)
{
    return bytes(as_text(value));
}

parameters& parameters::null()
{
    ranges_.push_back({.is_null = true});
    return *this;
}

parameters& parameters::int4_array(const std::vector<std::int32_t>& values)
{
    return add([&values](std::string& out) {
        append_array_head(out, int4_type, values.size());
        for (const auto value : values) {
            append_int4(out, 4);
            append_int4(out, value);
        }
    });
}

parameters& parameters::int8_array(const std::vector<std::int64_t>& values)
{
    return add([&values](std::string& out) {
        append_array_head(out, int8_type, values.size());
        for (const auto value : values) {
            append_int4(out, 8);
            append_int8(out, value);
        }
    });
}

parameters& parameters::id_array(const std::vector<run_id>& values)
{
    return add([&values](std::string& out) {
        append_array_head(out, uuid_type, values.size());
        for (const auto& value : values) {
            append_int4(out, 16);
            out.append(as_text(value));
        }
    });
}

parameters& parameters::bytes_array(const std::vector<std::string>& values)
{
    return add([&values](std::string& out) { append_texts(out, bytea_type, values); });
}

parameters& parameters::text_array(const std::vector<std::string>& values)
{
    return add([&values](std::string& out) { append_texts(out, text_type, values); });
}

row_array::row_array(Oid element, int fields) : fields_(fields)
{
    append_array_head(bytes_, element, 1);
}

void row_array::end_row()
{
    if (rows_ == 0)
        return;
    const auto length = static_cast<std::int32_t>(bytes_.size() - row_begin_);
    boost::endian::store_big_s32(
        reinterpret_cast<unsigned char*>(bytes_.data() + row_begin_ - sizeof length), length);
}

row_array& row_array::row()
{
    end_row();
    ++rows_;
    append_int4(bytes_, 0); // the row's length
    row_begin_ = bytes_.size();
    append_int4(bytes_, fields_);
    return *this;
}

void row_array::begin_field(std::uint32_t type, std::int32_t length)
{
    append_big(bytes_, type);
    append_int4(bytes_, length);
}

row_array& row_array::int2(std::int16_t value)
{
    begin_field(int2_type, 2);
    append_int2(bytes_, value);
    return *this;
}

row_array& row_array::int4(std::int32_t value)
{
    begin_field(int4_type, 4);
    append_int4(bytes_, value);
    return *this;
}

row_array& row_array::int8(std::int64_t value)
{
    begin_field(int8_type, 8);
    append_int8(bytes_, value);
    return *this;
}

row_array& row_array::boolean(bool value)
{
    begin_field(bool_type, 1);
    bytes_.push_back(value ? 1 : 0);
    return *this;
}

row_array& row_array::id(const run_id& value)
{
    begin_field(uuid_type, 16);
    bytes_.append(as_text(value));
    return *this;
}

row_array& row_array::bytes(std::string_view value)
{
    begin_field(bytea_type, static_cast<std::int32_t>(value.size()));
    bytes_.append(value);
    return *this;
}

row_array& row_array::text(std::string_view value)
{
    begin_field(text_type, static_cast<std::int32_t>(value.size()));
    bytes_.append(value);
    return *this;
}

row_array& row_array::time(const std::optional<time_point>& value)
{
    if (value)
        return time(*value);
    begin_field(int8_type, null_length);
    return *this;
}

row_array& row_array::bytes_or_null(std::string_view value)
{
    if (!value.empty())
        return bytes(value);
    begin_field(bytea_type, null_length);
    return *this;
}

std::string_view row_array::finish()
{
    end_row();
    const auto rows = rows_;
    if (rows == 0) {
        boost::endian::store_big_s32(reinterpret_cast<unsigned char*>(bytes_.data()), 0);
        bytes_.resize(array_length_offset);
    } else {
        boost::endian::store_big_s32(
            reinterpret_cast<unsigned char*>(bytes_.data() + array_length_offset), rows);
    }
    return bytes_;
}

} // namespace pawl::postgres
