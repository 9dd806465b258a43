#include "pawl/detail/exception_text.hpp"

#include <boost/core/demangle.hpp>

#include <cxxabi.h>
#include <string_view>
#include <typeinfo>

namespace pawl::detail {

namespace {

/// The type of the exception that is being handled.
std::string current_exception_type()
{
    const auto* type = abi::__cxa_current_exception_type();
    return type ? boost::core::demangle(type->name()) : "unknown";
}

} // namespace

std::string exception_text(const std::exception_ptr& failure)
{
    if (!failure)
        return "no exception";
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        const auto* text = e.what();
        if (text && *text)
            return text;
        return "an exception of type " + current_exception_type() + " without a text";
    } catch (const std::string& text) {
        return "an exception of type std::string: " + text;
    } catch (const char* text) {
        return std::string{"an exception of type const char*: "} + (text ? text : "null");
    } catch (...) {
        return "an exception of type " + current_exception_type() +
               ", which is not a std::exception";
    }
}

} // namespace pawl::detail
