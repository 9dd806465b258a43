#include "otlp/support.hpp"

namespace otlp_test {

namespace {

asio::awaitable<void> open_job(pawl::event_context<job, stage>& in)
{
    co_await in.trigger(in.event().key, job{});
}

} // namespace

traced::traced(pawl::span_observer_options options)
{
    const auto flow = jobs();
    pawl::testing::harness_options harness;
    harness.engine.store = store;
    harness.engine.observer = pawl::make_span_observer(sink, std::move(options));
    harness.configure = [this, flow](pawl::engine& engine) {
        engine.add(part_work());
        engine.connect("shop", pawl::from_topic(broker, "orders"), flow, open_job);
    };
    test = std::make_unique<job_harness>(flow, std::move(harness));
}

void traced::publish(pawl::stream_event event)
{
    test->wait_for(broker->send("orders", {std::move(event)}));
    test->run_until_idle();
}

} // namespace otlp_test
