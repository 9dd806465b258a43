// Ends of children that wait, fail, or are read by a later program; children of their own workflow.
#include "pawl/builder.hpp"
#include "pawl/memory.hpp"
#include "pawl/testing/harness.hpp"
#include "printing.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(children_in_trouble)

namespace {

using namespace std::chrono_literals;

enum class kid_status { waiting = 1, done };
BOOST_DESCRIBE_ENUM(kid_status, waiting, done)

struct kid {
    int value = 0;
    std::string text{};
};
BOOST_DESCRIBE_STRUCT(kid, (), (value, text))

/// The second version of kid: the member `value` has another name.
struct kid2 {
    int amount = -1;
    std::string text{};
};
BOOST_DESCRIBE_STRUCT(kid2, (), (amount, text))

enum class home_status { planned = 1, open, closed };
BOOST_DESCRIBE_ENUM(home_status, planned, open, closed)

struct home {
    int kids = 0;
    bool cancels = false;
    int ended = 0;
    std::vector<std::string> ends{};
};
BOOST_DESCRIBE_STRUCT(home, (), (kids, cancels, ended, ends))

using kid_end = pawl::child_end<kid, kid_status>;
using kid2_end = pawl::child_end<kid2, kid_status>;
using home_run = pawl::run<home>;
using homes = pawl::testing::harness<home, home_status>;
using kid_client = pawl::client<kid, kid_status>;

constexpr pawl::workflow_handle<kid, kid_status> kids{"kids"};
constexpr pawl::workflow_handle<kid2, kid_status> kids2{"kids"};
constexpr pawl::workflow_handle<home, home_status> home_runs{"homes"};
constexpr pawl::callback<kid_end> kid_ended{"kid-ended"};
constexpr pawl::callback<kid2_end> kid2_ended{"kid-ended"};
constexpr pawl::callback<void> finish{"finish"};

pawl::step<kid_status::done> on_finish(pawl::run<kid>& run)
{
    run.object().value += 100;
    co_return pawl::to<kid_status::done>;
}

pawl::workflow<kid, kid_status> plain_kids()
{
    pawl::builder b{kids};
    b.callback<kid_status::waiting>(finish, on_finish);
    b.end<kid_status::done>();
    return std::move(b).build();
}

std::string kid_name(const std::string& parent, int number)
{
    return parent + "/" + std::to_string(number);
}

pawl::step<home_status::open> start_kids(home_run& run)
{
    const auto policy =
        run.object().cancels ? pawl::parent_cancel::cancel : pawl::parent_cancel::leave;
    for (int i = 0; i < run.object().kids; ++i)
        co_await run.start(kids, kid_name(run.foreign_id(), i), {i, {}},
                           {.on_end = kid_ended, .on_parent_cancel = policy});
    co_return pawl::to<home_status::open>;
}

template <class End>
void note_end(home_run& run, const End& end, int value)
{
    ++run.object().ended;
    run.object().ends.push_back(end.foreign_id + " " + to_string(end.state) + " " +
                                std::to_string(value) + " " +
                                std::to_string(end.object.text.size()) + " " + end.reason);
}

pawl::step<> on_kid_ended(home_run& run, kid_end end)
{
    note_end(run, end, end.object.value);
    co_return pawl::repeat_after(0s);
}

pawl::step<> on_kid2_ended(home_run& run, kid2_end end)
{
    note_end(run, end, end.object.amount);
    co_return pawl::repeat_after(0s);
}

pawl::step<home_status::open> open_at_once(home_run&)
{
    co_return pawl::to<home_status::open>;
}

pawl::step<home_status::closed> on_close(home_run&)
{
    co_return pawl::to<home_status::closed>;
}

/// Without the step of `planned` and without the callback for ends.
pawl::builder<home, home_status> bare_home()
{
    pawl::builder b{home_runs};
    b.callback<home_status::open>("close", on_close);
    b.end<home_status::closed>();
    return b;
}

pawl::builder<home, home_status> home_builder()
{
    auto b = bare_home();
    b.uses(kids);
    b.step<home_status::planned>(start_kids).retry({.initial = 1h, .multiplier = 1, .jitter = 0});
    b.callback<home_status::open>(kid_ended, on_kid_ended);
    return b;
}

pawl::workflow<home, home_status> plain_homes()
{
    return home_builder().build();
}

struct family {
    std::optional<kid_client> client;
    homes test;

    explicit family(pawl::workflow<home, home_status> flow = plain_homes(),
                    pawl::workflow<kid, kid_status> kid_flow = plain_kids(),
                    pawl::testing::harness_options options = {})
        : test(std::move(flow), with_kids(std::move(options), std::move(kid_flow)))
    {
    }

    ~family() { client.reset(); } // before the context of the harness

    pawl::testing::harness_options with_kids(pawl::testing::harness_options options,
                                             pawl::workflow<kid, kid_status> flow)
    {
        options.configure = [this, flow](pawl::engine& engine) {
            client = engine.add(flow);
        };
        return options;
    }

