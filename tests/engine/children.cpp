// Children: runs that a handler starts, whose ends arrive in the inbox of the run that started
// them.
#include "engine/cluster.hpp"
#include "pawl/testing/harness.hpp"
#include "printing.hpp"

#include <map>

BOOST_AUTO_TEST_SUITE(children)

using namespace engine_test;
using enum light;

namespace {

enum class stage { planned = 1, open, waiting, closed };
BOOST_DESCRIBE_ENUM(stage, planned, open, waiting, closed)

/// A house with lamps in it.
struct house {
    int lamps = 0;
    bool cancels = false;
    std::map<std::string, int> values{}; ///< of the lamps that have ended
    int ended = 0;
    int sum = 0; ///< of the values
    std::string last_state{};
    std::string last_reason{};
};
BOOST_DESCRIBE_STRUCT(house, (), (lamps, cancels, values, ended, sum, last_state, last_reason))

using house_run = pawl::run<house>;
using houses = pawl::client<house, stage>;
using lamp_end = pawl::child_end<lamp, light>;

constexpr pawl::workflow_handle<lamp, light> lamp_runs{"lamps"};
constexpr pawl::workflow_handle<house, stage> house_runs{"houses"};
constexpr pawl::callback<lamp_end> lamp_ended{"lamp-ended"};
constexpr pawl::callback<void> switch_off{"switch-off"};
constexpr pawl::callback<void> close{"close"};

std::string lamp_name(const std::string& house_name, int number)
{
    return house_name + "/" + std::to_string(number);
}

pawl::step<off> on_switch_off(lamp_run& run)
{
    run.object().value += 100;
    co_return pawl::to<off>;
}

/// A lamp that is on until it is switched off.
pawl::workflow<lamp, light> switched_lamps()
{
    pawl::builder b{lamp_runs};
    b.callback<red>(switch_off, on_switch_off);
    b.end<off>();
    return std::move(b).build();
}

pawl::step<off> burn_out(lamp_run& run)
{
    run.object().value += 100;
    co_return pawl::to<off>;
}

/// A lamp that ends at once.
pawl::workflow<lamp, light> short_lamps()
{
    pawl::builder b{lamp_runs};
    b.step<red>(burn_out);
    b.end<off>();
    return std::move(b).build();
}

pawl::step<stage::open> start_lamps(house_run& run)
{
    const auto policy =
        run.object().cancels ? pawl::parent_cancel::cancel : pawl::parent_cancel::leave;
    for (int i = 0; i < run.object().lamps; ++i)
        co_await run.start(lamp_runs, lamp_name(run.foreign_id(), i), {i, {}},
                           {.on_end = lamp_ended, .on_parent_cancel = policy});
    if (run.attempt() == 1)
        throw std::runtime_error("the power is off");
    co_return pawl::to<stage::open>;
}

pawl::step<stage::closed> on_lamp_ended(house_run& run, lamp_end end)
{
    run.object().sum += end.object.value;
    if (run.object().lamps < 10) // else the object would grow with each end
        run.object().values[end.foreign_id] += end.object.value;
    run.object().last_state = to_string(end.state);
    run.object().last_reason = end.reason;
    ++run.object().ended;
    const auto counts = co_await run.children();
    if (counts.unfinished() == 0 && run.object().ended == run.object().lamps)
        co_return pawl::to<stage::closed>;
    co_return pawl::repeat_after(0s);
}

pawl::step<stage::closed> on_close(house_run&)
{
    co_return pawl::to<stage::closed>;
}

pawl::builder<house, stage> house_builder()
{
    pawl::builder b{house_runs};
    b.step<stage::planned>(start_lamps).retry({.initial = 1s});
    b.callback<stage::open>(lamp_ended, on_lamp_ended);
    b.callback<stage::open>(close, on_close);
    b.end<stage::closed>();
    return b;
}

pawl::workflow<house, stage> lit_houses()
{
    auto b = house_builder();
    b.uses(lamp_runs);
    return std::move(b).build();
}

/// An engine with houses and lamps.
struct street {
    std::optional<lamps> lamp_client;
    pawl::testing::harness<house, stage> lit;

