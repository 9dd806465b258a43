#pragma once

#include "pawl/attribute.hpp"
#include "pawl/detail/handlers.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace pawl::detail {

/// The text of a key, of at most max_limit_key_size bytes.
std::string limit_key_text(const attribute_value& value);

/// Makes the function that reads the key of a limit from an object.
template <class Object, class Field>
limit_key make_limit_key(Field field)
{
    constexpr bool readable = std::is_invocable_v<const Field&, const Object&>;
    static_assert(readable, "the key of a limit is a pointer to a member of the Object, or a "
                            "function of const Object& with a const call operator");
    if constexpr (readable) {
        using read =
            attribute_field<std::decay_t<std::invoke_result_t<const Field&, const Object&>>>;
        constexpr bool supported = attribute_type<typename read::type>;
        static_assert(supported, "the key of a limit is a text, an integer (of 64 bits with a "
                                 "sign, or smaller), a bool, an enum, a std::chrono::sys_time, or "
                                 "a std::optional of one of these");
        if constexpr (supported)
            return [kept = std::make_shared<const Field>(std::move(field))](
                       const object_ptr& object) -> std::optional<std::string> {
                const auto value =
                    read::read(std::invoke(*kept, *static_cast<const Object*>(object.get())));
                return value ? std::optional{limit_key_text(*value)} : std::nullopt;
            };
        else
            return {};
    } else {
        return {};
    }
}

} // namespace pawl::detail
