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
    /// A lag above this value sets workflow_process_lag_alert to 1. Default 30 min.
    duration lag_alert = std::chrono::minutes{30};
};

/// Metrics of an engine for prometheus-cpp. Pass it as engine_options::observer, and call update()
/// before each scrape: the gauges marked * have the values of the last update().
///
/// By workflow_name and process_name, see handler_report::process:
///
/// - `workflow_process_latency_seconds`: histogram, duration of attempts
/// - `workflow_process_error_count`: counter, failed attempts
/// - `workflow_process_skipped_events_count`: counter, discarded work, by `reason` (discard_reason)
/// - `workflow_process_lag_seconds`*: process "due", age of the oldest due run that is not loaded
/// - `workflow_process_lag_alert`*: process "due", 1 if that lag is above
///   prometheus_options::lag_alert
/// - `workflow_process_states`: process "engine", 1 stopped, 2 running, 3 starting
/// - `pawl_hooks_given_up`: counter, events on which a hook or connector has used up its retries
///
/// By workflow_name:
///
/// - `workflow_run_state_changes`: counter, by `previous_run_state` ("Unknown" for a start) and
///   `current_run_state`
/// - `pawl_message_age_seconds`: histogram, time until a message was settled, by `outcome`
///
/// Of the engine:
///
/// - `pawl_batch_changes`, `pawl_batch_seconds`: histograms, size and duration of commits
/// - `pawl_batch_failures`: counter, batches that failed in the store
/// - `pawl_active_runs`*, `pawl_urgent_runs`*, `pawl_waiting_handlers`*, `pawl_stalled_seconds`*,
///   `pawl_waiting_calls`*, `pawl_waiting_changes`*, `pawl_waiting_hooks`*, `pawl_waiting_events`*,
///   `pawl_due_lag_seconds`*, `pawl_owned_shards`*: gauges, see engine_statistics
///
/// The number of label values is bounded: they are names of workflows, handlers, states, outcomes
/// and reasons.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class prometheus_metrics final : public observer {
public:
    /// Registers the metrics in `registry`.
    explicit prometheus_metrics(std::shared_ptr<::prometheus::Registry> registry,
                                prometheus_options options = {});
    ~prometheus_metrics() override;

    /// Sets the gauges to the result of engine::async_statistics().
    void update(const engine_statistics& statistics);

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

/// All metrics of the registry in the text format that Prometheus scrapes.
std::string prometheus_text(const ::prometheus::Registry& registry);

} // namespace pawl
