#include "engine/run/failure_kind.hpp"

#include "engine/run/exception_info.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/error.hpp"
#include "pawl/run.hpp"

namespace pawl::engine_detail {

bool is_permanent(const retry_policy& policy, const std::exception_ptr& failure,
                  std::string& problem)
{
    try {
        try {
            std::rethrow_exception(failure);
        } catch (const detail::unreadable_payload&) {
            return true;
        } catch (const detail::unreadable_effect&) {
            return true;
        } catch (...) { // so that the predicate may use std::current_exception()
            return policy.permanent && policy.permanent(failure);
        }
    } catch (...) {
        problem = "retry_policy::permanent threw, the error counts as one to repeat: " +
                  detail::exception_text(std::current_exception());
        return false;
    }
}

bool is_infrastructure_failure(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const system_error& e) {
        if (e.code().category() != pawl_category())
            return false;
        switch (static_cast<errc>(e.code().value())) {
        case errc::not_running:
        case errc::overloaded:
        case errc::store_unavailable:
        case errc::store_locked:
        case errc::store_read_only:
        case errc::store_full:
        case errc::store_corrupt:
        case errc::store_version_unsupported:
        case errc::store_access_denied:
        case errc::store_flush_failed:
        case errc::broker_unavailable:
            return true;
        default:
            return false;
        }
    } catch (...) {
        return false;
    }
}

} // namespace pawl::engine_detail
