// Each source against the contract of event_source, and sources with one fault each against the
// check that must notice it.
#include "async/auto_reset_event.hpp"
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"
#include "pawl/testing/source_conformance.hpp"

#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>

BOOST_AUTO_TEST_SUITE(sources)

namespace {

using namespace std::chrono_literals;
using boost::asio::awaitable;
using pawl::testing::source_fixture;

/// Sends an event to the topic "news", and returns its id.
awaitable<std::string> send_news(std::shared_ptr<pawl::event_streamer> streamer,
                                 std::shared_ptr<int> count, std::string key, std::string payload)
{
    pawl::stream_event sent;
    sent.id = "event-" + std::to_string(++*count);
    sent.key = std::move(key);
    sent.payload = std::move(payload);
    const auto id = sent.id;
    std::vector<pawl::stream_event> batch{std::move(sent)};
    co_await streamer->send("news", std::move(batch));
    co_return id;
}

source_fixture topic_in(const std::shared_ptr<pawl::record_store>& store)
{
    const auto streamer = pawl::store_streamer(store);
    const auto count = std::make_shared<int>(0);
    source_fixture made;
    made.make_source = [store] {
        return pawl::from_topic(pawl::store_streamer(store), "news");
    };
    made.publish = [streamer, count](std::string key) {
        return send_news(streamer, count, std::move(key), {});
    };
    made.publish_poison = [streamer, count] {
        return send_news(streamer, count, {}, std::string{"\0{\xff\xfe", 4});
    };
    return made;
}

source_fixture topic_in_memory(const boost::asio::any_io_executor&)
{
    return topic_in(pawl::open_memory());
}

source_fixture topic_in_sqlite(const boost::asio::any_io_executor&)
{
    return topic_in(pawl::open_sqlite(":memory:"));
}

enum class state { begun = 1, ended };

pawl::step<state::ended> finish(pawl::run<pawl::bytes>&)
{
    co_return pawl::to<state::ended>;
}

/// An engine on a thread of its own, whose runs are the events.
struct running_engine {
    running_engine()
    {
        pawl::builder<pawl::bytes, state> b{"jobs"};
        b.step<state::begun>(finish);
        b.end<state::ended>();
        client.emplace(engine.add(std::move(b).build()));
        engine.async_start(boost::asio::use_future).get();
    }

    ~running_engine()
    {
        engine.async_stop(0s, boost::asio::use_future).get();
        pool.join();
    }

    boost::asio::thread_pool pool{1};
    pawl::engine engine{pool.get_executor(), {.store = pawl::open_memory({.shards = 4})}};
    std::optional<pawl::client<pawl::bytes, state>> client;
};

awaitable<std::string> start_run(std::shared_ptr<running_engine> running, std::string foreign_id)
{
    const auto run = co_await running->client->async_trigger(std::move(foreign_id), pawl::bytes{},
                                                             {}, boost::asio::use_awaitable);
    // A foreign id has one unfinished run at a time.
    co_await running->client->async_await_finished(run, boost::asio::use_awaitable);
    co_return to_string(run) + "/1";
}

source_fixture workflow_in_memory(const boost::asio::any_io_executor&)
{
    const auto running = std::make_shared<running_engine>();
    source_fixture made;
    made.make_source = [running] {
        return running->engine.events("jobs", {.kinds = {pawl::event_kind::started}});
    };
    made.publish = [running](std::string key) {
        return start_run(running, std::move(key));
    };
    return made;
}

const bool added = [] {
    const std::pair<const char*, pawl::testing::source_fixture_factory> all[] = {
        {"memory_topic", topic_in_memory},
        {"sqlite_topic", topic_in_sqlite},
        {"workflow", workflow_in_memory}};
    for (const auto& [name, make] : all) {
        auto* suite = BOOST_TEST_SUITE(name);
        for (const auto& check : pawl::testing::source_conformance_checks())
            suite->add(boost::unit_test::make_test_case([check, make] { check.run(make); },
                                                        check.name, __FILE__, __LINE__));
        boost::unit_test::framework::current_auto_test_suite().add(suite);
    }
    return true;
}();

/// What a broken source does wrong.
enum class fault {
    none,
    gives_no_key,
    repeats_a_position,
    reverses_a_page,
    ignores_the_limit,
    completes_empty,
    ignores_acknowledgements,
    acknowledges_on_receipt,
    acknowledges_the_last_only,
    repeats_an_event,
    drops_when_cancelled,
    wakes_on_acknowledgement,
    shares_a_consumer,
    skips_what_it_cannot_read,
    drops_when_disconnected,
};

struct faulty_receiver final : pawl::event_receiver {
    faulty_receiver(fault wrong, std::unique_ptr<pawl::event_receiver> sound,
                    std::shared_ptr<bool> connected)
        : wrong_(wrong), sound_(std::move(sound)), connected_(std::move(connected))
    {
    }

    awaitable<std::vector<pawl::stream_event>> receive(std::size_t limit) override
    {
        if (wrong_ == fault::completes_empty)
            co_return std::vector<pawl::stream_event>{};
        if (wrong_ == fault::repeats_an_event && last_)
            co_return std::vector<pawl::stream_event>{*std::exchange(last_, {})};
        if (wrong_ == fault::wakes_on_acknowledgement && last_) {
            co_await acknowledged_->wait();
            throw std::runtime_error("acknowledged");
        }
        const bool reads_more = wrong_ == fault::ignores_the_limit && limit > 0;
        std::vector<pawl::stream_event> events;
        std::exception_ptr failure;
        try {
            events = co_await sound_->receive(reads_more ? limit + 1 : limit);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            cancelled_ = true;
            std::rethrow_exception(failure);
        }
        co_await spoil(events);
        if (events.empty()) {
            auto next = co_await receive(limit);
            co_return next;
        }
        last_ = events.back();
        co_return events;
    }

