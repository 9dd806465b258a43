#include "pawl/prometheus.hpp"

#include "pawl/limits.hpp"
#include "pawl/operations.hpp"
#include "prometheus/cached.hpp"
#include "prometheus/polled_metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>
#include <set>
#include <utility>

namespace pawl {

namespace {

using ::prometheus::Histogram;
using ::prometheus::Labels;
using prometheus_detail::cached;

double seconds(duration span)
{
    return std::chrono::duration<double>(span).count();
}

Labels process_labels(std::string_view workflow, std::string_view process)
{
    return {{"workflow_name", std::string{workflow}}, {"process_name", std::string{process}}};
}

const Histogram::BucketBoundaries handler_buckets{0.01, 0.1, 1, 5, 10, 60, 300};
const Histogram::BucketBoundaries commit_buckets{0.0001, 0.0003, 0.001, 0.003, 0.01,
                                                 0.03,   0.1,    0.3,   1,     10};
const Histogram::BucketBoundaries size_buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

const char* name_of(message_outcome outcome)
{
    switch (outcome) {
    case message_outcome::pending:
        return "pending";
    case message_outcome::handled:
        return "handled";
    case message_outcome::rejected:
        return "rejected";
    case message_outcome::failed:
        return "failed";
    case message_outcome::expired:
        return "expired";
    }
    return "unknown";
}

} // namespace

class prometheus_metrics::families {
public:
    families(std::shared_ptr<::prometheus::Registry> registry, prometheus_options options)
        : registry_(std::move(registry)), options_(options)
    {
    }

    ::prometheus::Family<::prometheus::Counter>& counter(const char* name, const char* help)
    {
        return ::prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
    }

    ::prometheus::Family<::prometheus::Gauge>& gauge(const char* name, const char* help)
    {
        return ::prometheus::BuildGauge().Name(name).Help(help).Register(*registry_);
    }

    ::prometheus::Family<Histogram>& histogram(const char* name, const char* help)
    {
        return ::prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_);
    }

    std::shared_ptr<::prometheus::Registry> registry_;
    const prometheus_options options_;

    cached<Histogram> latency{
        histogram("workflow_process_latency_seconds", "Duration of handler attempts.")};
    cached<::prometheus::Counter> errors{
        counter("workflow_process_error_count", "Failed attempts of a handler.")};
    cached<::prometheus::Counter> discards{
        counter("workflow_process_skipped_events_count", "Discarded work, by reason.")};
    cached<::prometheus::Gauge> lag{
        gauge("workflow_process_lag_seconds", "Age of the oldest due run that is not loaded.")};
    cached<::prometheus::Gauge> alert{
        gauge("workflow_process_lag_alert", "1 when the lag is above its threshold.")};
    cached<::prometheus::Gauge> states{
        gauge("workflow_process_states", "1 stopped, 2 running, 3 starting.")};
    cached<::prometheus::Counter> changes{
        counter("workflow_run_state_changes", "Committed changes of run states.")};
    cached<Histogram> message_age{
        histogram("pawl_message_age_seconds", "Age of messages when they were settled.")};
    cached<::prometheus::Counter> retries{
        counter("pawl_handler_retries_total", "Attempts of handlers after the first.")};
    cached<::prometheus::Counter> admin_refusals{
        counter("pawl_admin_refusals_total", "Refused requests to the admin API.")};
    prometheus_detail::polled_metrics polled{*registry_};
    cached<::prometheus::Counter> given_up{counter(
        "pawl_hooks_given_up", "Hooks and connectors whose retries of an event are exhausted.")};
    Histogram& batch_changes{histogram("pawl_batch_changes", "Changes in one commit of the store.")
                                 .Add({}, size_buckets)};
    Histogram& batch_seconds{histogram("pawl_batch_seconds", "Duration of commits of the store.")
                                 .Add({}, commit_buckets)};
    ::prometheus::Counter& batch_failures{
        counter("pawl_batch_failures", "Batches that the store failed to commit.").Add({})};
    ::prometheus::Gauge& active_runs{gauge("pawl_active_runs", "Runs in memory.").Add({})};
    ::prometheus::Gauge& urgent_runs{
        gauge("pawl_urgent_runs", "Runs in memory beyond max_active_runs.").Add({})};
    ::prometheus::Gauge& waiting_handlers{
        gauge("pawl_waiting_handlers", "Handlers that wait for a run or an answer.").Add({})};
    ::prometheus::Gauge& stalled{
        gauge("pawl_stalled_seconds",
              "How long no place for a run has become free while runs were due.")
            .Add({})};
    ::prometheus::Gauge& waiting_calls{
        gauge("pawl_waiting_calls", "Calls that wait for their commit.").Add({})};
    ::prometheus::Gauge& waiting_changes{
        gauge("pawl_waiting_changes", "Changes that wait for the next batch.").Add({})};
    ::prometheus::Gauge& waiting_hooks{
        gauge("pawl_waiting_hooks", "Events that hooks are processing.").Add({})};
    ::prometheus::Gauge& waiting_events{
        gauge("pawl_waiting_events", "Events that connectors are processing.").Add({})};
    ::prometheus::Gauge& due_lag{
        gauge("pawl_due_lag_seconds", "Age of the oldest due run that is not loaded.").Add({})};
    ::prometheus::Gauge& owned_shards{
        gauge("pawl_owned_shards", "Shards whose lease the engine holds.").Add({})};
    ::prometheus::Gauge& left_to_newer{
        gauge("pawl_left_to_newer_runs", "Due runs that need a newer program.").Add({})};

