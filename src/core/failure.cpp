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
        // Without the text of the code, which what() ends with.
        std::string_view text = e.what();
        if (const auto code = e.code().what(); text.ends_with(code))
            text.remove_suffix(code.size());
        if (text.ends_with(": "))
            text.remove_suffix(2);
        return {e.code(), std::string{text}};
    } catch (...) {
        return {errc::unexpected_exception, exception_text(thrown)};
    }
}

std::exception_ptr exception_of(const failure& from)
{
    if (!from)
        return nullptr;
    if (from.code.category() == pawl_category())
        return std::make_exception_ptr(error(static_cast<errc>(from.code.value()), from.detail));
    return std::make_exception_ptr(system_error(from.code, from.detail));
}

void throw_exception_from_error(const failure& from, const boost::source_location&)
{
    std::rethrow_exception(exception_of(from));
}

} // namespace pawl::detail
