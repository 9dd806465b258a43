// What the exporter holds, sends at once, counts and logs; and how it ends.
#include "otlp/collector.hpp"
#include "pawl/error.hpp"

#include <boost/asio/thread_pool.hpp>

#include <thread>

BOOST_AUTO_TEST_SUITE(exporter_limits)

using namespace otlp_test;

BOOST_AUTO_TEST_CASE(a_queue_is_limited_by_number_and_by_bytes)
{
    exporter_fixture t;
    t.options.max_queue_bytes = 20'000;
    t.options.schedule_delay = 1h;
    t.open();
    for (int i = 0; i < 3; ++i)
        t.sink->add(span_named(std::string(9'000, 'x')));
    BOOST_TEST(t.sink->statistics().queued == 2u);
    BOOST_TEST(t.sink->statistics().dropped == 1u);
    t.stop(1min);
    BOOST_TEST(t.sink->statistics().exported == 2u);
}

BOOST_AUTO_TEST_CASE(a_batch_is_limited_by_number_and_by_bytes)
{
    exporter_fixture t;
    t.options.max_batch_spans = 4;
    t.options.schedule_delay = 1h; // a full batch does not wait
    t.open();
    t.add(8);
    t.run_until([&] { return t.sink->statistics().exported == 8; });
    BOOST_TEST(t.target.received.size() == 2u);

    exporter_fixture small;
    small.options.max_batch_bytes = 1;
    small.open();
    small.add(3);
    small.drain();
    BOOST_TEST(small.target.received.size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_partial_success_is_counted)
{
    exporter_fixture t;
    t.target.script = {[] {
        return http::response{
            .body = R"({"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}})"};
    }};
    t.open();
    t.add(5);
    const auto now = t.drain();
    BOOST_TEST(now.exported == 3u);
    BOOST_TEST(now.failed == 2u);
    BOOST_TEST_REQUIRE(t.log.size() == 1u);
    BOOST_TEST(t.log[0].find("too old") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(answers_that_make_no_sense_are_ignored)
{
    for (const char* body : {"", "partialSuccess", R"({"partialSuccess":7})",
                             R"({"partialSuccess":{"rejectedSpans":"-x"}})",
                             R"({"partialSuccess":{"rejectedSpans":99999999}})"}) {
        exporter_fixture t;
        t.target.script = {[=] {
            return http::response{.body = body};
        }};
        t.open();
        t.add(1);
        const auto now = t.drain();
        BOOST_TEST(now.exported + now.failed == 1u, body);
    }
}

BOOST_AUTO_TEST_CASE(failures_are_logged_once_in_an_interval)
{
    exporter_fixture t;
    t.target.script.assign(5, [] { return status(400); });
    t.open();
    for (int i = 0; i < 5; ++i) {
        t.add(1);
        t.drain();
    }
    BOOST_TEST(t.sink->statistics().failed == 5u);
    BOOST_TEST(t.log.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_stop_sends_what_waits)
{
    exporter_fixture t;
    t.options.schedule_delay = 1h;
    t.open();
    t.add(600); // more than a batch
    t.stop(1min);
    BOOST_TEST(t.sink->statistics().exported == 600u);
    t.add(1);
    BOOST_TEST(t.sink->statistics().dropped == 1u);
    t.stop(1min); // once more
}

BOOST_AUTO_TEST_CASE(spans_may_come_from_several_threads)
{
    exporter_fixture t;
    t.options.max_queue_spans = 10'000;
    t.options.max_batch_spans = 100;
    asio::thread_pool pool{2};
    t.sink = std::make_shared<pawl::otlp_exporter>(pool.get_executor(), t.options);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&t] { t.add(500); });
    }
    t.stop(1min);
    BOOST_TEST(t.sink->statistics().exported == 2'000u);
    BOOST_TEST(t.target.spans().size() == 2'000u);
    t.sink.reset();
    pool.join();
}

BOOST_AUTO_TEST_CASE(an_idle_exporter_has_no_work)
{
    asio::io_context io;
    const pawl::otlp_exporter sink{io.get_executor(), {}};
    io.run(); // returns
    BOOST_TEST(sink.statistics().queued == 0u);
}

BOOST_AUTO_TEST_CASE(a_destroyed_exporter_ends)
{
    exporter_fixture t;
    t.target.script = {hang};
    t.open();
    t.add(1);
    t.run_until([&] { return !t.target.received.empty(); });
    t.sink.reset();
}

BOOST_AUTO_TEST_CASE(bad_options_are_named)
{
    asio::io_context io;
    const auto refusal = [&](pawl::otlp_options options) -> std::string {
        try {
            pawl::otlp_exporter{io.get_executor(), std::move(options)};
        } catch (const pawl::definition_error& error) {
            return error.what();
        }
        return "accepted";
    };
    BOOST_TEST(refusal({.max_queue_spans = 0}) ==
               "otlp_options::max_queue_spans is 0; it must be at least 1");
    BOOST_TEST(refusal({.max_queue_spans = 10}) ==
               "otlp_options::max_batch_spans is 512; it must be from 1 to 10");
    for (const auto& [options, name] : std::vector<std::pair<pawl::otlp_options, std::string>>{
             {{.endpoint = "here"}, "endpoint is \"here\""},
             {{.timeout = 0s}, "timeout is 0 s"},
             {{.retry = {.multiplier = 0}}, "retry."},
             {{.max_queue_bytes = 0}, "max_queue_bytes"},
             {{.max_batch_spans = 0}, "max_batch_spans"},
             {{.max_batch_bytes = 0}, "max_batch_bytes"},
             {{.schedule_delay = -1s}, "schedule_delay"},
             {{.log_interval = -1s}, "log_interval"}})
        BOOST_TEST(refusal(options).find(name) != std::string::npos, refusal(options));
}

BOOST_AUTO_TEST_SUITE_END()
