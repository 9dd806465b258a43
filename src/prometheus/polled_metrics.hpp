#pragma once

#include "pawl/limit_info.hpp"
#include "pawl/operations_views.hpp"
#include "pawl/postgres_load.hpp"
#include "prometheus/cached.hpp"

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <vector>

namespace pawl::prometheus_detail {

/// The metrics that have the values of the last update: of limits, connectors, dead letters,
/// workflows and the PostgreSQL store.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class polled_metrics {
public:
    explicit polled_metrics(::prometheus::Registry& registry);

    void set(const std::vector<limit_info>& limits);
    void set(const std::vector<connector_view>& connectors);
    void set(const std::vector<workflow_overview>& workflows);
    void set(const std::vector<dead_letter_topic_view>& topics);
    void set(const postgres_load& load);

private:
    using gauges = cached<::prometheus::Gauge>;

    void set_numbers(const limit_info& limit, const ::prometheus::Labels& labels);

    gauges limit_running_;
    gauges limit_waiting_;
    gauges limit_concurrency_;
    gauges limit_rate_;
    gauges connector_lag_;
    gauges connector_running_;
    gauges dead_letters_;
    gauges unfinished_runs_;
    gauges finished_runs_;
    gauges paused_runs_;
    gauges failing_runs_;
    gauges overdue_runs_;
    gauges workflow_driven_;
    gauges pool_connections_;
    gauges pool_busy_;
    gauges pool_waiting_;
    gauges stored_requests_;
    gauges oldest_request_;
};

} // namespace pawl::prometheus_detail
