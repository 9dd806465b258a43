// The headers of the messages of brokers.
#include "streams/event_headers.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(event_headers)

namespace {

using namespace std::chrono_literals;
using pawl::streams::header_list;

constexpr pawl::streams::event_header_rules plain{"ce-", "Nats-Msg-Id", {}};
constexpr pawl::streams::event_header_rules with_cloud_events{"ce-", "Nats-Msg-Id", "/orders"};

pawl::stream_event sample()
{
    pawl::stream_event event;
    event.id = "run/1";
    event.key = "order-1";
    event.type = "moved";
    event.headers = {{"status", "2"}};
    event.trace_parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    event.at = pawl::time_point{1'700'000'000'123'456us};
    return event;
}

pawl::stream_event read(const header_list& headers)
{
    pawl::stream_event event;
    pawl::streams::read_event_headers(headers, plain, event);
    return event;
}

std::string value_of(const header_list& headers, std::string_view name)
{
    for (const auto& [known, value] : headers)
        if (known == name)
            return value;
    return "none";
}

} // namespace

BOOST_AUTO_TEST_CASE(an_event_comes_back_as_it_was_written)
{
    auto event = sample();
    for (const auto& rules : {plain, with_cloud_events})
        BOOST_TEST((read(write_event_headers(event, rules)) == event));
    BOOST_TEST((read(write_event_headers({}, plain)) == pawl::stream_event{}));
    std::string all_bytes;
    for (int byte = 0; byte < 256; ++byte)
        all_bytes += static_cast<char>(byte);
    event.id = event.key = event.type = event.trace_parent = all_bytes;
    event.headers = {{all_bytes, all_bytes}, {"", ""}, {"%", "%41"}, {"empty", ""}};
    const auto headers = write_event_headers(event, with_cloud_events);
    BOOST_TEST((read(headers) == event));
    for (const auto& [name, value] : headers)
        for (const char c : name + value)
            BOOST_TEST((c > ' ' && c <= '~'));
}

BOOST_AUTO_TEST_CASE(a_header_that_a_broker_acts_on_is_renamed)
{
    auto event = sample();
    event.headers = {{"Nats-Rollup", "all"}, {"nats-msg-id", "x"}, {"Pawl-Id", "x"},
                     {"ce-id", "x"},         {"ce_id", "x"},       {"Traceparent", "x"}};
    const auto headers = write_event_headers(event, plain);
    BOOST_TEST(value_of(headers, "Nats-Rollup") == "none");
    BOOST_TEST(value_of(headers, "%4Eats-Rollup") == "all");
    BOOST_TEST(value_of(headers, "Nats-Msg-Id") == "run/1");
    BOOST_TEST(value_of(headers, "Pawl-Id") == "run/1");
    BOOST_TEST((read(headers) == event));
}

BOOST_AUTO_TEST_CASE(cloud_events_are_written_in_binary_mode)
{
    auto event = sample();
    event.key = "Euro \xe2\x82\xac";
    const auto headers = write_event_headers(event, with_cloud_events);
    BOOST_TEST(value_of(headers, "ce-specversion") == "1.0");
    BOOST_TEST(value_of(headers, "ce-id") == "run/1");
    BOOST_TEST(value_of(headers, "ce-source") == "/orders");
    BOOST_TEST(value_of(headers, "ce-type") == "moved");
    BOOST_TEST(value_of(headers, "ce-subject") == "Euro%20%E2%82%AC");
    BOOST_TEST(value_of(headers, "ce-time") == "2023-11-14T22:13:20.123456Z");
    BOOST_TEST(value_of(headers, "ce-traceparent") == event.trace_parent);
    BOOST_TEST(value_of(write_event_headers(event, plain), "ce-id") == "none");
}

BOOST_AUTO_TEST_CASE(a_message_of_another_program_is_read)
{
    const auto event = read({{"ce-specversion", "1.0"},
                             {"ce-id", "7"},
                             {"ce-source", "/shop"},
                             {"ce-type", "opened"},
                             {"ce-subject", "order%201"},
                             {"ce-time", "2023-11-14T22:13:20.123456Z"},
                             {"color", "100%25"},
                             {"color", "red"}});
    BOOST_TEST(event.id == "/shop 7");
    BOOST_TEST(event.key == "order 1");
    BOOST_TEST(event.type == "opened");
    BOOST_TEST((event.at == pawl::time_point{1'700'000'000'123'456us}));
    BOOST_TEST(event.headers.at("color") == "100%25, red");
    BOOST_TEST(event.headers.at("ce-id") == "7");
    BOOST_TEST(read({{"Nats-Msg-Id", "a b"}, {"ce-id", "7"}}).id == "a b");
    BOOST_TEST(read({{"ce-time", "yesterday"}}).at.time_since_epoch().count() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
