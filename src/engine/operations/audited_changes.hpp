#pragma once

#include "engine/operations/audit_log.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/detail/operations_api.hpp"
#include "pawl/operations_requests.hpp"

#include <boost/asio/awaitable.hpp>

#include <exception>
#include <string>

namespace pawl::detail {
class engine_core;
}

namespace pawl::engine_detail {

/// Throws error (invalid_argument) unless the fields of the request are in their ranges.
void check_request(const change_request& request);

/// Throws error (conflict) if the request is for another version of the run.
void check_version(const record& run, const change_request& request);

/// Makes the changes that operators ask for, and records each of them in the audit log.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class audited_changes {
public:
    /// `core` outlives this object.
    explicit audited_changes(detail::engine_core& core);

    boost::asio::awaitable<change_result> change(detail::run_change wanted, change_request request);
    boost::asio::awaitable<change_result> trigger(std::string workflow, trigger_request start,
                                                  change_request request);
    boost::asio::awaitable<redrive_result> redrive(std::string topic, change_request request);

    const audit_log& log() const noexcept { return audit_; }

    /// The entry of a change that is asked for now.
    audit_entry begin(const char* action, const change_request& request);

    /// Says that this engine does not have the workflow, and which live engines have it.
    /// @param need what the workflow is needed for, after a comma.
    boost::asio::awaitable<std::string> refusal_of_workflow(std::string workflow, std::string need);

    /// Records the outcome, and throws the failure, if there is one.
    boost::asio::awaitable<void> finish(audit_entry entry, std::exception_ptr failure);

private:
    boost::asio::awaitable<change_result> send(detail::run_change wanted, change_request request,
                                               audit_entry& entry);
    boost::asio::awaitable<message> message_of(detail::run_change wanted, change_request request);
    boost::asio::awaitable<std::string> repair_of(detail::run_change wanted,
                                                  change_request request);
    boost::asio::awaitable<void> check_callback(std::string workflow, std::string callback);
    boost::asio::awaitable<int> status_of(std::string workflow, std::string status);
    boost::asio::awaitable<change_result> start_run(std::string workflow, trigger_request start,
                                                    change_request request, audit_entry& entry);

    detail::engine_core& core_;
    audit_log audit_;
};

} // namespace pawl::engine_detail