    void end_kid(const std::string& name)
    {
        test.wait_for(client->async_call(name, finish));
        test.run_until_idle();
    }

    std::uint64_t dead_letters()
    {
        return test.wait_for(
            test.store().topic_end(pawl::callback_dead_letter_topic(home_runs.name())));
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_paused_parent_gets_ends_after_its_resume)
{
    family f;
    const auto run = f.test.trigger("h", {.kids = 2});
    f.test.wait_for(f.test.client().async_pause(run, "lunch"));
    f.end_kid("h/0");
    f.end_kid("h/1");
    BOOST_TEST(f.test.find(run).object.ended == 0);
    f.test.restart();
    f.test.wait_for(f.test.client().async_resume(run));
    f.test.run_until_idle();
    BOOST_TEST(f.test.find(run).object.ended == 2);
}

BOOST_AUTO_TEST_CASE(no_client_takes_the_key_of_an_end)
{
    family f;
    const auto run = f.test.trigger("h", {.kids = 1});
    const auto kid = f.test.wait_for(f.client->async_find_latest("h/0"))->id;
    const auto key = "pawl.child/" + to_string(kid);
    const auto is_refused = [](const pawl::error& refusal) {
        return refusal.code() == pawl::errc::invalid_argument;
    };
    auto clients = f.test.client();
    BOOST_CHECK_EXCEPTION(f.test.wait_for(clients.async_send(run, kid_ended, kid_end{}, {key, {}})),
                          pawl::error, is_refused);
    BOOST_CHECK_EXCEPTION(f.test.wait_for(clients.async_start_or_send(
                              "h", home{}, kid_ended, kid_end{}, {.idempotency_key = key})),
                          pawl::error, is_refused);
    f.end_kid("h/0");
    BOOST_TEST(f.test.find(run).object.ended == 1);
}

BOOST_AUTO_TEST_CASE(ends_carry_foreign_ids_and_reasons_of_any_bytes)
{
    const std::vector<std::string> names{
        "a\nb", std::string{"a\0b", 3},   "\"\\", "\xff\xfe", "\xc3", "\xed\xa0\x80", "ü",
        "\t ",  std::string(1024, '\x80')};
    std::vector<kid_end> ends;
    auto b = bare_home();
    b.uses(kids);
    b.step<home_status::planned>([&](home_run& run) -> pawl::step<home_status::open> {
        for (const auto& name : names)
            co_await run.start(kids, name, {1, {}}, {.on_end = kid_ended});
        co_return pawl::to<home_status::open>;
    });
    b.callback<home_status::open>(kid_ended, [&](home_run&, kid_end end) -> pawl::step<> {
        ends.push_back(std::move(end));
        co_return pawl::repeat_after(0s);
    });
    family f{std::move(b).build()};
    f.test.trigger("h");
    for (const auto& name : names)
        f.test.wait_for(f.client->async_cancel(name, "\xff" + name));
    f.test.advance(1h);
    BOOST_TEST(f.dead_letters() == 0u);
    BOOST_REQUIRE(ends.size() == names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
        BOOST_TEST(ends[i].foreign_id == names[i]);
        BOOST_TEST(ends[i].reason == ("\xff" + names[i]).substr(0, 1024));
        BOOST_TEST(ends[i].object.value == 1);
    }
}

BOOST_AUTO_TEST_CASE(children_of_the_own_workflow_are_cancelled_with_their_parent)
{
    auto b = bare_home();
    b.uses(home_runs);
    b.step<home_status::planned>([](home_run& run) -> pawl::step<home_status::open> {
        if (run.object().kids > 0)
            co_await run.start(home_runs, run.foreign_id() + "+", {.kids = run.object().kids - 1},
                               {.on_parent_cancel = pawl::parent_cancel::cancel});
        co_return pawl::to<home_status::open>;
    });
    homes test{std::move(b).build()};
    const auto run = test.trigger("h", {.kids = 3});
    test.wait_for(test.client().async_cancel(run, "moved"));
    test.advance(1s);
    for (const auto* name : {"h", "h+", "h++", "h+++"}) {
        const auto found = test.wait_for(test.client().async_find_latest(name));
        BOOST_REQUIRE(found.has_value());
        BOOST_TEST_CONTEXT(name)
        BOOST_TEST(found->state == pawl::run_state::cancelled);
    }
}

BOOST_AUTO_TEST_CASE(a_run_of_the_own_workflow_must_be_declared_to_be_started)
{
    auto b = bare_home();
    b.step<home_status::planned>([](home_run& run) -> pawl::step<home_status::open> {
         co_await run.start(home_runs, "other", {});
         co_return pawl::to<home_status::open>;
     }).retry({.max_attempts = 1});
    homes test{std::move(b).build()};
    const auto found = test.find(test.trigger("h"));
    BOOST_TEST(found.reason.find("does not declare that it uses itself") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_end_whose_handler_fails_is_redriven)
{
    bool fails = true;
    auto b = bare_home();
    b.uses(kids);
    b.step<home_status::planned>(start_kids);
    b.callback<home_status::open>(kid_ended, [&](home_run& run, kid_end end) -> pawl::step<> {
         if (fails)
             throw std::runtime_error{"no"};
         note_end(run, end, end.object.value);
         co_return pawl::repeat_after(0s);
     }).retry({.max_attempts = 2});
    family f{std::move(b).build()};
    const auto run = f.test.trigger("h", {.kids = 1});
    f.end_kid("h/0");
    f.test.advance(1h);
    BOOST_TEST(f.test.find(run).object.ended == 0);
    const auto topic = pawl::callback_dead_letter_topic(home_runs.name());
    BOOST_TEST(f.dead_letters() == 1u);
    f.test.restart();
    f.test.advance(1h);
    BOOST_TEST(f.dead_letters() == 1u); // the end is not sent again
    fails = false;
    f.test.wait_for(f.test.engine().async_redrive(topic));
    f.test.run_until_idle();
    BOOST_TEST(f.test.find(run).object.ended == 1);
    f.test.wait_for(f.test.engine().async_redrive(topic));
    f.test.run_until_idle();
    BOOST_TEST(f.test.find(run).object.ended == 1);
}

namespace {

/// Homes and kids of the second version.
struct later_family {
    std::optional<pawl::client<kid2, kid_status>> client;
    homes test;

    explicit later_family(pawl::testing::harness_options options)
        : test(flow(), with_kids(std::move(options)))
    {
    }

    ~later_family() { client.reset(); } // before the context of the harness

    static pawl::workflow<home, home_status> flow()
    {
        auto b = bare_home();
        b.uses(kids2);
        b.step<home_status::planned>(open_at_once);
        b.callback<home_status::open>(kid2_ended, on_kid2_ended);
        return std::move(b).build();
    }

    pawl::testing::harness_options with_kids(pawl::testing::harness_options options)
    {
        options.configure = [this](pawl::engine& engine) {
            pawl::builder b{kids2};
            b.callback<kid_status::waiting>(
                finish, [](pawl::run<kid2>& run) -> pawl::step<kid_status::done> {
                    run.object().amount += 100;
                    co_return pawl::to<kid_status::done>;
                });
            b.end<kid_status::done>();
            b.upgrade(1, [](boost::json::value& document) {
                auto& object = document.as_object();
                object["amount"] = object.at("value");
                object.erase("value");
            });
            client = engine.add(std::move(b).build());
        };
        return options;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(an_end_that_waits_is_read_by_a_later_version_of_the_object)
{
    pawl::testing::harness_options options;
    options.engine.store = pawl::open_memory();
    options.engine.clock = std::make_shared<pawl::testing::manual_clock>();
    pawl::run_id run;
    {
        family f{plain_homes(), plain_kids(), options};
        run = f.test.trigger("h", {.kids = 8});
        f.test.wait_for(f.test.client().async_pause(run, ""));
        f.end_kid("h/7");
    }
    later_family later{options};
    later.test.wait_for(later.test.client().async_resume(run));
    later.test.advance(1h);
    const auto found = later.test.find(run).object;
    BOOST_REQUIRE(found.ended == 1);
    BOOST_TEST(found.ends.front() == "h/7 Completed 107 0 ");
}

BOOST_AUTO_TEST_CASE(the_end_of_a_child_of_an_older_version_has_the_upgraded_object)
{
    pawl::testing::harness_options options;
    options.engine.store = pawl::open_memory();
    options.engine.clock = std::make_shared<pawl::testing::manual_clock>();
    pawl::run_id run;
    {
        family f{plain_homes(), plain_kids(), options};
        run = f.test.trigger("h", {.kids = 8});
    }
    later_family later{options};
    // A cancellation does not save the object.
    later.test.wait_for(later.client->async_cancel("h/7", "old"));
    later.test.advance(1h);
    const auto found = later.test.find(run).object;
    BOOST_REQUIRE(found.ended == 1);
    BOOST_TEST(found.ends.front() == "h/7 Cancelled 7 0 old");
}

BOOST_AUTO_TEST_CASE(an_end_waits_for_a_program_that_has_the_parent)
{
    const auto store = pawl::open_memory();
    const auto clock = std::make_shared<pawl::testing::manual_clock>();
    pawl::testing::harness_options options;
    options.engine.store = store;
    options.engine.clock = clock;
    pawl::run_id run;
    {
        family f{plain_homes(), plain_kids(), options};
        run = f.test.trigger("h", {.kids = 1});
    }
    {
        pawl::testing::harness<kid, kid_status> alone{plain_kids(), options};
        alone.wait_for(alone.client().async_call("h/0", finish));
        alone.advance(1h);
    }
    family f{plain_homes(), plain_kids(), options};
    f.test.advance(1h);
    BOOST_TEST(f.test.find(run).object.ended == 1);
}

BOOST_AUTO_TEST_SUITE_END()