    awaitable<void> ack(std::uint64_t position) override
    {
        acknowledged_->set();
        if (wrong_ == fault::ignores_acknowledgements)
            co_return;
        if (wrong_ == fault::acknowledges_the_last_only && last_ && position < last_->position)
            co_return;
        co_await sound_->ack(position);
    }

private:
    awaitable<void> spoil(std::vector<pawl::stream_event>& events)
    {
        const auto end = events.back().position;
        const bool drops = (wrong_ == fault::drops_when_cancelled && cancelled_) ||
                           (wrong_ == fault::drops_when_disconnected && !*connected_);
        if (drops)
            events.erase(events.begin());
        cancelled_ = false;
        *connected_ = true;
        for (auto& received : events) {
            if (wrong_ == fault::gives_no_key)
                received.key.clear();
            if (wrong_ == fault::repeats_a_position)
                received.position = 1;
        }
        if (wrong_ == fault::reverses_a_page)
            std::ranges::reverse(events);
        if (wrong_ == fault::skips_what_it_cannot_read)
            std::erase_if(events, [](const auto& received) { return !received.payload.empty(); });
        if (drops || wrong_ == fault::acknowledges_on_receipt)
            co_await sound_->ack(end);
    }

    const fault wrong_;
    const std::unique_ptr<pawl::event_receiver> sound_;
    const std::shared_ptr<bool> connected_;
    const std::shared_ptr<pawl::async::auto_reset_event> acknowledged_ =
        std::make_shared<pawl::async::auto_reset_event>();
    std::optional<pawl::stream_event> last_;
    bool cancelled_ = false;
};

struct faulty_source final : pawl::event_source {
    fault wrong = fault::none;
    std::shared_ptr<pawl::event_source> sound;
    std::shared_ptr<bool> connected;

    awaitable<std::unique_ptr<pawl::event_receiver>> open(std::string consumer) override
    {
        if (wrong == fault::shares_a_consumer)
            consumer = "everybody";
        auto opened = co_await sound->open(std::move(consumer));
        std::unique_ptr<pawl::event_receiver> made =
            std::make_unique<faulty_receiver>(wrong, std::move(opened), connected);
        co_return made;
    }
};

awaitable<void> disconnect(std::shared_ptr<bool> connected)
{
    *connected = false;
    co_return;
}

source_fixture with_fault(fault wrong, const boost::asio::any_io_executor& executor)
{
    auto made = topic_in_memory(executor);
    const auto connected = std::make_shared<bool>(true);
    made.make_source = [wrong, connected, make_sound = made.make_source] {
        const auto source = std::make_shared<faulty_source>();
        source->wrong = wrong;
        source->sound = make_sound();
        source->connected = connected;
        return source;
    };
    made.disconnect = [connected] {
        return disconnect(connected);
    };
    made.event_timeout = 300ms;
    return made;
}

struct noticed_fault {
    fault wrong;
    const char* check;
};

constexpr noticed_fault faults[] = {
    {fault::gives_no_key, "each_event_comes_with_its_id_and_key"},
    {fault::repeats_a_position, "positions_grow_from_event_to_event"},
    {fault::reverses_a_page, "events_of_a_key_come_in_order"},
    {fault::ignores_the_limit, "a_receive_obeys_its_limit"},
    {fault::completes_empty, "a_receiver_waits_and_wakes"},
    {fault::ignores_acknowledgements, "acknowledged_events_do_not_come_again"},
    {fault::acknowledges_on_receipt, "unacknowledged_events_come_again_first"},
    {fault::acknowledges_the_last_only, "an_acknowledgement_covers_earlier_events"},
    {fault::repeats_an_event, "an_event_comes_once_from_a_receiver"},
    {fault::drops_when_cancelled, "a_cancelled_receive_loses_nothing"},
    {fault::wakes_on_acknowledgement, "an_acknowledgement_may_overlap_a_receive"},
    {fault::shares_a_consumer, "consumers_are_independent"},
    {fault::skips_what_it_cannot_read, "a_poison_event_is_given_as_any_other"},
    {fault::drops_when_disconnected, "a_lost_connection_loses_no_event"},
};

bool passes(const pawl::testing::source_check& check, fault wrong)
try {
    check.run([wrong](const boost::asio::any_io_executor& executor) {
        return with_fault(wrong, executor);
    });
    return true;
} catch (const std::runtime_error&) {
    return false;
}

} // namespace

BOOST_AUTO_TEST_CASE(each_check_notices_a_source_that_breaks_its_rule)
{
    std::size_t checked = 0;
    for (const auto& check : pawl::testing::source_conformance_checks())
        for (const auto& each : faults)
            if (each.check == check.name) {
                ++checked;
                BOOST_TEST(passes(check, fault::none), check.name << ": without a fault");
                BOOST_TEST(!passes(check, each.wrong), check.name << ": with its fault");
            }
    BOOST_TEST(checked == std::size(faults));
    BOOST_TEST(checked == pawl::testing::source_conformance_checks().size());
}

BOOST_AUTO_TEST_SUITE_END()
