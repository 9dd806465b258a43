// What becomes of the messages of a receiver: redelivery, order, acknowledgements.
#include "nats/delivery_tracker.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(nats_deliveries)

namespace {

using pawl::nats::delivery_tracker;
using outcome = delivery_tracker::outcome;
using texts = std::vector<std::string>;

/// Each delivery has another subject for its acknowledgement.
outcome add(delivery_tracker& tracker, std::uint64_t sequence, const std::string& reply,
            std::int64_t stored_at = 0)
{
    pawl::nats::delivery received;
    received.origin = {"news", sequence,
                       stored_at == 0 ? static_cast<std::int64_t>(sequence) : stored_at};
    received.reply = reply;
    received.event.id = std::to_string(sequence);
    return tracker.add(std::move(received));
}

/// Ids with their positions.
texts taken(delivery_tracker& tracker)
{
    texts found;
    for (const auto& event : tracker.take_events())
        found.push_back(event.id + "@" + std::to_string(event.position));
    return found;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_subject_of_an_acknowledgement_names_the_message)
{
    const auto old = pawl::nats::parse_origin("$JS.ACK.news.reader.1.12.3.1700000000000000000.0");
    BOOST_REQUIRE(old.has_value());
    BOOST_TEST(old->stream == "news");
    BOOST_TEST(old->sequence == 12u);
    BOOST_TEST(old->stored_at == 1'700'000'000'000'000'000);
    const auto modern = pawl::nats::parse_origin(
        "$JS.ACK.hub.ACCOUNT.news.reader.1.12.3.1700000000000000000.0.token");
    BOOST_REQUIRE(modern.has_value());
    BOOST_TEST(modern->stream == "news");
    BOOST_TEST(modern->sequence == 12u);
    for (const auto* wrong :
         {"", "$JS.ACK", "news", "$JS.ACK.news.reader.1.x.3.5.0", "$JS.ACK.news.reader.1.0.3.5.0",
          "$JS.API.news.reader.1.2.3.5.0", "$JS.ACK.news.reader.1.12.3.4x.0"})
        BOOST_TEST(!pawl::nats::parse_origin(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_CASE(a_message_that_is_delivered_again_is_given_once)
{
    delivery_tracker tracker{0, 0};
    BOOST_TEST((add(tracker, 5, "a") == outcome::accepted));
    BOOST_TEST((add(tracker, 9, "b") == outcome::accepted));
    BOOST_TEST(taken(tracker) == (texts{"5@1", "9@2"}), boost::test_tools::per_element());
    BOOST_TEST((add(tracker, 5, "c") == outcome::known));
    BOOST_TEST(taken(tracker).empty());
    BOOST_TEST(tracker.open_replies() == (texts{"c", "b"}), boost::test_tools::per_element());
    BOOST_TEST(tracker.acknowledge(1) == (texts{"c"}), boost::test_tools::per_element());
    BOOST_TEST((add(tracker, 5, "d") == outcome::acknowledged));
    BOOST_TEST(taken(tracker).empty());
    BOOST_TEST(tracker.acknowledge(100) == (texts{"b"}), boost::test_tools::per_element());
    BOOST_TEST(tracker.unacknowledged() == 0u);
}

BOOST_AUTO_TEST_CASE(messages_of_an_earlier_receiver_come_first)
{
    delivery_tracker tracker{2, 8};
    BOOST_TEST(tracker.holds());
    BOOST_TEST((add(tracker, 9, "a") == outcome::accepted));
    BOOST_TEST((add(tracker, 7, "b") == outcome::accepted));
    BOOST_TEST(taken(tracker).empty());
    BOOST_TEST(tracker.open_replies() == (texts{"b", "a"}), boost::test_tools::per_element());
    BOOST_TEST((add(tracker, 9, "c") == outcome::known));
    BOOST_TEST((add(tracker, 4, "d") == outcome::accepted));
    BOOST_TEST(!tracker.holds());
    BOOST_TEST(taken(tracker) == (texts{"4@1", "7@2", "9@3"}), boost::test_tools::per_element());
    BOOST_TEST(tracker.acknowledge(2) == (texts{"d", "b"}), boost::test_tools::per_element());
    BOOST_TEST((add(tracker, 4, "e") == outcome::acknowledged));
}

BOOST_AUTO_TEST_CASE(an_earlier_message_that_comes_late_is_not_lost)
{
    delivery_tracker tracker{2, 8};
    add(tracker, 7, "a");
    add(tracker, 9, "b");
    tracker.end_hold();
    BOOST_TEST(taken(tracker) == (texts{"7@1", "9@2"}), boost::test_tools::per_element());
    BOOST_TEST((add(tracker, 4, "c") == outcome::accepted));
    BOOST_TEST(taken(tracker) == (texts{"4@3"}), boost::test_tools::per_element());
    BOOST_TEST(tracker.acknowledge(3) == (texts{"a", "b", "c"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_stream_that_was_replaced_is_noticed)
{
    delivery_tracker tracker{0, 0};
    add(tracker, 5, "a");
    tracker.acknowledge(1);
    BOOST_TEST((add(tracker, 1, "b", 6) == outcome::went_back));
}

BOOST_AUTO_TEST_SUITE_END()
