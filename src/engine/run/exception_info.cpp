#include "engine/run/exception_info.hpp"

#include "pawl/detail/exception_text.hpp"
#include "pawl/run.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/multiple_exceptions.hpp>

namespace pawl::engine_detail {

bool is_size_exceeded(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const size_exceeded&) {
        return true;
    } catch (...) {
        return false;
    }
}

error_code error_code_of(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const system_error& e) {
        return e.code();
    } catch (...) {
        return make_error_code(errc::store_unavailable);
    }
}

bool is_data_error(const error_code& failure) noexcept
{
    return failure == errc::store_corrupt || failure == errc::decode_failed ||
           failure == errc::too_large;
}

bool is_too_old(const std::exception_ptr& failure) noexcept
{
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        return detail::is_too_old(e);
    } catch (...) {
        return false;
    }
}

bool is_caused_by_stop(const std::exception_ptr& failure)
{
    try {
        try {
            std::rethrow_exception(failure);
        } catch (const boost::asio::multiple_exceptions& both) {
            return is_caused_by_stop(both.first_exception());
        } catch (const system_error& e) {
            if (e.code() == errc::not_running || e.code() == boost::asio::error::operation_aborted)
                return true;
            std::rethrow_if_nested(e);
        } catch (const std::exception& e) {
            std::rethrow_if_nested(e);
        }
    } catch (...) {
        const auto nested = std::current_exception();
        return nested != failure && is_caused_by_stop(nested);
    }
    return false;
}

} // namespace pawl::engine_detail
