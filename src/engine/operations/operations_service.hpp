#pragma once

#include "engine/operations/audited_changes.hpp"
#include "engine/operations/bulk_service.hpp"
#include "engine/operations/connector_reader.hpp"
#include "engine/operations/run_reader.hpp"
#include "engine/operations/run_remover.hpp"
#include "engine/operations/schedule_control.hpp"
#include "engine/operations/store_inventory.hpp"
#include "pawl/detail/operations_api.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pawl::detail {
class engine_core;
}

namespace pawl::engine_detail {

/// The implementation of `pawl::operations`: a part of the engine, in whose calls it runs.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class operations_service final : public detail::operations_api {
public:
    /// `core` owns this object.
    explicit operations_service(detail::engine_core& core);

    void overview(overview_options options,
                  detail::completion<std::vector<workflow_overview>> done) override;
    void list(run_filter filter, detail::completion<run_page> done) override;
    void read(run_id run, detail::completion<std::optional<run_view>> done) override;
    void history(run_id run, std::uint64_t after, std::size_t limit,
                 detail::completion<std::vector<event>> done) override;
    void messages(run_id run, std::uint64_t after, std::size_t limit,
                  detail::completion<std::vector<message>> done) override;
    void outcome(run_id run, std::uint64_t sequence,
                 detail::completion<std::optional<settlement>> done) override;
    void definitions(std::string workflow,
                     detail::completion<std::vector<workflow_view>> done) override;
    void engines(detail::completion<engines_view> done) override;
    void schedules(std::string workflow,
                   detail::completion<std::vector<schedule_info>> done) override;
    void connectors(detail::completion<std::vector<connector_view>> done) override;
    void dead_letter_topics(detail::completion<std::vector<dead_letter_topic_view>> done) override;
    void dead_letters(std::string topic, std::uint64_t after, std::size_t limit,
                      detail::completion<topic_page> done) override;

    void change(detail::run_change wanted, change_request request,
                detail::completion<change_result> done) override;
    void trigger(std::string workflow, trigger_request start, change_request request,
                 detail::completion<change_result> done) override;
    void remove(std::string workflow, run_id run, change_request request,
                detail::completion<change_result> done) override;
    void redrive(std::string topic, change_request request,
                 detail::completion<redrive_result> done) override;
    void fire(std::string workflow, std::string schedule, change_request request,
              detail::completion<change_result> done) override;
    void slots(std::string workflow, std::string schedule, std::size_t count,
               detail::completion<std::vector<time_point>> done) override;
    void preview_bulk(bulk_request wanted, detail::completion<bulk_preview> done) override;
    void start_bulk(bulk_request wanted, change_request request,
                    detail::completion<bulk_view> done) override;
    void read_bulk(run_id bulk, detail::completion<std::optional<bulk_view>> done) override;
    void list_bulk(std::string after, std::size_t limit,
                   detail::completion<bulk_page> done) override;
    void audit(std::uint64_t after, std::size_t limit,
               detail::completion<audit_page> done) override;

    /// The workflow "pawl.bulk".
    std::shared_ptr<const detail::workflow_impl> bulk_workflow() { return bulk_.workflow(); }

private:
    store_inventory inventory() const;
    record_store& store() const;

    boost::asio::awaitable<std::vector<workflow_view>> read_workflows(std::string workflow);
    boost::asio::awaitable<std::vector<schedule_info>> read_schedules(std::string workflow);
    boost::asio::awaitable<audit_page> read_audit(std::uint64_t after, std::size_t limit);

    detail::engine_core& core_;
    run_reader runs_;
    connector_reader connectors_;
    audited_changes changes_;
    run_remover remover_;
    schedule_control schedules_;
    bulk_service bulk_;
};

} // namespace pawl::engine_detail
