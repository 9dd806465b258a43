#include "prometheus/polled_metrics.hpp"

#include <chrono>
#include <utility>

namespace pawl::prometheus_detail {

namespace {

using ::prometheus::Labels;

::prometheus::Family<::prometheus::Gauge>& gauge(::prometheus::Registry& registry, const char* name,
                                                 const char* help)
{
    return ::prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

Labels workflow_label(const std::string& name)
{
    return {{"workflow_name", name}};
}

} // namespace

polled_metrics::polled_metrics(::prometheus::Registry& registry)
    : limit_running_(gauge(registry, "pawl_limit_running", "Attempts under a limit.")),
      limit_waiting_(gauge(registry, "pawl_limit_waiting", "Runs that wait for a limit.")),
      limit_concurrency_(gauge(registry, "pawl_limit_concurrency",
                               "The most attempts of a limit, for each key if it has keys.")),
      limit_rate_(gauge(registry, "pawl_limit_rate",
                        "Attempts per second of a limit, for each key if it has keys.")),
      connector_lag_(gauge(registry, "pawl_connector_lag_events",
                           "Events of a workflow that a connector has not acknowledged.")),
      connector_running_(
          gauge(registry, "pawl_connector_running", "1 if a live engine runs the connector.")),
      dead_letters_(gauge(registry, "pawl_dead_letters", "Dead letters, counted up to 1,000.")),
      unfinished_runs_(gauge(registry, "pawl_unfinished_runs", "Unfinished runs in the store.")),
      finished_runs_(gauge(registry, "pawl_finished_runs", "Finished runs in the store.")),
      paused_runs_(gauge(registry, "pawl_paused_runs", "Paused runs in the store.")),
      failing_runs_(gauge(registry, "pawl_failing_runs",
                          "Unfinished runs whose last attempt failed, counted up to 100.")),
      overdue_runs_(gauge(registry, "pawl_overdue_runs",
                          "Runs that have been due for a minute, counted up to 100.")),
      workflow_driven_(
          gauge(registry, "pawl_workflow_driven", "1 if a live engine has the workflow.")),
      pool_connections_(
          gauge(registry, "pawl_postgres_connections", "The most connections of a pool.")),
      pool_busy_(gauge(registry, "pawl_postgres_busy_connections",
                       "Connections of a pool that execute a statement.")),
      pool_waiting_(gauge(registry, "pawl_postgres_waiting_calls",
                          "Statements or transactions that wait for a connection.")),
      stored_requests_(gauge(registry, "pawl_stored_requests",
                             "Starts and callbacks stored by SQL, counted up to 10,000.")),
      oldest_request_(gauge(registry, "pawl_oldest_request_seconds",
                            "Age of the oldest start or callback stored by SQL."))
{
}

void polled_metrics::set(const std::vector<limit_info>& limits)
{
    for (const auto& limit : limits) {
        const Labels labels{{"limit_name", limit.name}};
        limit_running_.with(labels).Set(static_cast<double>(limit.running));
        limit_waiting_.with(labels).Set(static_cast<double>(limit.waiting));
        set_numbers(limit, labels);
    }
}

/// A number that an operator has taken away is not exported as 0: 0 would be a limit.
void polled_metrics::set_numbers(const limit_info& limit, const Labels& labels)
{
    const auto& numbers = limit.numbers;
    if (numbers.concurrency)
        limit_concurrency_.with(labels).Set(static_cast<double>(*numbers.concurrency));
    else
        limit_concurrency_.remove(labels);
    if (numbers.rate)
        limit_rate_.with(labels).Set(static_cast<double>(*numbers.rate) /
                                     std::chrono::duration<double>(numbers.per).count());
    else
        limit_rate_.remove(labels);
}

void polled_metrics::set(const std::vector<connector_view>& connectors)
{
    connector_running_.for_each([](::prometheus::Gauge& running) { running.Set(0); });
    for (const auto& connector : connectors) {
        const Labels labels{{"connector_name", connector.name}};
        connector_running_.with(labels).Set(connector.engine.empty() ? 0 : 1);
        if (connector.lag)
            connector_lag_.with(labels).Set(static_cast<double>(*connector.lag));
    }
}

void polled_metrics::set(const std::vector<workflow_overview>& workflows)
{
    for (const auto& workflow : workflows) {
        const auto labels = workflow_label(workflow.workflow);
        unfinished_runs_.with(labels).Set(static_cast<double>(workflow.unfinished));
        finished_runs_.with(labels).Set(static_cast<double>(workflow.finished));
        paused_runs_.with(labels).Set(static_cast<double>(workflow.paused));
        failing_runs_.with(labels).Set(static_cast<double>(workflow.failing.count));
        overdue_runs_.with(labels).Set(static_cast<double>(workflow.overdue.count));
        workflow_driven_.with(labels).Set(workflow.has_engine ? 1 : 0);
    }
}

void polled_metrics::set(const std::vector<dead_letter_topic_view>& topics)
{
    dead_letters_.for_each([](::prometheus::Gauge& letters) { letters.Set(0); });
    for (const auto& topic : topics)
        dead_letters_.with({{"topic", topic.topic}}).Set(static_cast<double>(topic.letters.count));
}

void polled_metrics::set(const postgres_load& load)
{
    for (const auto& pool : load.pools) {
        const Labels labels{{"pool", pool.name}};
        pool_connections_.with(labels).Set(static_cast<double>(pool.connections));
        pool_busy_.with(labels).Set(static_cast<double>(pool.busy));
        pool_waiting_.with(labels).Set(static_cast<double>(pool.waiting));
    }
    stored_requests_.with({}).Set(static_cast<double>(load.requests));
    oldest_request_.with({}).Set(std::chrono::duration<double>(load.oldest_request).count());
}

} // namespace pawl::prometheus_detail
