#include "core/option_check.hpp"

#include "pawl/error.hpp"

#include <fmt/format.h>

namespace pawl::core {

std::string text_of(duration span)
{
    using std::chrono::duration_cast;
    if (const auto whole = duration_cast<std::chrono::seconds>(span); whole == span)
        return text_of(whole.count()) + " s";
    if (const auto whole = duration_cast<std::chrono::milliseconds>(span); whole == span)
        return text_of(whole.count()) + " ms";
    return text_of(span.count()) + " us";
}

void option_check::refuse(std::string_view field, std::string_view value,
                          std::string_view range) const
{
    throw definition_error(fmt::format("{}{} is {}; it must be {}", owner_, field, value, range));
}

void option_check::reject(std::string_view rule) const
{
    throw definition_error(fmt::format("{}{}", owner_, rule));
}

} // namespace pawl::core
