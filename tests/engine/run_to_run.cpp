// Callbacks that handlers send to runs of other workflows, and calls that start a run unless one is
// unfinished.
#include "engine/cluster.hpp"
#include "pawl/testing/harness.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(run_to_run)

using namespace engine_test;
using enum light;

namespace {

enum class stage { written = 1, posted };
BOOST_DESCRIBE_ENUM(stage, written, posted)

struct note {
    int amount = 0;
};
BOOST_DESCRIBE_STRUCT(note, (), (amount))

using note_run = pawl::run<note>;
using notes = pawl::client<note, stage>;

constexpr pawl::workflow_handle<lamp, light> lamp_runs{"lamps"};
constexpr pawl::workflow_handle<note, stage> note_runs{"notes"};
constexpr pawl::callback<int> add{"add"};
constexpr pawl::callback<void> finish{"finish"};

pawl::step<> on_add(lamp_run& run, int amount)
{
    run.object().value += amount;
    co_return pawl::repeat_after(0s);
}

pawl::step<off> on_finish(lamp_run&)
{
    co_return pawl::to<off>;
}

/// A lamp that waits in red for amounts to add, until it is finished.
pawl::workflow<lamp, light> adding_lamps()
{
    pawl::builder b{lamp_runs};
    b.callback<red>(add, on_add);
    b.callback<red>(finish, on_finish);
    b.end<off>();
    return std::move(b).build();
}

template <class Fn>
pawl::workflow<note, stage> notes_that(Fn fn)
{
    pawl::builder b{note_runs};
    b.uses(lamp_runs);
    b.step<stage::written>(fn).retry({.initial = 10s, .multiplier = 1, .jitter = 0});
    b.end<stage::posted>();
    return std::move(b).build();
}

pawl::step<stage::posted> post(note_run& run)
{
    co_await run.send(lamp_runs, "a", add, run.object().amount);
    if (run.attempt() == 1)
        throw std::runtime_error("the pen is dry");
    co_return pawl::to<stage::posted>;
}

/// An engine with lamps and notes.
struct desk {
    std::optional<lamps> lamp_client;
    pawl::testing::harness<note, stage> written;

    explicit desk(pawl::workflow<note, stage> flow)
        : written(std::move(flow), {.configure = [this](pawl::engine& engine) {
                      lamp_client = engine.add(adding_lamps());
                  }})
    {
    }

    ~desk() { lamp_client.reset(); } // before the context of the harness

    pawl::run_id light_lamp(const std::string& name)
    {
        return written.wait_for(lamp_client->async_trigger(name, lamp{}));
    }

