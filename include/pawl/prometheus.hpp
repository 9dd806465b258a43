#pragma once

#include "pawl/engine.hpp"
#include "pawl/observer.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace prometheus {
class Registry;
}

namespace pawl {

struct prometheus_options {
    /// A lag above this sets workflow_process_lag_alert. Default 30 min.
    duration lag_alert = std::chrono::minutes{30};
};

/// Turns what an engine does into metrics of prometheus-cpp: give it to engine_options::observer.
///
/// Labels are bounded: their values are names of workflows, and of the handlers, states and
/// reasons that there are. Per workflow_name and process_name (see handler_report::process):
///
/// - `workflow_process_latency_seconds`: histogram of how long attempts take
/// - `workflow_process_error_count`: failed attempts
/// - `workflow_process_skipped_events_count`: what came to nothing, by `reason`
/// - `workflow_process_lag_seconds`: of process "due", age of the oldest run that is due and not
///   taken up
/// - `workflow_process_lag_alert`: 1 when that is above prometheus_options::lag_alert
/// - `workflow_process_states`: of process "engine", 1 stopped, 2 running, 3 starting
/// - `workflow_run_state_changes`: by `previous_run_state` and `current_run_state`
/// - `pawl_batch_changes`, `pawl_batch_seconds`: histograms of commits
/// - `pawl_batch_failures`: batches that the store did not take
/// - `pawl_message_age_seconds`: histogram, by `outcome`, of how long messages wait
/// - `pawl_hooks_given_up`: hooks and connectors that failed on an event for the last time
/// - `pawl_active_runs`, `pawl_urgent_runs`, `pawl_waiting_handlers`, `pawl_stalled_seconds`,
///   `pawl_waiting_calls`, `pawl_waiting_changes`, `pawl_waiting_hooks`,
///   `pawl_waiting_events`, `pawl_due_lag_seconds`, `pawl_owned_shards`: gauges of
///   engine_statistics
///
/// The lag and the gauges are those of the last update(): call it before each scrape.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class prometheus_metrics final : public observer {
public:
    explicit prometheus_metrics(std::shared_ptr<::prometheus::Registry> registry,
                                prometheus_options options = {});
    ~prometheus_metrics() override;

    void update(const engine_statistics& now);

    void committed(const transition& change) noexcept override;
    void handler_ended(const handler_report& report) noexcept override;
    void discarded(std::string_view workflow, std::string_view process,
                   discard_reason reason) noexcept override;
    void message_settled(std::string_view workflow, message_kind kind, message_outcome outcome,
                         duration age) noexcept override;
    void batch_applied(std::size_t changes, duration took, bool failed) noexcept override;
    void engine_changed(std::string_view workflow, engine_state state) noexcept override;

private:
    class families;
    std::unique_ptr<families> families_;
};

/// Everything in the registry, in the text format that Prometheus scrapes.
std::string prometheus_text(const ::prometheus::Registry& registry);

} // namespace pawl