    std::mutex mutex_;
    std::set<std::string, std::less<>> workflows_;
};

prometheus_metrics::prometheus_metrics(std::shared_ptr<::prometheus::Registry> registry,
                                       prometheus_options options)
    : families_(std::make_unique<families>(std::move(registry), options))
{
}

prometheus_metrics::~prometheus_metrics() = default;

void prometheus_metrics::update(const engine_statistics& now)
{
    auto& metrics = *families_;
    metrics.active_runs.Set(static_cast<double>(now.active_runs));
    metrics.urgent_runs.Set(static_cast<double>(now.urgent_runs));
    metrics.waiting_handlers.Set(static_cast<double>(now.waiting_handlers));
    metrics.stalled.Set(seconds(now.stalled_for));
    metrics.waiting_calls.Set(static_cast<double>(now.waiting_calls));
    metrics.waiting_changes.Set(static_cast<double>(now.waiting_changes));
    metrics.waiting_hooks.Set(static_cast<double>(now.waiting_hooks));
    metrics.waiting_events.Set(static_cast<double>(now.waiting_events));
    metrics.owned_shards.Set(static_cast<double>(now.leases.size()));
    metrics.due_lag.Set(seconds(now.due_lag));
    metrics.left_to_newer.Set(static_cast<double>(now.left_to_newer));
    const std::lock_guard lock{metrics.mutex_};
    for (const auto& workflow : metrics.workflows_) {
        const auto lag = workflow == now.due_workflow ? now.due_lag : duration{};
        metrics.lag.with(process_labels(workflow, "due")).Set(seconds(lag));
        metrics.alert.with(process_labels(workflow, "due"))
            .Set(lag > metrics.options_.lag_alert ? 1 : 0);
    }
}

void prometheus_metrics::update(const std::vector<limit_info>& limits)
{
    families_->polled.set(limits);
}

void prometheus_metrics::update(const std::vector<connector_view>& connectors)
{
    families_->polled.set(connectors);
}

void prometheus_metrics::update(const std::vector<workflow_overview>& workflows)
{
    families_->polled.set(workflows);
}

void prometheus_metrics::update(const std::vector<dead_letter_topic_view>& topics)
{
    families_->polled.set(topics);
}

void prometheus_metrics::update(const postgres_load& load)
{
    families_->polled.set(load);
}

boost::asio::awaitable<void> prometheus_metrics::update_from(engine& source)
{
    const auto statistics = co_await source.async_statistics();
    update(statistics);
    limits limiter{source};
    const auto all_limits = co_await limiter.async_list();
    update(all_limits);
    auto core = source.operations();
    const auto connectors = co_await core.async_connectors();
    update(connectors);
    const auto topics = co_await core.async_dead_letter_topics();
    update(topics);
    const auto workflows = co_await core.async_overview();
    update(workflows);
}

void prometheus_metrics::admin_refused(std::string_view code)
{
    families_->admin_refusals.with({{"code", std::string{code}}}).Increment();
}

void prometheus_metrics::committed(const transition& change) noexcept
{
    const auto before = change.state_before;
    const auto after = change.next.state;
    const bool started = change.kind == event_kind::started;
    if (before == after && !started)
        return;
    families_->changes
        .with({{"workflow_name", change.next.workflow},
               {"previous_run_state", started ? "Unknown" : to_string(before)},
               {"current_run_state", to_string(after)}})
        .Increment();
}

void prometheus_metrics::handler_ended(const handler_report& report) noexcept
{
    const auto labels = process_labels(report.workflow, report.process);
    families_->latency.with(labels, handler_buckets).Observe(seconds(report.took));
    if (report.attempt > 1)
        families_->retries.with(labels).Increment();
    const bool given_up = report.result == handler_result::given_up;
    if (given_up)
        families_->given_up.with(labels).Increment();
    if (given_up || report.result == handler_result::failed)
        families_->errors.with(labels).Increment();
}

void prometheus_metrics::discarded(std::string_view workflow, std::string_view process,
                                   discard_reason reason) noexcept
{
    auto labels = process_labels(workflow, process);
    labels["reason"] = to_string(reason);
    families_->discards.with(std::move(labels)).Increment();
}

void prometheus_metrics::message_settled(std::string_view workflow, message_kind,
                                         message_outcome outcome, duration age) noexcept
{
    families_->message_age
        .with({{"workflow_name", std::string{workflow}}, {"outcome", name_of(outcome)}},
              handler_buckets)
        .Observe(seconds(age));
}

void prometheus_metrics::batch_applied(std::size_t changes, duration took, bool failed) noexcept
{
    families_->batch_changes.Observe(static_cast<double>(changes));
    families_->batch_seconds.Observe(seconds(took));
    if (failed)
        families_->batch_failures.Increment();
}

void prometheus_metrics::engine_changed(std::string_view workflow, engine_state state) noexcept
{
    {
        const std::lock_guard lock{families_->mutex_};
        families_->workflows_.emplace(workflow);
    }
    families_->states.with(process_labels(workflow, "engine")).Set(static_cast<double>(state));
}

std::string prometheus_text(const ::prometheus::Registry& registry)
{
    return ::prometheus::TextSerializer{}.Serialize(registry.Collect());
}

} // namespace pawl
