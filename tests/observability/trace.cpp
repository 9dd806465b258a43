// Trace contexts: how the header is read and written, and what a run's attempts are called.
#include "pawl/trace.hpp"
#include "engine/support.hpp"

#include <array>
#include <set>

BOOST_AUTO_TEST_SUITE(traces)

using namespace engine_test;
using enum light;

BOOST_AUTO_TEST_CASE(a_header_is_read_and_written)
{
    const std::string header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const auto read = pawl::trace_context::parse(header);
    BOOST_REQUIRE(read.has_value());
    BOOST_TEST(read->flags == 1);
    BOOST_TEST(read->trace_id[0] == 0x4b);
    BOOST_TEST(read->span_id[7] == 0xb7);
    BOOST_TEST(to_string(*read) == header);
    // A later version may say more.
    BOOST_TEST((pawl::trace_context::parse("cc" + header.substr(2) + "-more") == read));
}

BOOST_AUTO_TEST_CASE(what_is_no_header_is_none)
{
    const std::string header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const std::string wrong[] = {
        "",
        header.substr(1),
        header + "0",
        header + "-more",
        "ff" + header.substr(2),
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "zz-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    };
    for (const auto& each : wrong)
        BOOST_TEST(!pawl::trace_context::parse(each).has_value(), each);
}

BOOST_AUTO_TEST_CASE(attempts_are_spans_of_the_triggers_trace)
{
    world w;
    std::vector<std::string> spans;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run& run) -> pawl::step<yellow> {
         spans.push_back(run.trace_parent());
         if (run.attempt() < 2)
             throw std::runtime_error("once more");
         co_return pawl::to<yellow>;
     }).retry({.initial = 1s});
    b.callback<yellow>("go on", [&](lamp_run& run) -> pawl::step<off> {
        spans.push_back(run.trace_parent());
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const std::string parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {.trace_parent = parent}));
    w.advance(2s);
    w.wait_for(client.async_call(run, "go on", 0));
    BOOST_REQUIRE(spans.size() == 3u);
    for (const auto& span : spans) {
        const auto read = pawl::trace_context::parse(span);
        BOOST_REQUIRE(read.has_value());
        BOOST_TEST(span.substr(0, 36) == parent.substr(0, 36)); // the trace
        BOOST_TEST(span.substr(53) == "00");                    // not sampled, as asked
        BOOST_TEST(span != parent);
    }
    BOOST_TEST(spans[0] != spans[1]);
    BOOST_TEST(spans[1] != spans[2]);
}

BOOST_AUTO_TEST_CASE(without_one_or_with_a_wrong_one_a_run_is_a_trace_of_its_own)
{
    world w;
    std::string span;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run& run) -> pawl::step<off> {
        span = run.trace_parent();
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    std::set<std::array<std::uint8_t, 16>> traces;
    for (const char* given : {"", "nonsense"}) {
        const auto run = w.wait_for(client.async_trigger("a", lamp{}, {.trace_parent = given}));
        w.settle();
        const auto read = pawl::trace_context::parse(span);
        BOOST_REQUIRE(read.has_value());
        BOOST_TEST(read->flags == 1);
        BOOST_TEST((read->trace_id != run.bytes)); // see tests/otlp/trace_ids.cpp
        BOOST_TEST(traces.insert(read->trace_id).second);
    }
}

BOOST_AUTO_TEST_SUITE_END()
