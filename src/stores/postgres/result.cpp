#include "stores/postgres/result.hpp"

#include "stores/common/row_mapping.hpp"
#include "stores/postgres/error.hpp"

#include <boost/endian/conversion.hpp>

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

void result::throw_corrupt(std::string_view problem) const
{
    postgres::throw_corrupt(server_, problem);
}

std::int64_t result::integer()
{
    const auto value = bytes();
    const auto* first = reinterpret_cast<const unsigned char*>(value.data());
    switch (value.size()) {
    case 2:
        return boost::endian::load_big_s16(first);
    case 4:
        return boost::endian::load_big_s32(first);
    case 8:
        return boost::endian::load_big_s64(first);
    default:
        throw_corrupt("expected a number");
    }
}

bool result::boolean()
{
    const auto value = bytes();
    if (value.size() != 1)
        throw_corrupt("expected a boolean");
    return value.front() != 0;
}

run_id result::id()
{
    const auto value = bytes();
    return value.empty() ? run_id{} : core::decode_run_id(*this, value);
}

void result::read(std::optional<time_point>& value)
{
    value.reset();
    if (is_null())
        return skip();
    read(value.emplace());
}

} // namespace pawl::postgres
