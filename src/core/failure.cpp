#include "pawl/detail/failure.hpp"

#include "pawl/detail/exception_text.hpp"

#include <string_view>

namespace pawl::detail {

failure failure_of(const std::exception_ptr& thrown)
{
    try {
        std::rethrow_exception(thrown);
    } catch (const error& e) {
        return {e.code(), e.detail()};
    } catch (const system_error& e) {
        // what() ends with the message of the code, which is not part of the detail.
        std::string_view text = e.what();
        if (const auto message = e.code().what(); text.ends_with(message))
            text.remove_suffix(message.size());
        if (text.ends_with(": "))
            text.remove_suffix(2);
        return {e.code(), std::string{text}};
    } catch (...) {
        return {errc::unexpected_exception, exception_text(thrown)};
    }
}

std::exception_ptr exception_of(const failure& thrown)
{
    if (!thrown)
        return nullptr;
    if (thrown.code.category() == pawl_category())
        return std::make_exception_ptr(
            error(static_cast<errc>(thrown.code.value()), thrown.detail));
    return std::make_exception_ptr(system_error(thrown.code, thrown.detail));
}

void throw_exception_from_error(const failure& thrown, const boost::source_location&)
{
    std::rethrow_exception(exception_of(thrown));
}

} // namespace pawl::detail
