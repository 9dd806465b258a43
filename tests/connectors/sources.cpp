// Sources of one's own, and what engines refuse to connect.
#include "connectors/support.hpp"

#include "async/auto_reset_event.hpp"
#include "pawl/forwarding_store.hpp"

#include <deque>

BOOST_AUTO_TEST_SUITE(connector_sources)

using namespace connector_test;

namespace {

/// A mailbox outside: it keeps what is not acknowledged, and fails when it is told to.
struct mailbox final : pawl::event_source {
    std::vector<pawl::stream_event> events;
    std::uint64_t acked = 0;
    int opened = 0;
    int failures = 0; ///< opens, receives and acks that fail from now on
    std::string consumer;
    std::shared_ptr<pawl::async::auto_reset_event> news =
        std::make_shared<pawl::async::auto_reset_event>();

    struct receiver final : pawl::event_receiver {
        explicit receiver(mailbox& from) : box(from), next(from.acked + 1) {}

        awaitable<std::vector<pawl::stream_event>> receive(std::size_t limit) override
        {
            for (;;) {
                box.fail();
                std::vector<pawl::stream_event> some;
                for (; next <= box.events.size() && some.size() < limit; ++next)
                    some.push_back(box.events[next - 1]);
                if (!some.empty())
                    co_return some;
                co_await box.news->wait();
            }
        }

        awaitable<void> ack(std::uint64_t position) override
        {
            box.fail();
            box.acked = position;
            co_return;
        }

        mailbox& box;
        std::uint64_t next;
    };

    awaitable<std::unique_ptr<pawl::event_receiver>> open(std::string name) override
    {
        ++opened;
        consumer = std::move(name);
        fail();
        std::unique_ptr<pawl::event_receiver> made = std::make_unique<receiver>(*this);
        co_return made;
    }

    void put(pawl::stream_event added)
    {
        events.push_back(std::move(added));
        events.back().position = events.size();
        news->set();
    }

    void fail()
    {
        if (failures > 0 && failures-- > 0)
            throw std::runtime_error("the line is dead");
    }
};

awaitable<void> start_run(arrived& in, order what)
{
    co_await in.trigger(what.number, parcel{});
}

std::string refusal_of(const std::function<void(pawl::engine&)>& connect)
{
    asio::io_context io;
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory()}};
    engine.add(carrying());
    try {
        connect(engine);
    } catch (const pawl::definition_error& e) {
        return e.what();
    }
    return {};
}

} // namespace

BOOST_AUTO_TEST_CASE(one_of_your_own_is_read_and_acknowledged)
{
    const auto box = std::make_shared<mailbox>();
    box->put(event_of("1", "a"));
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 to.connect("mail", box, b.workflow, start_run);
             }};
    BOOST_TEST(at.runs_of("a").size() == 1);
    BOOST_TEST(box->acked == 1);
    BOOST_TEST(box->consumer == "connector/mail");
    box->put(event_of("", "b")); // without an id, its position names it
    at.test->run_until_idle();
    BOOST_TEST(at.runs_of("b").size() == 1);
    at.test->restart();
    BOOST_TEST(box->opened == 2);
    BOOST_TEST(at.runs_of("b").size() == 1);
}

BOOST_AUTO_TEST_CASE(one_that_fails_is_opened_again_after_a_while)
{
    const auto box = std::make_shared<mailbox>();
    box->failures = 2;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 to.connect("mail", box, b.workflow, start_run);
             }};
    box->put(event_of("1", "a"));
    BOOST_TEST(box->opened == 1);
    at.test->advance(1s);
    BOOST_TEST(box->opened == 2);
    at.test->advance(2s);
    BOOST_TEST(box->opened == 3);
    BOOST_TEST(at.runs_of("a").size() == 1);
    BOOST_TEST(at.logged("a connector cannot read its events"));
    BOOST_TEST(at.logged("the line is dead"));
}

BOOST_AUTO_TEST_CASE(an_acknowledgement_that_fails_repeats_and_starts_no_second_run)
{
    int calls = 0;
    const auto box = std::make_shared<mailbox>();
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto count = [&](arrived& in, order what) -> awaitable<void> {
                     if (++calls == 1)
                         box->failures = 2; // the acknowledgement, also when it is tried again
                     co_await in.trigger(what.number, parcel{});
                 };
                 to.connect("mail", box, b.workflow, count);
             }};
    box->put(event_of("1", "a"));
    at.test->advance(1s);
    BOOST_TEST(calls == 2);
    BOOST_TEST(box->acked == 1);
    BOOST_TEST(at.runs_of("a").size() == 1);
}

BOOST_AUTO_TEST_CASE(positions_that_do_not_grow_are_refused)
{
    const auto box = std::make_shared<mailbox>();
    box->put(event_of("1", "a"));
    box->put(event_of("2", "b"));
    box->events[1].position = 1;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 to.connect("mail", box, b.workflow, start_run);
             }};
    at.test->run_until_idle();
    BOOST_TEST(at.logged("positions must grow, from 1: 1 follows 1"));
}

