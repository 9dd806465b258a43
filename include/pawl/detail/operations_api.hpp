#pragma once

#include "pawl/dead_letter.hpp"
#include "pawl/detail/engine_api.hpp"
#include "pawl/operations_requests.hpp"
#include "pawl/operations_views.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pawl {

struct bulk_page;
struct bulk_preview;
struct bulk_request;
struct bulk_view;

} // namespace pawl

namespace pawl::detail {

/// A change of a run by a message.
struct run_change {
    std::string workflow;
    run_id run;
    message_kind kind = message_kind::pause;
    callback_request callback{}; ///< of a callback
    move_request move{};         ///< of a move
};

/// The operations of an engine behind `pawl::operations`. Not an extension point.
///
/// Each function starts an operation and returns at once. The handler is called through its
/// associated executor, by default the engine's, never inside the call.
class operations_api {
public:
    virtual ~operations_api() = default;

    virtual void overview(overview_options options,
                          completion<std::vector<workflow_overview>> done) = 0;
    virtual void list(run_filter filter, completion<run_page> done) = 0;
    virtual void read(run_id run, completion<std::optional<run_view>> done) = 0;
    virtual void history(run_id run, std::uint64_t after, std::size_t limit,
                         completion<std::vector<event>> done) = 0;
    virtual void messages(run_id run, std::uint64_t after, std::size_t limit,
                          completion<std::vector<message>> done) = 0;
    virtual void outcome(run_id run, std::uint64_t sequence,
                         completion<std::optional<settlement>> done) = 0;
    virtual void definitions(std::string workflow, completion<std::vector<workflow_view>> done) = 0;
    virtual void engines(completion<engines_view> done) = 0;
    virtual void schedules(std::string workflow, completion<std::vector<schedule_info>> done) = 0;
    virtual void connectors(completion<std::vector<connector_view>> done) = 0;
    virtual void dead_letter_topics(completion<std::vector<dead_letter_topic_view>> done) = 0;
    virtual void dead_letters(std::string topic, std::uint64_t after, std::size_t limit,
                              completion<topic_page> done) = 0;

    virtual void change(run_change wanted, change_request request,
                        completion<change_result> done) = 0;
    virtual void trigger(std::string workflow, trigger_request start, change_request request,
                         completion<change_result> done) = 0;
    virtual void remove(std::string workflow, run_id run, change_request request,
                        completion<change_result> done) = 0;
    virtual void redrive(std::string topic, change_request request,
                         completion<redrive_result> done) = 0;
    virtual void fire(std::string workflow, std::string schedule, change_request request,
                      completion<change_result> done) = 0;
    virtual void slots(std::string workflow, std::string schedule, std::size_t count,
                       completion<std::vector<time_point>> done) = 0;
    virtual void preview_bulk(bulk_request wanted, completion<bulk_preview> done) = 0;
    virtual void start_bulk(bulk_request wanted, change_request request,
                            completion<bulk_view> done) = 0;
    virtual void read_bulk(run_id bulk, completion<std::optional<bulk_view>> done) = 0;
    virtual void list_bulk(std::string after, std::size_t limit, completion<bulk_page> done) = 0;
    virtual void audit(std::uint64_t after, std::size_t limit, completion<audit_page> done) = 0;
};

} // namespace pawl::detail
