#include "pawl/limit_info.hpp"

#include "core/text.hpp"
#include "pawl/detail/limit_field.hpp"

#include <fmt/format.h>

#include <type_traits>
#include <utility>
#include <variant>

namespace pawl {

std::string to_string(const limit_wait& wait)
{
    const auto key = wait.key.empty() ? "" : fmt::format(" ({})", wait.key);
    return fmt::format("{}{}: {} before it", wait.limit, key, wait.before);
}

namespace detail {

std::string limit_key_text(const attribute_value& value)
{
    auto text = std::visit(
        [](const auto& known) -> std::string {
            using type = std::decay_t<decltype(known)>;
            if constexpr (std::is_same_v<type, std::string>)
                return known;
            else if constexpr (std::is_same_v<type, time_point>)
                return fmt::format("{}", known.time_since_epoch().count());
            else
                return fmt::format("{}", known);
        },
        value);
    return core::truncate_utf8(std::move(text), max_limit_key_size);
}

} // namespace detail

} // namespace pawl