BOOST_AUTO_TEST_CASE(what_another_process_sent_is_found_by_looking)
{
    // Two objects over one database, as two processes have.
    const auto clock = std::make_shared<pawl::testing::manual_clock>();
    const auto store = pawl::open_memory({.shared = true, .clock = clock});
    const auto here = std::make_shared<pawl::forwarding_store>(store);
    const auto reading = pawl::store_streamer(here, {.poll_interval = 3s, .clock = clock});
    const auto sending = pawl::store_streamer(store);
    asio::io_context io;
    std::vector<std::string> got;
    const auto read = [](std::shared_ptr<pawl::event_streamer> from,
                         std::vector<std::string>& into) -> awaitable<void> {
        const auto receiver = co_await from->subscribe("news", "reader");
        const auto events = co_await receiver->receive(10);
        for (const auto& each : events)
            into.push_back(each.id);
    };
    asio::co_spawn(io, read(reading, got), [](std::exception_ptr) {});
    io.poll();
    std::vector<pawl::stream_event> events{event_of("1", "a")};
    asio::co_spawn(io, sending->send("news", std::move(events)),
                   [](std::exception_ptr, std::vector<std::uint64_t>) {});
    io.poll();
    clock->advance(3s - 1us);
    io.poll();
    BOOST_TEST(got.empty());
    clock->advance(1us);
    io.run();
    BOOST_TEST(got == (std::vector<std::string>{"1"}), boost::test_tools::per_element());
    BOOST_CHECK_THROW(pawl::store_streamer(store, {.poll_interval = 0s}), pawl::definition_error);
    BOOST_CHECK_THROW(pawl::store_streamer(nullptr), pawl::definition_error);
}

BOOST_AUTO_TEST_CASE(names_need_to_be_unique_and_options_in_their_range)
{
    const auto box = std::make_shared<mailbox>();
    const auto with = [&](pawl::connector_options options) {
        return refusal_of(
            [&](pawl::engine& e) { e.connect("mail", box, carrying(), start_run, options); });
    };
    BOOST_TEST(with({}) == "");
    BOOST_TEST(refusal_of([&](pawl::engine& e) {
                   e.connect("mail", box, carrying(), start_run);
                   e.connect("mail", box, carrying(), start_run);
               }) == "connector names need to be unique: the engine already has a connector named "
                     "\"mail\"");
    BOOST_TEST(refusal_of([&](pawl::engine& e) {
                   e.connect("mail", box, carrying("others"), start_run);
               }) == "connector \"mail\": the engine has no workflow \"others\"; add() it first");
    BOOST_TEST(refusal_of([&](pawl::engine& e) {
                   e.connect("a/b", box, carrying(), start_run);
               }).find("a name has 1 to 128 bytes") != std::string::npos);
    BOOST_TEST(refusal_of([&](pawl::engine& e) {
                   e.connect("mail", nullptr, carrying(), start_run);
               }) == "connector \"mail\": the source must not be null");
    const std::vector<std::pair<pawl::connector_options, std::string>> cases{
        {{.max_concurrency = 0}, "max_concurrency is 0; it must be from 1 to 1,000,000"},
        {{.max_concurrency = 1'000'001},
         "max_concurrency is 1,000,001; it must be from 1 to 1,000,000"},
        {{.prefetch = 0}, "prefetch is 0; it must be at least 1"},
        {{.attempt_timeout = -1s}, "attempt_timeout is -1 s; it must be at least 0 s"},
        {{.delay = -1s}, "delay is -1 s; it must be at least 0 s"},
        {{.retry = {.initial = 0s}}, "retry.initial is 0 s; it must be above 0 s"},
        {{.retry = {.multiplier = 0.5}}, "retry.multiplier is 0.5; it must be from 1 to 1e9"},
        {{.retry = {.initial = 1s, .max_interval = 1ms}},
         "retry.max_interval is 1 ms; it must be at least initial (1 s) when multiplier is above "
         "1"},
        {{.retry = {.jitter = 2}}, "retry.jitter is 2; it must be from 0 to 1"},
        {{.retry = {.max_attempts = -1}},
         "retry.max_attempts is -1; it must be at least 0 (0: no limit)"},
    };
    for (const auto& [options, rule] : cases)
        BOOST_TEST(with(options) == "connector \"mail\": " + rule);
    BOOST_CHECK_THROW(pawl::from_topic(nullptr, "a"), pawl::definition_error);
    BOOST_CHECK_THROW(pawl::from_topic(pawl::store_streamer(pawl::open_memory()), ""),
                      pawl::definition_error);
    BOOST_TEST(refusal_of([](pawl::engine& e) { e.events(""); }).find("needs a name") !=
               std::string::npos);
    BOOST_TEST(refusal_of([](pawl::engine& e) {
                   e.events("parcels", {.kinds = {}});
               }).find("kinds must not be empty") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