    explicit street(pawl::workflow<lamp, light> lamp_flow = switched_lamps(),
                    pawl::workflow<house, stage> flow = lit_houses())
        : lit(std::move(flow),
              {.configure =
                   [this, lamp_flow](pawl::engine& engine) { lamp_client = engine.add(lamp_flow); },
               .max_commits = 30'000})
    {
    }

    ~street() { lamp_client.reset(); } // before the context of the harness

    pawl::snapshot<lamp, light> lamp_of(const std::string& house_name, int number)
    {
        return lit.wait_for(lamp_client->async_find_latest(lamp_name(house_name, number))).value();
    }

    std::uint64_t count_lamps()
    {
        std::uint64_t all = 0;
        for (const auto& count : lit.wait_for(lamp_client->async_count()))
            all += count.runs;
        return all;
    }

    void end_lamp(const std::string& house_name, int number)
    {
        lit.wait_for(lamp_client->async_call(lamp_name(house_name, number), switch_off));
        lit.run_until_idle();
    }

    std::vector<std::string> kinds_of(const std::string& house_name, int number)
    {
        std::vector<std::string> kinds;
        const auto run = lamp_of(house_name, number).id;
        for (const auto& entry : lit.wait_for(lamp_client->async_history(run)))
            kinds.push_back(to_string(entry.kind));
        return kinds;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(the_end_of_each_child_reaches_its_parent_once)
{
    street s;
    const auto run = s.lit.trigger("h", {.lamps = 3});
    s.lit.await(run, {stage::open});
    for (int i = 0; i < 3; ++i)
        s.end_lamp("h", i);
    const auto closed = s.lit.find(run);
    BOOST_TEST(closed.status == stage::closed);
    BOOST_TEST(closed.object.ended == 3);
    BOOST_TEST(closed.object.values.at("h/0") == 100);
    BOOST_TEST(closed.object.values.at("h/2") == 102);
    BOOST_TEST(closed.object.last_state == "Completed");
    BOOST_TEST(s.kinds_of("h", 0).back() == "parent_notified");
}

BOOST_AUTO_TEST_CASE(a_repeated_attempt_starts_no_child_again)
{
    street s;
    const auto run = s.lit.trigger("h", {.lamps = 2});
    BOOST_TEST(s.count_lamps() == 2u);
    s.end_lamp("h", 0);
    s.lit.await(run, {stage::open});
    BOOST_TEST(s.count_lamps() == 2u);
    BOOST_TEST(s.lit.find(run).object.ended == 1);
}

BOOST_AUTO_TEST_CASE(the_end_tells_why_a_child_was_cancelled)
{
    street s;
    const auto run = s.lit.trigger("h", {.lamps = 2});
    s.lit.await(run, {stage::open});
    s.lit.wait_for(s.lamp_client->async_cancel("h/0", "too bright"));
    s.lit.run_until_idle();
    BOOST_TEST(s.lit.find(run).object.last_state == "Cancelled");
    BOOST_TEST(s.lit.find(run).object.last_reason == "too bright");
}

BOOST_AUTO_TEST_CASE(children_are_counted_by_run_state)
{
    pawl::child_counts counts;
    auto b = house_builder();
    b.uses(lamp_runs);
    b.timeout<stage::open>(1h, [&](house_run& run) -> pawl::step<> {
        counts = co_await run.children();
        co_return pawl::repeat_after(1h);
    });
    street s{switched_lamps(), std::move(b).build()};
    const auto run = s.lit.trigger("h", {.lamps = 5});
    s.lit.await(run, {stage::open});
    s.end_lamp("h", 0);
    s.lit.wait_for(s.lamp_client->async_cancel("h/1", ""));
    s.lit.wait_for(s.lamp_client->async_pause("h/2", ""));
    s.lit.advance(1h);
    BOOST_TEST(counts.of(pawl::run_state::completed) == 1u);
    BOOST_TEST(counts.of(pawl::run_state::cancelled) == 1u);
    BOOST_TEST(counts.of(pawl::run_state::paused) == 1u);
    BOOST_TEST(counts.unfinished() == 3u);
    BOOST_TEST(counts.all() == 5u);
}

BOOST_AUTO_TEST_CASE(a_cancelled_parent_cancels_children_that_were_declared_so)
{
    street s;
    const auto cancelling = s.lit.trigger("a", {.lamps = 2, .cancels = true});
    const auto leaving = s.lit.trigger("b", {.lamps = 1, .cancels = false});
    s.lit.await(leaving, {stage::open});
    s.lit.wait_for(s.lit.client().async_cancel(cancelling, "moved out"));
    s.lit.wait_for(s.lit.client().async_cancel(leaving, "moved out"));
    s.lit.run_until_idle();
    BOOST_TEST(s.lamp_of("a", 0).state == pawl::run_state::cancelled);
    BOOST_TEST(s.lamp_of("a", 1).state == pawl::run_state::cancelled);
    BOOST_TEST(s.lamp_of("a", 0).reason ==
               "its parent run " + to_string(cancelling) + " was cancelled");
    BOOST_TEST(s.lamp_of("b", 0).state == pawl::run_state::initiated);
}

BOOST_AUTO_TEST_CASE(a_completed_parent_cancels_no_child)
{
    street s;
    const auto run = s.lit.trigger("h", {.lamps = 1, .cancels = true});
    s.lit.await(run, {stage::open});
    s.lit.wait_for(s.lit.client().async_call(run, close));
    s.lit.run_until_idle();
    BOOST_TEST(s.lit.find(run).status == stage::closed);
    BOOST_TEST(!is_finished(s.lamp_of("h", 0).state));
}

BOOST_AUTO_TEST_CASE(a_child_that_is_stored_late_is_cancelled_with_its_parent)
{
    street s;
    const auto run = s.lit.trigger("h", {.lamps = 1, .cancels = true});
    s.lit.await(run, {stage::open});
    s.lit.wait_for(s.lit.client().async_cancel(run, "moved out"));
    s.lit.run_until_idle();
    pawl::transition late;
    late.next = s.lit.wait_for(s.lit.store().latest("lamps", "h/0")).value();
    late.next.id.bytes.back() ^= 1;
    late.next.foreign_id = "h/late";
    late.next.start_key = "late";
    late.next.state = pawl::run_state::initiated;
    late.next.version = 1;
    late.next.wake_at = s.lit.now();
    late.next.parent->is_notified = false;
    std::vector<pawl::change> batch{late};
    s.lit.wait_for(s.lit.store().apply(batch));
    s.lit.restart();
    s.lit.advance(1s);
    const auto found = s.lit.wait_for(s.lamp_client->async_find(late.next.id));
    BOOST_TEST(found->state == pawl::run_state::cancelled);
}

BOOST_AUTO_TEST_CASE(the_end_of_a_child_without_a_parent_is_dropped)
{
    street s;
    const auto run = s.lit.trigger("h", {.lamps = 1});
    s.lit.await(run, {stage::open});
    s.lit.wait_for(s.lit.client().async_call(run, close));
    s.end_lamp("h", 0);
    BOOST_TEST(s.kinds_of("h", 0).back() == "parent_notified");
    BOOST_TEST(s.lit.find(run).object.ended == 0);
    const auto letters =
        s.lit.wait_for(s.lit.store().topic_end(pawl::callback_dead_letter_topic("houses")));
    BOOST_TEST(letters == 0u);
}

BOOST_AUTO_TEST_CASE(an_end_waits_until_the_store_takes_it)
{
    bool fails = false;
    int reads = 0;
    world w;
    const auto is_kept = [&] {
        return w.wait_for(w.store->latest("lamps", "h/0")).has_value();
    };
    const auto faults = std::make_shared<faulty_store>(w.store);
    w.options.store = faults;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    auto lit = w.engine->add(lit_houses());
    pawl::builder b{lamp_runs};
    b.callback<red>(switch_off, on_switch_off);
    b.end<off>();
    b.retention({.keep = 5s});
    auto lamp_client = w.engine->add(std::move(b).build());
    w.wait_for(w.engine->async_start(asio::use_awaitable));
    const auto run = w.wait_for(lit.async_trigger("h", house{.lamps = 1}, {}, asio::use_awaitable));
    w.advance_until([&] {
        return w.wait_for(lit.async_find(run, asio::use_awaitable))->status == stage::open;
    });
    // The engine reads the lamp, and then its parent.
    faults->fails = [&](const std::string& call) {
        return call == "find" && fails && ++reads > 1 ? fault::refused : fault::none;
    };
    fails = true;
    w.wait_for(lamp_client.async_call("h/0", switch_off));
    w.advance(1min);
    BOOST_TEST(reads > 1);
    BOOST_TEST(is_kept()); // by retention
    BOOST_TEST(w.wait_for(lit.async_find_latest("h"))->object.ended == 0);
    fails = false;
    w.advance_until(
        [&] { return w.wait_for(lit.async_find_latest("h"))->status == stage::closed; });
    BOOST_TEST(w.wait_for(lit.async_find_latest("h"))->object.ended == 1);
    w.advance_until([&] { return !is_kept(); });
}

BOOST_AUTO_TEST_CASE(data_is_deleted_although_the_parent_is_notified_after_the_command)
{
    bool fails = false;
    int reads = 0;
    world w;
    const auto faults = std::make_shared<faulty_store>(w.store);
    w.options.store = faults;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    auto lit = w.engine->add(lit_houses());
    auto lamp_client = w.engine->add(switched_lamps());
    w.wait_for(w.engine->async_start(asio::use_awaitable));
    const auto run = w.wait_for(lit.async_trigger("h", house{.lamps = 1}, {}, asio::use_awaitable));
    w.advance_until([&] {
        return w.wait_for(lit.async_find(run, asio::use_awaitable))->status == stage::open;
    });
    // The engine reads the lamp, and then its parent.
    faults->fails = [&](const std::string& call) {
        return call == "find" && fails && ++reads > 1 ? fault::refused : fault::none;
    };
    fails = true;
    w.wait_for(lamp_client.async_call("h/0", switch_off));
    w.settle();
    BOOST_TEST(reads > 1);
    fails = false;
    const auto ended = w.wait_for(lamp_client.async_find_latest("h/0"));
    BOOST_TEST((ended->state == pawl::run_state::completed));
    w.wait_for(lamp_client.async_delete_data("h/0", "asked"));
    w.settle();
    BOOST_TEST(
        (w.wait_for(lamp_client.async_find_latest("h/0"))->state == pawl::run_state::data_deleted));
    BOOST_TEST(w.wait_for(lit.async_find_latest("h"))->object.ended == 1);
}

BOOST_AUTO_TEST_CASE(a_callback_for_ends_must_be_declared)
{
    pawl::builder b{house_runs};
    b.uses(lamp_runs);
    b.step<stage::planned>(start_lamps).retry({.max_attempts = 1});
    b.step<stage::open>(
        [](house_run&) -> pawl::step<stage::closed> { co_return pawl::to<stage::closed>; });
    b.end<stage::closed>();
    street s{switched_lamps(), std::move(b).build()};
    const auto run = s.lit.trigger("h", {.lamps = 1});
    BOOST_TEST(s.lit.find(run).reason.find("declares no callback \"lamp-ended\"") !=
               std::string::npos);
    BOOST_TEST(s.count_lamps() == 0u);
}

BOOST_AUTO_TEST_CASE(ten_thousand_children_end_in_one_parent)
{
    street s{short_lamps()};
    const auto run = s.lit.trigger("h", {.lamps = 10'000});
    const auto closed = s.lit.await_finished(run);
    BOOST_TEST(closed.status == stage::closed);
    BOOST_TEST(closed.object.ended == 10'000);
    BOOST_TEST(closed.object.sum == 10'000 * 100 + 9'999 * 10'000 / 2);
}

BOOST_AUTO_TEST_CASE(children_at_another_engine_end_in_their_parent)
{
    cluster c;
    std::optional<houses> lit;
    auto& first = c.add();
    const auto add_houses = [&](member& self) {
        auto b = house_builder();
        b.uses_foreign(switched_lamps());
        lit = self.engine->add(std::move(b).build());
    };
    c.start(first, add_houses);
    auto& second = c.start([](member&) { return switched_lamps(); });
    const auto run = c.wait_for(first, lit->async_trigger("h", house{.lamps = 3, .cancels = true},
                                                          {}, asio::use_awaitable));
    const auto state = [&] {
        return c.wait_for(first, lit->async_find(run, asio::use_awaitable)).value();
    };
    c.advance_until([&] { return state().status == stage::open; });
    for (int i = 0; i < 2; ++i)
        c.wait_for(second, second.client->async_call(lamp_name("h", i), switch_off));
    c.advance_until([&] { return state().object.ended == 2; });
    c.wait_for(first, lit->async_cancel(run, "moved out"));
    c.advance_until([&] {
        const auto last = c.wait_for(second, second.client->async_find_latest(lamp_name("h", 2)));
        return last->state == pawl::run_state::cancelled;
    });
    BOOST_TEST(state().object.ended == 2);
}

BOOST_AUTO_TEST_CASE(a_child_of_a_foreign_handle_is_not_started)
{
    cluster c;
    std::optional<houses> lit;
    auto& first = c.add();
    c.start(first, [&](member& self) {
        auto b = house_builder();
        b.uses_foreign(lamp_runs);
        lit = self.engine->add(std::move(b).build());
    });
    const auto run =
        c.wait_for(first, lit->async_trigger("h", house{.lamps = 1}, {}, asio::use_awaitable));
    c.advance(1s);
    const auto found = c.wait_for(first, lit->async_find(run, asio::use_awaitable)).value();
    BOOST_TEST(found.last_error.find("builder::uses_foreign()") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