    int value_of(pawl::run_id run)
    {
        return written.wait_for(lamp_client->async_find(run))->object.value;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_callback_is_sent_once_for_all_attempts)
{
    desk d{notes_that(post)};
    const auto lamp_id = d.light_lamp("a");
    const auto run = d.written.trigger("n", {5});
    BOOST_TEST(d.value_of(lamp_id) == 5);
    BOOST_TEST(d.written.await_finished(run).status == stage::posted);
    BOOST_TEST(d.value_of(lamp_id) == 5);
    d.written.trigger("m", {7});
    BOOST_TEST(d.value_of(lamp_id) == 12);
}

BOOST_AUTO_TEST_CASE(a_later_attempt_does_not_reach_a_later_run)
{
    desk d{notes_that(post)};
    d.light_lamp("a");
    const auto run = d.written.trigger("n", {5});
    d.written.wait_for(d.lamp_client->async_call("a", finish));
    const auto later = d.light_lamp("a");
    BOOST_TEST(d.written.await_finished(run).status == stage::posted);
    BOOST_TEST(d.value_of(later) == 0);
}

BOOST_AUTO_TEST_CASE(a_callback_reaches_a_run_that_starts_later)
{
    desk d{notes_that([](note_run& run) -> pawl::step<stage::posted> {
        co_await run.send(lamp_runs, "a", add, 5);
        co_return pawl::to<stage::posted>;
    })};
    const auto run = d.written.trigger("n");
    BOOST_TEST(d.written.find(run).last_error.find("no run of foreign id \"a\"") !=
               std::string::npos);
    const auto lamp_id = d.light_lamp("a");
    BOOST_TEST(d.written.await_finished(run).status == stage::posted);
    BOOST_TEST(d.value_of(lamp_id) == 5);
}

BOOST_AUTO_TEST_CASE(keys_tell_callbacks_of_one_name_apart)
{
    desk d{notes_that([](note_run& run) -> pawl::step<stage::posted> {
        for (const auto* key : {"x", "y", "x"})
            co_await run.send(lamp_runs, "a", add, 1, {.idempotency_key = key});
        co_return pawl::to<stage::posted>;
    })};
    const auto lamp_id = d.light_lamp("a");
    d.written.await_finished(d.written.trigger("n"));
    BOOST_TEST(d.value_of(lamp_id) == 2);
}

BOOST_AUTO_TEST_CASE(a_run_is_named_by_its_id_too)
{
    pawl::run_id lamp_id;
    desk d{notes_that([&](note_run& run) -> pawl::step<stage::posted> {
        co_await run.send(lamp_runs, lamp_id, finish);
        co_return pawl::to<stage::posted>;
    })};
    lamp_id = d.light_lamp("a");
    d.written.await_finished(d.written.trigger("n"));
    const auto ended = d.written.wait_for(d.lamp_client->async_find(lamp_id));
    BOOST_TEST(ended->status == off);
}

BOOST_AUTO_TEST_CASE(a_workflow_that_is_not_declared_is_not_reached)
{
    pawl::builder b{note_runs};
    b.step<stage::written>(post).retry({.max_attempts = 1});
    b.end<stage::posted>();
    desk d{std::move(b).build()};
    const auto lamp_id = d.light_lamp("a");
    const auto run = d.written.trigger("n", {5});
    BOOST_TEST(d.written.find(run).reason.find(
                   "does not declare that it uses workflow \"lamps\"") != std::string::npos);
    BOOST_TEST(d.value_of(lamp_id) == 0);
}

BOOST_AUTO_TEST_CASE(an_engine_without_a_used_workflow_does_not_start)
{
    world w;
    lamp_builder b{lamp_runs};
    b.uses(note_runs);
    b.callback<red>(finish, on_finish);
    b.end<off>();
    BOOST_CHECK_EXCEPTION(w.start(std::move(b).build()), pawl::error, [](const pawl::error& e) {
        return e.code() == pawl::errc::missing_workflow &&
               e.detail() == "workflow \"lamps\" uses workflow \"notes\"";
    });
}

BOOST_AUTO_TEST_CASE(a_foreign_workflow_is_reached_at_another_engine)
{
    cluster c;
    std::optional<notes> writers;
    auto& first = c.add();
    c.start(first, [&](member& self) {
        pawl::builder b{note_runs};
        b.uses_foreign(lamp_runs);
        b.step<stage::written>(post).retry({.initial = 1s});
        b.end<stage::posted>();
        writers = self.engine->add(std::move(b).build());
    });
    auto& second = c.start([](member&) { return adding_lamps(); });
    const auto lamp_id = c.trigger(second, "a");
    c.wait_for(first, writers->async_trigger("n", note{5}, {}, asio::use_awaitable));
    c.advance_until([&] { return c.state_of(second, lamp_id).object.value > 0; });
    c.advance(1min);
    BOOST_TEST(c.state_of(second, lamp_id).object.value == 5);
}

namespace {

/// Calls a function once, after it has read a foreign id's run.
class delayed_reads final : public pawl::forwarding_store {
public:
    using forwarding_store::forwarding_store;

    asio::awaitable<std::optional<pawl::record>> latest(std::string_view workflow,
                                                        std::string_view foreign_id) override
    {
        auto found = co_await inner().latest(workflow, foreign_id);
        if (const auto call = std::exchange(meanwhile, nullptr))
            co_await call();
        co_return found;
    }

