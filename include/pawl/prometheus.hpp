#pragma once

#include "pawl/engine.hpp"
#include "pawl/observer.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Registry;
}

namespace pawl {

struct connector_view;
struct dead_letter_topic_view;
struct limit_info;
struct postgres_load;
struct workflow_overview;

struct prometheus_options {
    /// A lag above this value sets workflow_process_lag_alert to 1. Default 30 min.
    duration lag_alert = std::chrono::minutes{30};
};

/// Metrics of an engine for prometheus-cpp. Pass it as engine_options::observer, and call
/// update_from() before each scrape: the gauges marked * have the values of the last update. A
/// dashboard and alerts for these metrics are in src/prometheus/.
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
/// - `pawl_handler_retries_total`: counter, attempts after the first; of a connector: redeliveries
///
/// By workflow_name:
///
/// - `workflow_run_state_changes`: counter, by `previous_run_state` ("Unknown" for a start) and
///   `current_run_state`
/// - `pawl_message_age_seconds`: histogram, time until a message was settled, by `outcome`
/// - `pawl_unfinished_runs`*, `pawl_finished_runs`*, `pawl_paused_runs`*, `pawl_failing_runs`*,
///   `pawl_overdue_runs`*, `pawl_workflow_driven`* (1 if a live engine has the workflow): of the
///   whole store, see workflow_overview. Failing and overdue runs are counted up to 100.
///
/// By limit_name, see limit_info:
///
/// - `pawl_limit_running`*, `pawl_limit_waiting`*: attempts, and runs that wait
/// - `pawl_limit_concurrency`*, `pawl_limit_rate`*: the numbers in force, the rate per second; each
///   only while the limit has it, and for each key if the limit has keys
///
/// By connector_name, see connector_view:
///
/// - `pawl_connector_lag_events`*: events that the connector has not acknowledged; only of
///   connectors that read a workflow's events
/// - `pawl_connector_running`*: 1 if a live engine runs it
///
/// By topic:
///
/// - `pawl_dead_letters`*: letters in the topic, counted up to 1,000
///
/// Of the PostgreSQL store, see postgres_load:
///
/// - `pawl_postgres_connections`*, `pawl_postgres_busy_connections`*,
///   `pawl_postgres_waiting_calls`*: by `pool`, the name of a pool
/// - `pawl_stored_requests`*, `pawl_oldest_request_seconds`*: starts and callbacks that programs
///   have stored by SQL and no engine has carried out, counted up to 10,000, and the age of the
///   oldest
///
/// Of the engine:
///
/// - `pawl_batch_changes`, `pawl_batch_seconds`: histograms, size and duration of commits
/// - `pawl_batch_failures`: counter, batches that failed in the store
/// - `pawl_active_runs`*, `pawl_urgent_runs`*, `pawl_waiting_handlers`*, `pawl_stalled_seconds`*,
///   `pawl_waiting_calls`*, `pawl_waiting_changes`*, `pawl_waiting_hooks`*, `pawl_waiting_events`*,
///   `pawl_due_lag_seconds`*, `pawl_owned_shards`*, `pawl_left_to_newer_runs`*: gauges, see
///   engine_statistics
///
/// Of the admin API:
///
/// - `pawl_admin_refusals_total`: counter, refused requests, by `code`; see
///   admin::api_options::on_refusal
///
/// The number of label values is bounded: they are names of workflows, handlers, limits,
/// connectors, topics, states, outcomes, reasons and codes.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class prometheus_metrics final : public observer {
public:
    /// Registers the metrics in `registry`.
    explicit prometheus_metrics(std::shared_ptr<::prometheus::Registry> registry,
                                prometheus_options options = {});
    ~prometheus_metrics() override;

    /// Reads what the engine reports and sets the gauges: its statistics, its limits, its
    /// connectors, the dead letters, and the runs of all workflows of the store.
    ///
    /// The counts of failing and overdue runs read up to 20,000 runs of each workflow, see
    /// run_filter::max_examined. In a large store call it from one timer, once in 30 s for example,
    /// instead of for each scrape. When several engines share a store, each reports the numbers of
    /// the whole store: a query takes the greatest.
    ///
    /// Completes: when the gauges are set.
    /// Errors: throws not_running — the engine was not started, or has been stopped; a store_* code
    /// — the store failed. The gauges that were read before are set.
    /// Lifetime: the engine and this object outlive the operation.
    boost::asio::awaitable<void> update_from(engine& source);

    /// Each sets its gauges to what was read otherwise. A limit, connector or workflow that is not
    /// in the list keeps its gauges, except that pawl_connector_running becomes 0. The gauge of a
    /// topic that is not in the list becomes 0.
    void update(const engine_statistics& statistics);           ///< engine::async_statistics()
    void update(const std::vector<limit_info>& limits);         ///< limits::async_list()
    void update(const std::vector<connector_view>& connectors); ///< operations::async_connectors()
    void update(const std::vector<workflow_overview>& workflows); ///< operations::async_overview()
    void update(const postgres_load& load); ///< read_postgres_load(); not in update_from()

    /// The result of operations::async_dead_letter_topics().
    void update(const std::vector<dead_letter_topic_view>& topics);

    /// Counts a refused request, see admin::api_options::on_refusal.
    void admin_refused(std::string_view code);

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
