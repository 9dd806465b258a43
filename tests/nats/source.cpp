// The source on a real engine, and consumers that administrators change.
#include "nats/support.hpp"
#include "pawl/builder.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/engine.hpp"
#include "pawl/memory.hpp"
#include "printing.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(nats_source)

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::awaitable;
using nats_test::administrator;
using pawl::errc;

struct order {
    int cents = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (cents))

enum class stage { placed = 1, paid };

pawl::step<stage::paid> pay(pawl::run<order>&)
{
    co_return pawl::to<stage::paid>;
}

pawl::workflow<order, stage> orders()
{
    pawl::builder<order, stage> b{"orders"};
    b.step<stage::placed>(pay);
    b.end<stage::paid>();
    return std::move(b).build();
}

using context = pawl::event_context<order, stage>;

awaitable<void> start_order(context& in, order placed)
{
    co_await in.trigger(in.event().key, placed);
}

/// A stream, and an engine whose connector "orders" reads it.
struct shop {
    administrator admin{nats_test::server()};
    std::string stream = nats_test::new_stream();
    std::shared_ptr<pawl::nats_client> client = pawl::open_nats(nats_test::options());
    std::shared_ptr<pawl::record_store> store = pawl::open_memory();
    asio::io_context io;
    pawl::workflow<order, stage> flow = orders();

    shop() { admin.add_stream(stream); }

    std::shared_ptr<pawl::event_source> source(pawl::duration ack_wait = 300ms)
    {
        return pawl::from_nats(client, {.stream = stream, .ack_wait = ack_wait});
    }

    /// Runs `work` to its end, and rethrows what it throws.
    void run(awaitable<void> work)
    {
        std::exception_ptr thrown;
        asio::co_spawn(io, std::move(work), [&](std::exception_ptr failure) { thrown = failure; });
        io.restart();
        io.run();
        if (thrown)
            std::rethrow_exception(thrown);
    }

    administrator::consumer_state consumer()
    {
        return admin.consumer(stream, "connector_2Forders");
    }
};

/// Runs an engine until `count` events of the stream are acknowledged.
template <class Fn>
awaitable<void> process(shop& at, Fn function, std::uint64_t count)
{
    pawl::engine engine{at.io.get_executor(), {.store = at.store, .log = {}}};
    engine.add(at.flow);
    engine.connect("orders", at.source(), at.flow, function,
                   {.retry = {.initial = 1ms, .max_attempts = 2}});
    co_await engine.async_start(asio::use_awaitable);
    asio::steady_timer pause{at.io};
    while (at.consumer().ack_floor < count) {
        pause.expires_after(10ms);
        co_await pause.async_wait(asio::use_awaitable);
    }
    co_await engine.async_stop(1s, asio::use_awaitable);
}

std::size_t run_count(shop& at, std::string foreign_id)
{
    std::size_t count = 0;
    const auto ask = [](shop& shop, std::string id, std::size_t& found) -> awaitable<void> {
        pawl::record_query query;
        query.workflow = "orders";
        query.foreign_ids = {std::move(id)};
        const auto page = co_await shop.store->list(query);
        found = page.runs.size();
    };
    at.run(ask(at, std::move(foreign_id), count));
    return count;
}

awaitable<void> receive_one(shop& at, pawl::stream_event& received)
{
    const auto receiver = co_await at.source()->open("connector/orders");
    auto events = co_await receiver->receive(1);
    received = std::move(events.front());
}

pawl::error_code failure_of(shop& at, awaitable<void> work)
try {
    at.run(std::move(work));
    return {};
} catch (const pawl::system_error& e) {
    return e.code();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_message_starts_one_run_however_it_is_named)
{
    shop at;
    at.admin.publish(at.stream + ".a", R"({"cents":1})");
    const std::map<std::string, std::string> cloud{
        {"ce-id", "7"}, {"ce-source", "/shop"}, {"ce-subject", "b"}};
    at.admin.publish(at.stream, R"({"cents":1})", cloud);
    at.admin.publish(at.stream, R"({"cents":1})", cloud);
    at.run(process(at, start_order, 3));
    BOOST_TEST(run_count(at, at.stream + ".a") == 1u);
    BOOST_TEST(run_count(at, "b") == 1u);
    at.run(process(at, start_order, 3)); // another engine has nothing to do
    BOOST_TEST(at.consumer().delivered == 3u);
}

BOOST_AUTO_TEST_CASE(a_poison_message_becomes_a_dead_letter_and_is_acknowledged)
{
    shop at;
    at.admin.publish(at.stream + ".a", "\xff{", {{"color", "red"}});
    at.admin.publish(at.stream + ".b", R"({"cents":1})");
    at.run(process(at, start_order, 2));
    BOOST_TEST(at.consumer().ack_pending == 0);
    BOOST_TEST(run_count(at, at.stream + ".b") == 1u);
    const auto read = [](shop& from, std::vector<pawl::stream_event>& into) -> awaitable<void> {
        into = co_await from.store->topic_events(pawl::dead_letter_topic("orders"), 0, 10);
    };
    std::vector<pawl::stream_event> letters;
    at.run(read(at, letters));
    BOOST_REQUIRE(letters.size() == 1u);
    BOOST_TEST(letters[0].payload == "\xff{");
    BOOST_TEST(letters[0].headers.at("color") == "red");
    BOOST_TEST(letters[0].headers.at("nats_subject") == at.stream + ".a");
}

