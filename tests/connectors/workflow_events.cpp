// A workflow's committed transitions as events: for connectors, and on their way to topics.
#include "connectors/support.hpp"

#include "pawl/forwarding_store.hpp"
#include "pawl/workflow_events.hpp"
#include "printing.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

BOOST_AUTO_TEST_SUITE(workflow_events)

using namespace connector_test;
using list = std::vector<std::string>;

namespace {

/// What a run's life looks like from outside.
std::string line_of(const pawl::event& what)
{
    return what.foreign_id + " " + to_string(what.kind) + " " + std::to_string(what.from) + "-" +
           std::to_string(what.to);
}

/// Writes down what it sees.
auto see_into(list& seen)
{
    return [&seen](arrived&, pawl::event what) -> awaitable<void> {
        seen.push_back(line_of(what));
        co_return;
    };
}

pawl::workflow<parcel, place> carrying_for_an_hour()
{
    pawl::builder<parcel, place> b{"parcels"};
    b.step<place::here>(carry);
    b.end<place::door>();
    b.retention({.keep = 1h});
    return std::move(b).build();
}

pawl::event some_event()
{
    pawl::event made;
    made.kind = pawl::event_kind::paused;
    made.run.bytes = {1, 2, 3};
    made.workflow = "parcels";
    made.foreign_id = "parcel \xff 7";
    made.version = 12;
    made.from = -1;
    made.to = 2;
    made.state = pawl::run_state::paused;
    made.attempt = 3;
    made.error = "no way";
    made.requested_by = "a clerk";
    made.at = pawl::time_point{1'700'000'000'000'000us};
    return made;
}

} // namespace

BOOST_AUTO_TEST_CASE(headers_say_which_run_an_event_is_of)
{
    const auto what = some_event();
    const auto sent = pawl::to_stream_event(what);
    BOOST_TEST(sent.id == to_string(what.run) + "/12");
    BOOST_TEST(sent.key == what.foreign_id);
    BOOST_TEST(sent.type == "paused");
    const std::map<std::string, std::string> wanted{{"workflow_name", "parcels"},
                                                    {"run_id", to_string(what.run)},
                                                    {"foreign_id", what.foreign_id},
                                                    {"record_version", "12"},
                                                    {"status", "2"},
                                                    {"previous_status", "-1"},
                                                    {"run_state", "3"},
                                                    {"attempt", "3"},
                                                    {"error", "no way"},
                                                    {"requested_by", "a clerk"}};
    BOOST_TEST((sent.headers == wanted));
    BOOST_TEST((pawl::to_workflow_event(sent) == what));
}

BOOST_AUTO_TEST_CASE(what_is_no_event_of_a_workflow_is_refused_by_the_header)
{
    const auto refusal_of = [](const std::function<void(pawl::stream_event&)>& spoil) {
        auto sent = pawl::to_stream_event(some_event());
        spoil(sent);
        try {
            pawl::to_workflow_event(sent);
        } catch (const pawl::error& e) {
            BOOST_TEST(e.code() == pawl::errc::decode_failed);
            return e.detail();
        }
        return std::string{};
    };
    for (const auto* name :
         {"workflow_name", "run_id", "foreign_id", "record_version", "status", "run_state"}) {
        const auto text = refusal_of([&](pawl::stream_event& e) { e.headers.erase(name); });
        BOOST_TEST(text.find(std::string{"\""} + name + "\" is missing") != std::string::npos,
                   text);
    }
    for (const auto* odd : {"", "x", "8", "0", "99999999999"}) {
        const auto text = refusal_of([&](pawl::stream_event& e) { e.headers["run_state"] = odd; });
        BOOST_TEST(text.find("is not a number in [1, 7]") != std::string::npos, text);
    }
    BOOST_TEST(refusal_of([](pawl::stream_event& e) { e.headers["run_id"] = "7"; }) != "");
    BOOST_TEST(refusal_of([](pawl::stream_event& e) { e.type = "sold"; }) != "");
}

BOOST_DATA_TEST_CASE(a_workflow_starts_the_runs_of_another, backends)
{
    // Each parcel that has arrived is put on the scales.
    const auto scales = weighing();
    bench at{carrying(), sample,
             [&](pawl::engine& to, bench& b) {
                 to.add(scales);
                 const auto arrived_parcel = [](arrived& in, pawl::event what) -> awaitable<void> {
                     if (what.to == static_cast<int>(place::door))
                         co_await in.trigger(what.foreign_id, parcel{});
                 };
                 to.connect("parcels-to-scales", to.events(b.workflow.name()), scales,
                            arrived_parcel);
             },
             8};
    for (int i = 0; i < 20; ++i)
        at.test->trigger("parcel-" + std::to_string(i));
    at.test->restart();
    for (int i = 0; i < 20; ++i) {
        pawl::record_query query;
        query.workflow = scales.name();
        query.foreign_ids = {"parcel-" + std::to_string(i)};
        BOOST_TEST(at.test->wait_for(at.store->list(query)).runs.size() == 1);
    }
}

BOOST_DATA_TEST_CASE(a_restart_goes_on_where_it_was, backends)
{
    list seen;
    bench at{weighing(), sample,
             [&](pawl::engine& to, bench& b) {
                 to.connect("watch", to.events(b.workflow.name()), b.workflow, see_into(seen));
             },
             4};
    const auto run = at.test->trigger("a");
    at.test->callback(run, "weighed", order{"1", 1}); // enters the same status again
    at.test->restart();
    at.test->wait_for(at.test->client().async_pause(run, "why not"));
    at.test->wait_for(at.test->client().async_resume(run));
    at.test->run_until_idle();
    at.test->restart();
    at.test->callback(run, "weighed", order{"2", -1});
    at.test->run_until_idle();
    BOOST_TEST(seen == (list{"a started 1-1", "a moved 1-1", "a paused 1-1", "a resumed 1-1",
                             "a completed 1-3"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(latest_is_fixed_when_the_consumer_first_comes)
{
    list seen;
    bool connected = false;
    bench at{carrying(), backend::memory,
             [&](pawl::engine& to, bench& b) {
                 if (connected)
                     to.connect(
                         "watch",
                         to.events(b.workflow.name(), {.kinds = {pawl::event_kind::completed},
                                                       .from = pawl::subscribe_from::latest}),
                         b.workflow, see_into(seen));
             },
             4};
    for (int i = 0; i < 300; ++i) // more than is read at a time
        at.test->trigger("old-" + std::to_string(i));
    connected = true;
    at.test->restart();
    BOOST_TEST(seen.empty());
    at.test->trigger("a");
    BOOST_TEST(seen == (list{"a completed 1-3"}), boost::test_tools::per_element());
    connected = false;
    at.test->restart();
    at.test->trigger("b"); // while the consumer is away
    connected = true;
    at.test->restart();
    BOOST_TEST(seen == (list{"a completed 1-3", "b completed 1-3"}),
               boost::test_tools::per_element());
}

BOOST_DATA_TEST_CASE(they_can_be_sent_on_to_a_topic_each_once, backends)
{
    bench at{carrying(), sample,
             [](pawl::engine& to, bench& b) {
                 to.connect("out", to.events(b.workflow.name()), b.workflow,
                            pawl::forward_to(b.streamer, "parcels"));
             },
             4};
    at.test->trigger("a");
    at.test->trigger("b");
    at.test->run_until_idle();
    std::map<std::string, list> seen;
    for (const auto& each : at.events_in("parcels")) {
        const auto what = pawl::to_workflow_event(each);
        seen[what.foreign_id].push_back(to_string(what.kind));
    }
    BOOST_TEST(seen.size() == 2);
    for (const auto& [key, kinds] : seen)
        BOOST_TEST(kinds == (list{"started", "completed"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(another_engine_of_the_process_reads_them_too)
{
    std::shared_ptr<pawl::event_source> source;
    bench first{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                    source = to.events(b.workflow.name());
                }};
    list seen;
    bench second{weighing(), backend::memory, [&](pawl::engine& to, bench& b) {
                     to.connect("watch", source, b.workflow, see_into(seen));
                 }};
    first.test->trigger("a");
    second.test->run_until_idle(); // woken, without any time passing
    BOOST_TEST(seen == (list{"a started 1-1", "a completed 1-3"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_another_process_committed_is_seen_too)
{
    pawl::testing::harness_options options;
    const auto clock = std::make_shared<pawl::testing::manual_clock>();
    const auto store = pawl::open_memory({.shards = 4, .shared = true, .clock = clock});
    options.engine.store = store;
    options.engine.clock = clock;
    const auto flow = carrying();
    list seen;
    options.configure = [&](pawl::engine& to) {
        to.connect("watch", to.events("others"), flow, see_into(seen));
    };
    pawl::testing::harness<parcel, place> test{flow, std::move(options)};
    pawl::record first; // by a program that has another workflow
    first.id.bytes = {1};
    first.workflow = "others";
    first.foreign_id = "far";
    first.version = 1;
    first.status = 4;
    first.object = "{}";
    first.created_at = first.updated_at = clock->now();
    const auto commit = [](std::shared_ptr<pawl::record_store> to,
                           pawl::record next) -> awaitable<void> {
        const std::vector<pawl::change> batch{pawl::transition{.next = next, .from = 4}};
        const auto results = co_await to->apply(batch);
        BOOST_TEST(results[0].status == pawl::apply_status::accepted);
    };
    test.wait_for(commit(store, first));
    test.run_until_idle();
    BOOST_TEST(seen == (list{"far started 4-4"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_finished_run_is_not_removed_before_they_have_been_seen)
{
    bool broken = true;
    list seen;
    bench at{carrying_for_an_hour(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto see = [&](arrived&, pawl::event what) -> awaitable<void> {
                     if (broken)
                         throw std::runtime_error("not now");
                     seen.push_back(line_of(what));
                     co_return;
                 };
                 to.connect("watch", to.events(b.workflow.name()), b.workflow, see,
                            {.retry = {.max_interval = 1min, .max_attempts = 0}});
             }};
    const auto run = at.test->trigger("a");
    at.test->advance(2h);
    BOOST_TEST(at.test->wait_for(at.store->find(run)).has_value());
    broken = false;
    at.test->advance(10min);
    BOOST_TEST(seen == (list{"a started 1-1", "a completed 1-3"}),
               boost::test_tools::per_element());
    BOOST_TEST(!at.test->wait_for(at.store->find(run)).has_value());
}

namespace {

/// Answers events() of one shard late, when it is told so.
class late_store final : public pawl::forwarding_store {
public:
    late_store(std::shared_ptr<pawl::record_store> inner, std::shared_ptr<pawl::clock> clock)
        : forwarding_store(std::move(inner)), clock_(std::move(clock))
    {
    }

    awaitable<std::vector<pawl::event>> events(std::uint32_t shard, std::uint64_t after,
                                               std::size_t limit) override
    {
        if (shard == 0 && damaged)
            throw pawl::error(pawl::errc::store_corrupt, "an event");
        auto found = co_await inner().events(shard, after, limit);
        read += found.size();
        if (shard == 0 && delay > 0s)
            co_await asio::co_spawn(
                co_await asio::this_coro::executor, wait_on(clock_, delay),
                asio::bind_cancellation_slot(asio::cancellation_slot{}, asio::use_awaitable));
        co_return found;
    }

    pawl::duration delay{};
    bool damaged = false;
    std::size_t read = 0;

private:
    const std::shared_ptr<pawl::clock> clock_;
};

std::string id_in(std::uint32_t shard)
{
    for (int i = 0;; ++i)
        if (auto id = std::to_string(i); pawl::shard_of(id, 2) == shard)
            return id;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_receive_that_is_cancelled_loses_no_shards_events)
{
    const auto clock = std::make_shared<pawl::testing::manual_clock>();
    const auto store = std::make_shared<late_store>(pawl::open_memory({.shards = 2}), clock);
    pawl::testing::harness_options options;
    options.engine.store = store;
    options.engine.clock = clock;
    std::shared_ptr<pawl::event_source> source;
    options.configure = [&](pawl::engine& to) {
        source = to.events("parcels");
    };
    pawl::testing::harness<parcel, place> test{carrying(), std::move(options)};
    const auto receiver = test.wait_for(source->open("mine"));
    for (const std::uint32_t shard : {0, 1})
        test.trigger(id_in(shard));
    store->delay = 10s;
    asio::cancellation_signal cancel;
    bool cancelled = false;
    asio::co_spawn(
        test.engine().get_executor(), receiver->receive(),
        asio::bind_cancellation_slot(
            cancel.slot(), [&](std::exception_ptr failure, const std::vector<pawl::stream_event>&) {
                cancelled = failure != nullptr;
            }));
    test.run_until_idle();
    cancel.emit(asio::cancellation_type::terminal); // while shard 0 is read
    test.advance(10s);
    BOOST_TEST(cancelled);
    store->delay = 0s;
    std::size_t received = 0;
    while (received < 4) {
        const auto events = test.wait_for(receiver->receive());
        received += events.size();
    }
    BOOST_TEST(received == 4u); // two of each run
}

namespace {

/// Moves no cursor while `fails` is set.
struct store_without_cursors final : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;
    bool fails = false;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        if (fails && std::holds_alternative<pawl::cursor_move>(batch.front()))
            throw pawl::error(pawl::errc::store_unavailable, "a cursor");
        auto results = co_await inner().apply(batch);
        co_return results;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(an_acknowledgement_that_failed_can_be_repeated)
{
    const auto store = std::make_shared<store_without_cursors>(pawl::open_memory());
    pawl::testing::harness_options options;
    options.engine.store = store;
    std::shared_ptr<pawl::event_source> source;
    options.configure = [&](pawl::engine& to) {
        source = to.events("parcels");
    };
    pawl::testing::harness<parcel, place> test{carrying(), std::move(options)};
    auto receiver = test.wait_for(source->open("mine"));
    test.trigger("first");
    const auto events = test.wait_for(receiver->receive());
    BOOST_TEST(events.size() == 2u);
    store->fails = true;
    BOOST_CHECK_THROW(test.wait_for(receiver->ack(events.back().position)), pawl::error);
    store->fails = false;
    test.wait_for(receiver->ack(events.back().position));
    receiver = test.wait_for(source->open("mine"));
    test.trigger("second");
    const auto later = test.wait_for(receiver->receive());
    BOOST_TEST(later.front().key == "second");
}

BOOST_AUTO_TEST_CASE(a_shard_that_cannot_be_read_keeps_no_events_of_others_back)
{
    const auto clock = std::make_shared<pawl::testing::manual_clock>();
    const auto store = std::make_shared<late_store>(pawl::open_memory({.shards = 2}), clock);
    pawl::testing::harness_options options;
    options.engine.store = store;
    options.engine.clock = clock;
    std::shared_ptr<pawl::event_source> source;
    options.configure = [&](pawl::engine& to) {
        source = to.events("parcels");
    };
    pawl::testing::harness<parcel, place> test{carrying(), std::move(options)};
    const auto receiver = test.wait_for(source->open("mine"));
    store->damaged = true;
    test.trigger(id_in(0));
    test.trigger(id_in(1));
    auto events = test.wait_for(receiver->receive());
    BOOST_TEST(events.size() == 2u);
    BOOST_TEST(events.front().key == id_in(1));
    BOOST_CHECK_THROW(test.wait_for(receiver->receive()), pawl::error);
    store->damaged = false;
    events = test.wait_for(receiver->receive());
    BOOST_TEST(events.size() == 2u);
    BOOST_TEST(events.front().key == id_in(0));
}

BOOST_AUTO_TEST_CASE(a_consumer_moves_past_events_that_it_does_not_want)
{
    const auto clock = std::make_shared<pawl::testing::manual_clock>();
    const auto store = std::make_shared<late_store>(pawl::open_memory(), clock);
    pawl::testing::harness_options options;
    options.engine.store = store;
    options.engine.clock = clock;
    const auto flow = carrying();
    list seen;
    options.configure = [&](pawl::engine& to) {
        to.connect("in", to.events("parcels", {.kinds = {pawl::event_kind::cancelled}}), flow,
                   see_into(seen));
    };
    pawl::testing::harness<parcel, place> test{flow, std::move(options)};
    for (int i = 0; i < 3'000; ++i)
        test.trigger(std::to_string(i));
    test.run_until_idle();
    const auto cursor = test.wait_for(store->cursor("events/parcels/connector/in", 0));
    BOOST_TEST(cursor > 6'000u - 2 * 1'024);
    store->read = 0;
    test.restart();
    test.run_until_idle();
    BOOST_TEST(store->read < 2 * 1'024u);
}

BOOST_AUTO_TEST_CASE(a_workflow_that_the_engine_does_not_have_has_no_events)
{
    asio::io_context io;
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory()}};
    engine.add(carrying());
    BOOST_CHECK_EXCEPTION(engine.events("parcel"), pawl::definition_error, [](const auto& e) {
        return std::string{e.what()} ==
               "engine::events: the engine has no workflow \"parcel\"; add() it first";
    });
}

BOOST_AUTO_TEST_SUITE_END()
