// Each streamer against the contract of event_streamer, and streamers that break one rule against
// the check that is named for it.
#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"
#include "pawl/testing/streamer_conformance.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(broken_streamers)

namespace {

using boost::asio::awaitable;

std::shared_ptr<pawl::event_streamer> in_memory()
{
    return pawl::store_streamer(pawl::open_memory());
}

std::shared_ptr<pawl::event_streamer> in_sqlite()
{
    return pawl::store_streamer(pawl::open_sqlite(":memory:"));
}

const bool added = [] {
    const std::pair<const char*, pawl::testing::streamer_factory> all[] = {
        {"memory_streamer", in_memory}, {"sqlite_streamer", in_sqlite}};
    for (const auto& [name, make] : all) {
        auto* suite = BOOST_TEST_SUITE(name);
        for (const auto& check : pawl::testing::streamer_conformance_checks())
            suite->add(boost::unit_test::make_test_case([check, make] { check.run(make); },
                                                        check.name, __FILE__, __LINE__));
        boost::unit_test::framework::current_auto_test_suite().add(suite);
    }
    return true;
}();

/// Passes everything on, to be broken in one place.
struct forwarding_streamer : pawl::event_streamer {
    std::shared_ptr<pawl::event_streamer> sound = in_memory();

    awaitable<std::vector<std::uint64_t>> send(std::string topic,
                                               std::vector<pawl::stream_event> events) override
    {
        return sound->send(std::move(topic), std::move(events));
    }

    awaitable<std::unique_ptr<pawl::event_receiver>>
    subscribe(std::string topic, std::string consumer, pawl::subscribe_from from) override
    {
        return sound->subscribe(std::move(topic), std::move(consumer), from);
    }

    awaitable<void> trim(std::string topic, std::uint64_t up_to) override
    {
        return sound->trim(std::move(topic), up_to);
    }
};

/// Finds the latest event only when it is asked for one.
struct decides_late : forwarding_streamer {
    struct receiver final : pawl::event_receiver {
        std::shared_ptr<pawl::event_streamer> sound;
        std::string topic, consumer;
        pawl::subscribe_from from{};
        std::unique_ptr<pawl::event_receiver> begun;

        awaitable<std::vector<pawl::stream_event>> receive(std::size_t limit) override
        {
            if (!begun)
                begun = co_await sound->subscribe(topic, consumer, from);
            auto events = co_await begun->receive(limit);
            co_return events;
        }

        awaitable<void> ack(std::uint64_t position) override { return begun->ack(position); }
    };

    awaitable<std::unique_ptr<pawl::event_receiver>>
    subscribe(std::string topic, std::string consumer, pawl::subscribe_from from) override
    {
        auto made = std::make_unique<receiver>();
        made->sound = sound;
        made->topic = std::move(topic);
        made->consumer = std::move(consumer);
        made->from = from;
        co_return made;
    }
};

/// All consumers share one name.
struct shares_cursors : forwarding_streamer {
    awaitable<std::unique_ptr<pawl::event_receiver>> subscribe(std::string topic, std::string,
                                                               pawl::subscribe_from from) override
    {
        return sound->subscribe(std::move(topic), "everybody", from);
    }
};

/// Forgets ids.
struct stores_twice : forwarding_streamer {
    awaitable<std::vector<std::uint64_t>> send(std::string topic,
                                               std::vector<pawl::stream_event> events) override
    {
        for (auto& each : events)
            each.id += "#" + std::to_string(++count);
        return sound->send(std::move(topic), std::move(events));
    }

    int count = 0;
};

template <class Broken>
void expect_noticed(const std::string& name)
{
    for (const auto& check : pawl::testing::streamer_conformance_checks())
        if (check.name == name) {
            check.run([] { return std::make_shared<forwarding_streamer>(); });
            BOOST_CHECK_THROW(check.run([] { return std::make_shared<Broken>(); }),
                              std::runtime_error);
            return;
        }
    BOOST_ERROR("there is no check " << name);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_late_decision_is_noticed)
{
    expect_noticed<decides_late>("latest_is_fixed_when_the_subscription_completes");
}

BOOST_AUTO_TEST_CASE(shared_cursors_are_noticed)
{
    expect_noticed<shares_cursors>("consumers_and_topics_are_independent");
}

BOOST_AUTO_TEST_CASE(repeated_ids_are_noticed)
{
    expect_noticed<stores_twice>("an_id_is_stored_once");
}

BOOST_AUTO_TEST_SUITE_END()