BOOST_AUTO_TEST_CASE(a_slow_handler_gets_a_message_once)
{
    shop at;
    int calls = 0;
    at.admin.publish(at.stream, R"({"cents":1})");
    const auto slow = [&calls](context& in, order placed) -> awaitable<void> {
        ++calls;
        asio::steady_timer work{co_await asio::this_coro::executor, 1s};
        co_await work.async_wait(asio::use_awaitable);
        co_await in.trigger("a", placed);
    };
    at.run(process(at, slow, 1));
    BOOST_TEST(calls == 1);
    BOOST_TEST(at.consumer().delivered == 1u);
    BOOST_TEST(run_count(at, "a") == 1u);
}

BOOST_AUTO_TEST_CASE(a_stopped_engine_gives_its_messages_back_at_once)
{
    shop at;
    at.admin.publish(at.stream, "1");
    const auto hold = [](shop& from) -> awaitable<void> {
        const auto receiver = co_await from.source(1h)->open("connector/orders");
        const auto events = co_await receiver->receive(1);
        BOOST_TEST(events.front().payload == "1");
    };
    at.run(hold(at));
    pawl::stream_event again;
    at.run(receive_one(at, again)); // not after an hour
    BOOST_TEST(again.payload == "1");
}

BOOST_AUTO_TEST_CASE(messages_of_a_killed_program_come_before_newer_ones)
{
    shop at;
    at.admin.add_consumer(at.stream, "connector_2Forders");
    const auto read = [](shop& from, std::string& order) -> awaitable<void> {
        const auto receiver = co_await from.source()->open("connector/orders");
        while (order.size() < 4) {
            const auto events = co_await receiver->receive(1);
            order += events.front().payload;
        }
    };
    // The settings of the source hold from the first delivery on.
    const auto open = [](shop& from) -> awaitable<void> {
        const auto receiver = co_await from.source()->open("connector/orders");
    };
    at.run(open(at));
    at.admin.publish(at.stream, "1");
    at.admin.publish(at.stream, "2");
    at.admin.take(at.stream, "connector_2Forders", 2);
    at.admin.publish(at.stream, "3");
    at.admin.publish(at.stream, "4");
    std::string order;
    at.run(read(at, order));
    BOOST_TEST(order == "1234");
}

BOOST_AUTO_TEST_CASE(a_removed_message_is_not_waited_for)
{
    shop at;
    const auto removed = at.admin.publish(at.stream, "1");
    const auto leave = [](shop& from) -> awaitable<void> {
        const auto receiver = co_await from.source()->open("connector/orders");
        co_await receiver->receive(1);
    };
    at.run(leave(at));
    at.admin.delete_message(at.stream, removed);
    at.admin.publish(at.stream, "2");
    pawl::stream_event received;
    at.run(receive_one(at, received));
    BOOST_TEST(received.payload == "2");
}

BOOST_AUTO_TEST_CASE(a_consumer_with_unfit_settings_is_refused)
{
    shop at;
    pawl::stream_event received;
    at.admin.add_consumer(at.stream, "connector_2Forders", 3);
    BOOST_TEST(failure_of(at, receive_one(at, received)) == errc::invalid_argument);
    at.admin.delete_consumer(at.stream, "connector_2Forders");
    at.admin.add_consumer(at.stream, "connector_2Forders");
    at.admin.publish(at.stream, "1");
    at.run(receive_one(at, received));
    BOOST_TEST(at.consumer().ack_wait == 300'000'000); // updated
}

BOOST_AUTO_TEST_CASE(a_stream_that_is_missing_is_an_error)
{
    shop at;
    at.admin.delete_stream(at.stream);
    pawl::stream_event received;
    BOOST_TEST(failure_of(at, receive_one(at, received)) == errc::broker_unavailable);
}

BOOST_AUTO_TEST_CASE(a_deleted_consumer_ends_a_receive)
{
    shop at;
    const auto wait = [](shop& from) -> awaitable<void> {
        const auto receiver = co_await from.source()->open("connector/orders");
        from.admin.delete_consumer(from.stream, "connector_2Forders");
        co_await receiver->receive(1);
    };
    BOOST_TEST(failure_of(at, wait(at)) == errc::broker_unavailable);
    at.admin.publish(at.stream, "1");
    pawl::stream_event received;
    at.run(receive_one(at, received));
    BOOST_TEST(received.payload == "1");
}

BOOST_AUTO_TEST_CASE(a_deleted_stream_ends_a_receive)
{
    shop at;
    const auto wait = [](shop& from) -> awaitable<void> {
        const auto receiver = co_await from.source()->open("connector/orders");
        from.admin.delete_stream(from.stream);
        co_await receiver->receive(1);
    };
    BOOST_TEST(failure_of(at, wait(at)) == errc::broker_unavailable);
}

BOOST_AUTO_TEST_SUITE_END()
