#pragma once

#include "pawl/time.hpp"

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace pawl::core {

/// "10 s", "250 ms" or "1 us": in the largest of these units that leaves no fraction.
std::string text_of(duration span);

/// With commas: "1,000,000".
template <std::integral T>
std::string text_of(T number)
{
    auto text = std::to_string(number);
    const std::size_t first = number < T{} ? 1 : 0; // behind the sign
    for (auto at = text.size(); at > first + 3;)
        text.insert(at -= 3, 1, ',');
    return text;
}

/// Checks the fields of one options struct. All messages have one form, for example
/// "engine_options::max_batch is 0; it must be at least 1". Functions throw definition_error.
class option_check {
public:
    /// `owner` is the name of the struct, or what else the fields belong to, with the separator:
    /// "engine_options::", "connector \"orders\": ". It must outlive the object.
    explicit option_check(std::string_view owner) : owner_(owner) {}

    template <class T>
    void at_least(std::string_view field, T value, std::type_identity_t<T> least) const
    {
        if (value < least)
            refuse(field, text_of(value), "at least " + text_of(least));
    }

    template <class T>
    void within(std::string_view field, T value, std::type_identity_t<T> least,
                std::type_identity_t<T> most) const
    {
        if (value < least || value > most)
            refuse(field, text_of(value), "from " + text_of(least) + " to " + text_of(most));
    }

    void above_zero(std::string_view field, duration value) const
    {
        if (value <= duration::zero())
            refuse(field, text_of(value), "above 0 s");
    }

    /// For a rule that is no range; `rule` begins with the name of the field.
    void require(bool holds, std::string_view rule) const
    {
        if (!holds)
            reject(rule);
    }

    /// "FIELD is VALUE; it must be RANGE".
    [[noreturn]] void refuse(std::string_view field, std::string_view value,
                             std::string_view range) const;

private:
    [[noreturn]] void reject(std::string_view rule) const;

    std::string_view owner_;
};

} // namespace pawl::core
