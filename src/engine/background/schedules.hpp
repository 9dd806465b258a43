#pragma once

#include "core/reserved_names.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/detail/schedule_api.hpp"
#include "pawl/record.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace pawl::engine_detail {

using core::reserved_prefix;
using core::schedules_workflow;

/// The trigger of one slot of a schedule.
struct scheduled_trigger {
    detail::schedule_definition definition;
    std::string foreign_id;
    std::string key;
};

/// Starts the run of a slot. For a repeated key it returns the run that exists. Throws what a
/// trigger throws.
using fire_function = std::function<boost::asio::awaitable<run_id>(scheduled_trigger)>;

/// `fire` must outlive the runs.
std::shared_ptr<const detail::workflow_impl> make_schedules_workflow(fire_function fire);

/// The foreign id of a schedule's own run.
std::string schedule_key(std::string_view workflow, std::string_view name);

/// The encoded object of a schedule that begins now. Throws error (invalid_argument).
std::string first_schedule_state(const detail::schedule_definition& definition, time_point now);

/// Throws error (invalid_argument), naming the field, unless the definition is valid.
void check_schedule(const detail::schedule_definition& definition);

/// The state of a schedule, decoded from its run.
schedule_info read_schedule(const record& run);

} // namespace pawl::engine_detail
