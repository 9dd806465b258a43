// The sink: confirmations, ids, headers, and what a broker refuses.
#include "nats/support.hpp"
#include "pawl/error.hpp"
#include "printing.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <functional>

BOOST_AUTO_TEST_SUITE(nats_sink)

namespace {

using namespace std::chrono_literals;
using nats_test::administrator;
using pawl::errc;

pawl::stream_event event_of(std::string id, std::string payload = "{}")
{
    pawl::stream_event made;
    made.id = std::move(id);
    made.key = "key";
    made.type = "moved";
    made.payload = std::move(payload);
    made.headers = {{"status", "2"}};
    return made;
}

/// Sends, and returns the code of the failure.
pawl::error_code send(pawl::event_sink& sink, std::vector<pawl::stream_event> events)
{
    boost::asio::io_context io;
    pawl::error_code result;
    boost::asio::co_spawn(io, sink.send(std::move(events)), [&](std::exception_ptr failure) {
        try {
            if (failure)
                std::rethrow_exception(failure);
        } catch (const pawl::system_error& e) {
            result = e.code();
            BOOST_TEST_MESSAGE(e.what());
        }
    });
    io.run();
    return result;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_repeated_event_is_stored_once)
{
    administrator admin{nats_test::server()};
    const auto stream = nats_test::new_stream();
    admin.add_stream(stream);
    const auto sink = pawl::to_nats(pawl::open_nats(nats_test::options()), {.subject = stream});
    BOOST_TEST(send(*sink, {event_of("1"), event_of("2")}) == pawl::error_code{});
    BOOST_TEST(send(*sink, {event_of("2"), event_of("3")}) == pawl::error_code{});
    BOOST_TEST(send(*sink, {}) == pawl::error_code{});
    const auto stored = admin.messages(stream);
    BOOST_REQUIRE(stored.size() == 3u);
    for (std::size_t i = 0; i < stored.size(); ++i)
        BOOST_TEST(stored[i].headers.at("Nats-Msg-Id") == std::to_string(i + 1));
    BOOST_TEST(stored[0].data == "{}");
    BOOST_TEST(stored[0].headers.at("Pawl-Key") == "key");
    BOOST_TEST(stored[0].headers.at("status") == "2");
    BOOST_TEST(!stored[0].headers.contains("ce-id"));
}

BOOST_AUTO_TEST_CASE(cloud_events_and_subjects_are_options)
{
    administrator admin{nats_test::server()};
    const auto stream = nats_test::new_stream();
    admin.add_stream(stream);
    const auto sink = pawl::to_nats(
        pawl::open_nats(nats_test::options()),
        {.subject_of =
             [stream](const pawl::stream_event& event) { return stream + "." + event.type; },
         .cloud_events_source = "/orders"});
    BOOST_TEST(send(*sink, {event_of("1")}) == pawl::error_code{});
    const auto stored = admin.messages(stream);
    BOOST_REQUIRE(stored.size() == 1u);
    BOOST_TEST(stored[0].subject == stream + ".moved");
    BOOST_TEST(stored[0].headers.at("ce-id") == "1");
    BOOST_TEST(stored[0].headers.at("ce-source") == "/orders");
    BOOST_TEST(stored[0].headers.at("ce-type") == "moved");
    auto odd = event_of("2");
    odd.type = "a b";
    BOOST_TEST(send(*sink, {odd}) == errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(what_no_stream_stores_is_not_confirmed)
{
    const auto client = pawl::open_nats(nats_test::options());
    const auto sink = pawl::to_nats(client, {.subject = "nobody.listens"});
    BOOST_TEST(send(*sink, {event_of("1")}) == errc::broker_unavailable);
}

BOOST_AUTO_TEST_CASE(an_event_that_is_too_large_is_refused)
{
    administrator admin{nats_test::server()};
    const auto stream = nats_test::new_stream();
    admin.add_stream(stream);
    const auto sink = pawl::to_nats(pawl::open_nats(nats_test::options()), {.subject = stream});
    BOOST_TEST(send(*sink, {event_of("1", std::string(2 << 20, 'x'))}) == errc::invalid_argument);
    BOOST_TEST(send(*sink, {event_of("2", std::string(500'000, 'x'))}) == pawl::error_code{});
    BOOST_TEST(admin.messages(stream).size() == 1u);
}

BOOST_AUTO_TEST_CASE(more_than_max_pending_is_refused)
{
    administrator admin{nats_test::server()};
    const auto stream = nats_test::new_stream();
    admin.add_stream(stream);
    const auto sink =
        pawl::to_nats(pawl::open_nats(nats_test::options()), {.subject = stream, .max_pending = 2});
    BOOST_TEST(send(*sink, {event_of("1"), event_of("2"), event_of("3")}) == errc::overloaded);
    BOOST_TEST(send(*sink, {event_of("1"), event_of("2")}) == pawl::error_code{});
}

BOOST_AUTO_TEST_CASE(a_server_that_is_away_is_an_error_until_it_is_back)
{
    nats_server own;
    {
        administrator admin{own};
        admin.add_stream("news");
    }
    own.kill();
    const auto sink =
        pawl::to_nats(pawl::open_nats({.servers = {own.url()}, .reconnect_wait = 10ms}),
                      {.subject = "news", .publish_timeout = 200ms});
    BOOST_TEST(send(*sink, {event_of("1")}) == errc::broker_unavailable);
    own.start();
    const auto send_until_stored = [&](const char* id) {
        while (send(*sink, {event_of(id)}) == errc::broker_unavailable) {
        }
    };
    send_until_stored("1");
    own.kill(); // a connection that was there
    BOOST_TEST(send(*sink, {event_of("2")}) == errc::broker_unavailable);
    own.start();
    send_until_stored("2");
    const auto stored = administrator{own}.messages("news");
    BOOST_REQUIRE(stored.size() == 2u);
    BOOST_TEST(stored[1].headers.at("Nats-Msg-Id") == "2");
}

BOOST_AUTO_TEST_CASE(options_must_be_in_their_range)
{
    const auto refusal = [](const std::function<void()>& make) -> std::string {
        try {
            make();
        } catch (const pawl::definition_error& e) {
            return e.what();
        }
        return {};
    };
    const auto client = pawl::open_nats(nats_test::options());
    const auto with = [&](pawl::nats_options options) {
        return refusal([&] { pawl::open_nats(options); });
    };
    BOOST_TEST(with({}) == "");
    BOOST_TEST(with({.servers = {}}) == "nats_options::servers must not be empty");
    BOOST_TEST(with({.password = "x"}) == "nats_options::password needs a user");
    BOOST_TEST(with({.certificate_file = "x"}).find("key_file") != std::string::npos);
    BOOST_TEST(with({.connect_timeout = 0s}).find("connect_timeout must") != std::string::npos);
    BOOST_TEST(with({.request_timeout = 1h}).find("request_timeout must") != std::string::npos);
    BOOST_TEST(with({.reconnect_wait = 0s}).find("reconnect_wait must") != std::string::npos);
    BOOST_TEST(with({.reconnect_buffer_bytes = 0}).find("reconnect_buffer_bytes must") !=
               std::string::npos);
    const auto sink = [&](pawl::nats_sink_options options) {
        return refusal([&] { pawl::to_nats(client, options); });
    };
    BOOST_TEST(sink({.subject = "a"}) == "");
    BOOST_TEST(sink({}).find("subject must not be empty") != std::string::npos);
    BOOST_TEST(sink({.subject = "a.*"}).find("wildcards") != std::string::npos);
    BOOST_TEST(sink({.subject = "a", .publish_timeout = 0s}).find("publish_timeout must") !=
               std::string::npos);
    BOOST_TEST(sink({.subject = "a", .max_pending = 0}).find("max_pending must") !=
               std::string::npos);
    BOOST_TEST(refusal([] { pawl::to_nats(nullptr, {.subject = "a"}); }) ==
               "to_nats: the client must not be null");
    const auto source = [&](pawl::nats_source_options options) {
        return refusal([&] { pawl::from_nats(client, options); });
    };
    BOOST_TEST(source({.stream = "a"}) == "");
    BOOST_TEST(source({}).find("stream is \"\"") != std::string::npos);
    BOOST_TEST(source({.stream = "a.b"}).find("must be the name of a stream") != std::string::npos);
    BOOST_TEST(source({.stream = "a", .ack_wait = 1ms}).find("ack_wait must") != std::string::npos);
    BOOST_TEST(source({.stream = "a", .max_ack_pending = 0}).find("max_ack_pending must") !=
               std::string::npos);
    BOOST_TEST(source({.stream = "a", .fetch_size = 0}).find("fetch_size must") !=
               std::string::npos);
    BOOST_TEST(source({.stream = "a", .fetch_bytes = 0}).find("fetch_bytes must") !=
               std::string::npos);
    BOOST_TEST(refusal([] { pawl::from_nats(nullptr, {.stream = "a"}); }) ==
               "from_nats: the client must not be null");
}

BOOST_AUTO_TEST_SUITE_END()