    std::function<asio::awaitable<void>()> meanwhile;
};

pawl::run_id send_amount(world& w, lamps& client, int amount, std::string key = {})
{
    const auto run = w.wait_for(client.async_start_or_send("a", lamp{100, {}}, add, amount,
                                                           {.idempotency_key = std::move(key)}));
    w.settle();
    return run;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_is_started_only_if_none_is_unfinished)
{
    world w;
    auto client = w.start(adding_lamps());
    const auto first = send_amount(w, client, 1);
    BOOST_TEST(w.state_of(client, first).object.value == 101);
    BOOST_TEST(send_amount(w, client, 2) == first);
    BOOST_TEST(w.state_of(client, first).object.value == 103);
    w.wait_for(client.async_call("a", finish));
    const auto second = send_amount(w, client, 3);
    BOOST_TEST(second != first);
    BOOST_TEST(w.state_of(client, second).object.value == 103);
}

BOOST_AUTO_TEST_CASE(a_repeated_call_with_its_key_has_one_effect)
{
    world w;
    auto client = w.start(adding_lamps());
    const auto first = send_amount(w, client, 1, "x");
    BOOST_TEST(send_amount(w, client, 1, "x") == first);
    BOOST_TEST(w.state_of(client, first).object.value == 101);
    w.wait_for(client.async_call("a", finish));
    BOOST_TEST(send_amount(w, client, 1, "x") == first);
    const auto second = send_amount(w, client, 1, "y");
    BOOST_TEST(second != first);
    BOOST_TEST(send_amount(w, client, 1, "x") == first);
    BOOST_TEST(w.state_of(client, second).object.value == 101);
}

BOOST_AUTO_TEST_CASE(calls_at_the_same_time_start_one_run)
{
    for (const bool batches : {false, true}) {
        int ended = 0;
        world w;
        if (batches)
            w.store = std::make_shared<faulty_store>(w.store);
        auto client = w.start(adding_lamps());
        for (int i = 0; i < 20; ++i)
            client.async_start_or_send("a", lamp{}, add, 1, {},
                                       [&](pawl::error_code, pawl::run_id) { ++ended; });
        w.settle();
        BOOST_TEST(ended == 20);
        const auto counts = w.wait_for(client.async_count());
        BOOST_REQUIRE(counts.size() == 1u);
        BOOST_TEST(counts.front().runs == 1u);
        BOOST_TEST(w.wait_for(client.async_find_latest("a"))->object.value == 20);
    }
}

BOOST_AUTO_TEST_CASE(a_callback_reaches_another_run_if_its_run_ends_first)
{
    world w;
    std::optional<lamps> client;
    const auto store = std::make_shared<delayed_reads>(w.store);
    w.store = store;
    client = w.start(adding_lamps());
    const auto first = send_amount(w, *client, 1);
    store->meanwhile = [&]() -> asio::awaitable<void> {
        const auto run = first;
        co_await client->async_call(run, finish);
    };
    const auto second = send_amount(w, *client, 2);
    BOOST_TEST(second != first);
    BOOST_TEST(w.state_of(*client, first).object.value == 101);
    BOOST_TEST(w.state_of(*client, second).object.value == 102);
}

BOOST_AUTO_TEST_CASE(a_run_that_another_call_starts_gets_the_callback)
{
    world w;
    std::optional<lamps> client;
    const auto store = std::make_shared<delayed_reads>(w.store);
    w.store = store;
    client = w.start(adding_lamps());
    pawl::run_id first;
    store->meanwhile = [&]() -> asio::awaitable<void> {
        first = co_await client->async_trigger("a", lamp{});
    };
    BOOST_TEST(send_amount(w, *client, 2) == first);
    BOOST_TEST(w.state_of(*client, first).object.value == 2);
}

BOOST_AUTO_TEST_SUITE_END()
