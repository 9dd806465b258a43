#pragma once

#include "pawl/attribute_fill.hpp"
#include "pawl/detail/failure.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/detail/schedule_api.hpp"
#include "pawl/detail/send_call.hpp"
#include "pawl/detail/trigger_call.hpp"
#include "pawl/error.hpp"
#include "pawl/event.hpp"
#include "pawl/message.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::detail {

template <class... Results>
using completion = boost::asio::any_completion_handler<void(failure, Results...)>;

/// Returns the error code for a rejected message of this kind.
errc refusal_code(message_kind kind, const settlement& refused);

/// The engine as typed clients see it, without types. Not an extension point.
///
/// Each function starts an operation and returns at once. The handler is called through its
/// associated executor, by default the engine's, never inside the call.
class engine_api {
public:
    virtual ~engine_api() = default;

    virtual boost::asio::any_io_executor executor() const = 0;

    /// Writes a warning to the engine's log.
    virtual void warn(std::string_view workflow, std::string_view text) = 0;

    virtual void trigger(std::shared_ptr<const workflow_impl> workflow, trigger_call call,
                         completion<run_id> done) = 0;
    virtual void send(std::shared_ptr<const workflow_impl> workflow, send_call call,
                      completion<settlement> done) = 0;

    /// Sends the callback to the unfinished run of the foreign id, after starting one if necessary.
    virtual void start_or_send(std::shared_ptr<const workflow_impl> workflow, trigger_call start,
                               send_call callback, completion<run_id> done) = 0;

    /// Waits until the run is in one of the statuses, or without a list until it has finished.
    virtual void await(std::string workflow, run_id run, std::optional<std::vector<int>> statuses,
                       completion<record> done) = 0;

    virtual void set_schedule(std::shared_ptr<const workflow_impl> workflow, schedule_call call,
                              completion<> done) = 0;
    virtual void list_schedules(std::string workflow,
                                completion<std::vector<schedule_info>> done) = 0;
    virtual void command_schedule(std::string workflow, std::string name, schedule_command action,
                                  completion<> done) = 0;

    // The functions below do not see runs of other workflows.
    virtual void find(std::string workflow, run_id run, completion<std::optional<record>> done) = 0;
    virtual void latest(std::string workflow, std::string foreign_id,
                        completion<std::optional<record>> done) = 0;
    virtual void list(record_query query, completion<record_page> done) = 0;
    virtual void fill_attributes(std::shared_ptr<const workflow_impl> workflow, list_position after,
                                 std::size_t limit, completion<attribute_fill> done) = 0;
    virtual void count(std::string workflow, bool unfinished_only,
                       completion<std::vector<status_count>> done) = 0;
    virtual void history(std::string workflow, run_id run, std::uint64_t after, std::size_t limit,
                         completion<std::vector<event>> done) = 0;
};

} // namespace pawl::detail
