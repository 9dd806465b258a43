// The source of a JetStream stream against the contract of event_source, with a server that is
// killed and started again.
#include "nats/support.hpp"
#include "pawl/error.hpp"
#include "pawl/testing/source_conformance.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(nats_conformance)

namespace {

using namespace std::chrono_literals;
using boost::asio::awaitable;
using nats_test::administrator;
using pawl::testing::source_fixture;

constexpr auto ack_wait = 600ms;

/// A stream "news" on a server of its own.
struct news_stream {
    nats_server server;
    administrator admin{server};
    std::shared_ptr<pawl::nats_client> client =
        pawl::open_nats({.servers = {server.url()}, .reconnect_wait = 20ms});
    std::shared_ptr<pawl::event_sink> sink = pawl::to_nats(client, {.subject = "news"});
    int count = 0;

    news_stream() { admin.add_stream("news"); }
};

/// Repeats what a server that is starting refuses.
awaitable<std::string> publish(std::shared_ptr<news_stream> news, std::string key)
{
    pawl::stream_event sent;
    sent.id = "event-" + std::to_string(++news->count);
    sent.key = std::move(key);
    for (bool sends = true; sends;) {
        sends = false;
        std::vector<pawl::stream_event> batch{sent};
        try {
            co_await news->sink->send(std::move(batch));
        } catch (const pawl::error& failure) {
            sends = failure.code() == pawl::errc::broker_unavailable;
            if (!sends)
                throw;
        }
    }
    co_return sent.id;
}

awaitable<std::string> publish_poison(std::shared_ptr<news_stream> news)
{
    std::string id = "poison-" + std::to_string(++news->count);
    news->admin.publish("news.poison", std::string{"\0{\xff\xfe", 4}, {{"Nats-Msg-Id", id}});
    co_return id;
}

awaitable<void> restart_server(std::shared_ptr<news_stream> news)
{
    news->server.restart();
    co_return;
}

source_fixture with_news(const boost::asio::any_io_executor&)
{
    const auto news = std::make_shared<news_stream>();
    source_fixture made;
    made.make_source = [news] {
        return pawl::from_nats(news->client,
                               {.stream = "news", .ack_wait = ack_wait, .fetch_size = 16});
    };
    made.publish = [news](std::string key) {
        return publish(news, std::move(key));
    };
    made.publish_poison = [news] {
        return publish_poison(news);
    };
    made.disconnect = [news] {
        return restart_server(news);
    };
    made.redelivery_time = ack_wait;
    made.event_timeout = 20s;
    return made;
}

const bool added = [] {
    for (const auto& check : pawl::testing::source_conformance_checks())
        boost::unit_test::framework::current_auto_test_suite().add(boost::unit_test::make_test_case(
            [check] { check.run(with_news); }, check.name, __FILE__, __LINE__));
    return true;
}();

} // namespace

BOOST_AUTO_TEST_SUITE_END()
