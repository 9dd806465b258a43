#include "metrics.hpp"

#include "pawl/prometheus.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace order_processing {
namespace {

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& in, const char* name,
                                                  const char* help)
{
    return prometheus::BuildCounter().Name(name).Help(help).Register(in);
}

/// A peer may send any word as its method.
std::string known_method(std::string_view method)
{
    constexpr std::array known{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    return std::ranges::find(known, method) != known.end() ? std::string{method} : "other";
}

/// A wait for an order ends within seconds, or fails after minutes.
const prometheus::Histogram::BucketBoundaries boundaries{
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600};

} // namespace

metrics::metrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      accepted_(
          counters(*registry_, "order_server_orders_accepted_total", "Orders accepted").Add({})),
      paused_(counters(*registry_, "order_server_orders_paused_total",
                       "Orders that somebody has to look at")
                  .Add({})),
      unsent_(counters(*registry_, "order_server_service_requests_unsent_total",
                       "Steps that wait because a service could not be reached")
                  .Add({})),
      ended_(counters(*registry_, "order_server_orders_ended_total",
                      "Orders that have ended, by status")),
      requests_(counters(*registry_, "order_server_requests_total",
                         "Requests answered by a route, by method, route and status; 499: the "
                         "client left before")),
      refused_(counters(*registry_, "order_server_refused_total",
                        "Requests that no route has answered, by status")),
      seconds_(prometheus::BuildHistogram()
                   .Name("order_server_request_duration_seconds")
                   .Help("From the last byte of a request until its answer was sent, by method, "
                         "route and class of status")
                   .Register(*registry_))
{
}

void metrics::order_ended(std::string_view status)
{
    ended_.Add({{"status", std::string{status}}}).Increment();
}

void metrics::answered(const pawl::http::answer_record& answer)
{
    const auto status = std::to_string(answer.status);
    if (answer.route.empty() || answer.status == 405) {
        refused_.Add({{"status", status}}).Increment();
        return;
    }
    prometheus::Labels labels{{"method", known_method(answer.method)},
                              {"route", std::string{answer.route}},
                              {"status", status}};
    requests_.Add(labels).Increment();
    labels["status"] = status.substr(0, 1) + "xx";
    seconds_.Add(labels, boundaries).Observe(std::chrono::duration<double>(answer.took).count());
}

std::string metrics::text() const
{
    return pawl::prometheus_text(*registry_);
}

} // namespace order_processing
