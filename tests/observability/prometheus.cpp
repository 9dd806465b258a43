// The metrics of prometheus-cpp: each moves when it should, and labels stay bounded.
#include "pawl/prometheus.hpp"
#include "engine/support.hpp"

#include <prometheus/registry.h>

#include <sstream>

BOOST_AUTO_TEST_SUITE(prometheus_)

using namespace engine_test;
using enum light;

namespace {

struct measured : world {
    std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
    std::shared_ptr<pawl::prometheus_metrics> metrics =
        std::make_shared<pawl::prometheus_metrics>(registry);

    measured() { options.observer = metrics; }

    /// The lines of the exposition that begin so.
    std::vector<std::string> lines(const std::string& prefix)
    {
        std::vector<std::string> found;
        std::istringstream text{pawl::prometheus_text(*registry)};
        for (std::string line; std::getline(text, line);)
            if (line.starts_with(prefix))
                found.push_back(line);
        return found;
    }

    /// The value of the one line that has all these words.
    double value(const std::string& name, const std::vector<std::string>& words = {})
    {
        double sum = -1;
        for (const auto& line : lines(name))
            if (std::ranges::all_of(words, [&](const std::string& word) {
                    return line.find(word) != std::string::npos;
                })) {
                BOOST_TEST(sum == -1, "two lines: " << line);
                sum = std::stod(line.substr(line.rfind(' ')));
            }
        return sum;
    }

    void update() { metrics->update(wait_for(engine->async_statistics())); }
};

pawl::step<off> flicker(lamp_run& run)
{
    if (run.attempt() < 3)
        throw std::runtime_error("no bulb for " + run.foreign_id());
    if (run.object().value == 1)
        co_return pawl::skip();
    co_return pawl::to<off>;
}

lamp_builder flickering()
{
    lamp_builder b{"lamps"};
    b.step<red>(flicker).retry({.initial = 1s, .multiplier = 1, .jitter = 0});
    b.end<off>();
    return b;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_metrics_of_handlers_and_run_states)
{
    measured w;
    auto client = w.start(flickering().build());
    w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_trigger("b", lamp{.value = 1}));
    w.advance(1s);
    w.advance(1s);
    BOOST_TEST(w.value("workflow_process_error_count", {"lamps", "red-step"}) == 4);
    BOOST_TEST(w.value("workflow_process_latency_seconds_count", {"lamps", "red-step"}) == 6);
    BOOST_TEST(w.lines("workflow_process_latency_seconds_bucket").size() == 8u);
    BOOST_TEST(w.value("workflow_process_skipped_events_count",
                       {"red-step", "reason=\"skip returned\""}) == 1);
    BOOST_TEST(w.value("workflow_run_state_changes", {"\"Unknown\"", "\"Initiated\""}) == 2);
    BOOST_TEST(w.value("workflow_run_state_changes", {"\"Initiated\"", "\"Running\""}) == 2);
    BOOST_TEST(w.value("workflow_run_state_changes", {"\"Running\"", "\"Completed\""}) == 1);
    BOOST_TEST(w.value("pawl_batch_changes_count") > 0);
}

BOOST_AUTO_TEST_CASE(the_state_of_the_engine)
{
    measured w;
    w.start(flickering().build());
    BOOST_TEST(w.value("workflow_process_states", {"\"lamps\"", "\"engine\""}) == 2);
    w.stop();
    BOOST_TEST(w.value("workflow_process_states", {"\"lamps\"", "\"engine\""}) == 1);
}

BOOST_AUTO_TEST_CASE(the_lag_of_a_run_that_nobody_takes_up)
{
    measured w;
    w.options.max_active_runs = 1;
    lamp_builder b{"lamps"};
    b.step<red>([&w](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*w.clock, 100h);
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    w.update();
    BOOST_TEST(w.value("workflow_process_lag_seconds", {"\"lamps\""}) == 0);
    w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_trigger("b", lamp{}));
    w.settle();
    w.advance(1h);
    w.update();
    BOOST_TEST(w.value("workflow_process_lag_seconds", {"\"lamps\""}) == 3600);
    BOOST_TEST(w.value("workflow_process_lag_alert", {"\"lamps\""}) == 1);
    BOOST_TEST(w.value("pawl_due_lag_seconds") == 3600);
    BOOST_TEST(w.value("pawl_urgent_runs") == 0);
    BOOST_TEST(w.value("pawl_waiting_handlers") == 0);
    BOOST_TEST(w.value("pawl_stalled_seconds") == 3600);
    BOOST_TEST(w.value("pawl_active_runs") == 1);
    BOOST_TEST(w.value("pawl_owned_shards") == 1);
}

BOOST_AUTO_TEST_CASE(labels_do_not_grow_with_runs_or_errors)
{
    measured w;
    auto client = w.start(flickering().build());
    const auto run_some = [&](int first, int last) {
        for (int i = first; i < last; ++i)
            w.wait_for(client.async_trigger("run " + std::to_string(i), lamp{.value = i % 2}));
        w.advance(1s);
        w.advance(1s);
        w.update();
        return w.lines("").size();
    };
    const auto few = run_some(0, 10);
    BOOST_TEST(run_some(10, 500) == few);
}

BOOST_AUTO_TEST_SUITE_END()
