#include "stores/postgres/result.hpp"

#include "stores/postgres/error.hpp"

#include <boost/endian/conversion.hpp>

#include <algorithm>

namespace pawl::postgres {

bool result::next() noexcept
{
    column_ = 0;
    return ++row_ < size();
}

bool result::is_null() const noexcept
{
    return PQgetisnull(rows_.get(), row_, column_) != 0;
}

std::string_view result::bytes()
{
    const auto* begin = PQgetvalue(rows_.get(), row_, column_);
    const auto length = PQgetlength(rows_.get(), row_, column_);
    ++column_;
    return {begin, static_cast<std::size_t>(length)};
}

void result::damaged(std::string_view what) const
{
    throw_damaged(where_, what);
}

std::int64_t result::integer()
{
    const auto value = bytes();
    const auto* at = reinterpret_cast<const unsigned char*>(value.data());
    switch (value.size()) {
    case 2:
        return boost::endian::load_big_s16(at);
    case 4:
        return boost::endian::load_big_s32(at);
    case 8:
        return boost::endian::load_big_s64(at);
    default:
        damaged("a number is missing, or is none");
    }
}

bool result::boolean()
{
    const auto value = bytes();
    if (value.size() != 1)
        damaged("a boolean is missing, or is none");
    return value.front() != 0;
}

run_id result::id()
{
    run_id read;
    const auto value = bytes();
    if (value.empty())
        return read;
    if (value.size() != read.bytes.size())
        damaged("a run's id is none");
    std::ranges::copy(value, read.bytes.begin());
    return read;
}

void result::read(std::optional<time_point>& value)
{
    value.reset();
    if (is_null())
        return skip();
    read(value.emplace());
}

} // namespace pawl::postgres
