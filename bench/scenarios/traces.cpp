// What the export of traces costs an engine that works at its full rate.
#include "host.hpp"
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/http/server.hpp"
#include "pawl/otlp.hpp"
#include "pawl/span_observer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

namespace pawl_bench {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

asio::awaitable<pawl::http::response> accept_spans(const pawl::http::request&)
{
    co_return pawl::http::response{.body = "{}"};
}

/// An exporter and a collector that accepts everything, on a thread of their own.
class tracing {
public:
    explicit tracing(double ratio)
        : collector_(thread_.executor(),
                     {{.method = "POST", .pattern = "/v1/traces", .answer = accept_spans}},
                     {.body_limit = 16 * 1024 * 1024})
    {
        collector_.start();
        pawl::otlp_options options;
        options.endpoint = collector_.url() + "/v1/traces";
        options.schedule_delay = 100ms; // so that a short measurement exports, too
        options.log = {};
        exporter_ = std::make_shared<pawl::otlp_exporter>(thread_.executor(), std::move(options));
        watching_ = pawl::make_span_observer(
            exporter_, {.policy = {.sampler = pawl::trace_sampler::ratio, .ratio = ratio}});
    }

    ~tracing()
    {
        thread_.run(exporter_->async_stop(0s));
        thread_.run(collector_.async_stop(0s));
    }

    const std::shared_ptr<pawl::observer>& watching() const noexcept { return watching_; }
    pawl::otlp_statistics statistics() const { return exporter_->statistics(); }

private:
    background_host thread_{1};
    pawl::http::server collector_;
    std::shared_ptr<pawl::otlp_exporter> exporter_;
    std::shared_ptr<pawl::observer> watching_;
};

double drive_with(const options& given, const backend& store, const load& wanted,
                  std::shared_ptr<pawl::observer> watching)
{
    const scratch_folder folder{given};
    rig_options how;
    how.max_active_runs = std::max(how.max_active_runs, wanted.in_flight);
    how.observer = std::move(watching);
    rig engine{store.opener(folder), std::move(how)};
    return drive(engine, wanted).transitions_per_second;
}

/// `exported` is the part of the spans that reached the collector; the others were dropped.
void measure(const options& given, const backend& store, double ratio, report& out)
{
    const load wanted{given.flying(1'000), given.warm_up, given.duration};
    const auto part = fmt::format("{}, {}% of the traces", store.name, ratio * 100);
    figure rate{"traces", part, "transitions/s"};
    figure exported{"traces", part + ", spans exported", "spans/s"};
    rate.limit = "without traces";
    rate.targets = {ratio_at_least(0.97)};
    for (int i = 0; i < given.repeats; ++i) {
        const tracing traced{ratio};
        rate.samples.push_back(drive_with(given, store, wanted, traced.watching()));
        const auto seconds = std::chrono::duration<double>(given.warm_up + given.duration).count();
        exported.samples.push_back(static_cast<double>(traced.statistics().exported) / seconds);
        if (!given.no_limits)
            rate.limit_samples.push_back(drive_with(given, store, wanted, nullptr));
    }
    if (rate.limit_samples.empty())
        rate.targets.clear();
    out.add(std::move(rate));
    out.add(std::move(exported));
}

} // namespace

void traces(const options& given, report& out)
{
    const auto sqlite = backend_named("sqlite");
    for (const double ratio : {1.0, 0.01})
        measure(given, sqlite, ratio, out);
}

} // namespace pawl_bench
