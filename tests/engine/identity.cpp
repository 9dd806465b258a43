// Which run a client means, and which runs it knows at all.
#include "engine/support.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(identity)

using namespace engine_test;
using enum light;

namespace {

template <auto To>
pawl::step<To> go_on(lamp_run&)
{
    co_return pawl::to<To>;
}

pawl::step<yellow, off> count(lamp_run& run, int by)
{
    run.object().value += by;
    co_return pawl::repeat_after(1h);
}

pawl::workflow<lamp, light> waiting(const std::string& name)
{
    lamp_builder b{name};
    b.step<red>(go_on<off>);
    b.callback<yellow>("confirm", count);
    b.callback<yellow>("cancel", count);
    b.callback<yellow>("end", go_on<off>);
    b.start<red>().start<yellow>();
    b.end<off>();
    return std::move(b).build();
}

pawl::run_id begin(world& w, lamps& c, std::string id, light at = yellow)
{
    const auto run = w.wait_for(c.async_trigger(std::move(id), lamp{}, {.start = at}));
    w.settle();
    return run;
}

/// Two workflows in one engine; the client of the other one.
struct two_workflows : world {
    std::optional<lamps> other;

    lamps start_both()
    {
        options.store = store;
        options.clock = clock;
        engine.emplace(io.get_executor(), options);
        auto first = engine->add(waiting("lamps"));
        other = engine->add(waiting("others"));
        wait_for(engine->async_start(asio::use_awaitable));
        return first;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_client_never_sees_another_workflows_run)
{
    two_workflows w;
    auto c = w.start_both();
    const auto theirs = begin(w, *w.other, "same id");
    BOOST_TEST(!w.wait_for(c.async_find(theirs)));
    BOOST_TEST(!w.wait_for(c.async_find_latest("same id")));
    BOOST_TEST(w.error_of(c.async_await(theirs, {yellow})) == pawl::errc::not_found);
    BOOST_TEST(w.error_of(c.async_await(theirs, {off})) == pawl::errc::not_found);
    BOOST_TEST(w.error_of(c.async_await_finished(theirs)) == pawl::errc::not_found);
    BOOST_TEST(w.wait_for(c.async_history(theirs)).empty());
    BOOST_TEST(w.wait_for(c.async_list({})).runs.empty());
    BOOST_TEST(w.wait_for(c.async_list({.foreign_ids = {{"same id"}}})).runs.empty());
    BOOST_TEST(w.wait_for(c.async_count()).empty());
    BOOST_TEST(w.error_of(c.async_call(theirs, "end", pawl::bytes{})) == pawl::errc::not_found);
    BOOST_TEST(w.error_of(c.async_send(theirs, "end", pawl::bytes{})) == pawl::errc::not_found);
    BOOST_TEST(w.error_of(c.async_pause(theirs, "no")) == pawl::errc::not_found);
    BOOST_TEST(w.error_of(c.async_cancel(theirs, "no")) == pawl::errc::not_found);
    BOOST_TEST(w.error_of(c.async_delete_data(theirs, "no")) == pawl::errc::not_found);
    BOOST_TEST(w.state_of(*w.other, theirs).status == yellow);
    BOOST_TEST(w.wait_for(w.other->async_history(theirs)).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_foreign_id_means_the_unfinished_run_though_the_clock_was_set_back)
{
    for (const pawl::duration step : {0h, -1h})
        BOOST_TEST_CONTEXT("the clock goes by " << step.count())
        {
            world w;
            auto c = w.start(waiting("lamps"));
            begin(w, c, "a", red);
            w.advance(1s);
            w.clock->step(step);
            const auto second = begin(w, c, "a");
            BOOST_TEST((w.wait_for(c.async_find_latest("a"))->id == second));
            const std::string key{"a"};
            BOOST_TEST(!w.error_of(c.async_call(key, "confirm", 1)));
            BOOST_TEST(!w.error_of(c.async_pause(key, "to look")));
            BOOST_TEST(!w.error_of(c.async_cancel(key, "enough")));
            BOOST_TEST(w.state_of(c, second).state == pawl::run_state::cancelled);
        }
}

BOOST_AUTO_TEST_CASE(an_idempotency_key_belongs_to_one_callback_name_of_one_run)
{
    world w;
    auto c = w.start(waiting("lamps"));
    const auto run = begin(w, c, "a");
    const auto beside = begin(w, c, "b");
    const auto call = [&](pawl::run_id to, const char* name) {
        return w.wait_for(c.async_call(to, name, 1, {.idempotency_key = "request-7"})).sequence;
    };
    const auto first = call(run, "confirm");
    BOOST_TEST(call(run, "confirm") == first);
    BOOST_TEST(call(run, "cancel") != first);
    call(beside, "confirm");
    BOOST_TEST(w.state_of(c, run).object.value == 2);
    BOOST_TEST(w.state_of(c, beside).object.value == 1);
}

BOOST_AUTO_TEST_CASE(an_await_of_no_status_is_refused_by_name)
{
    world w;
    auto c = w.start(waiting("lamps"));
    const auto run = begin(w, c, "a");
    BOOST_CHECK_EXCEPTION(w.wait_for(c.async_await(run, {})), pawl::error, [](const auto& e) {
        return e.code() == pawl::errc::invalid_argument &&
               e.detail().find("statuses") != std::string::npos;
    });
}

BOOST_AUTO_TEST_CASE(a_listing_goes_on_behind_a_run_that_was_removed)
{
    world w;
    auto c = w.start(waiting("lamps"));
    for (int i = 0; i < 5; ++i) {
        begin(w, c, std::to_string(i), red);
        w.advance(1s);
    }
    auto page = w.wait_for(c.async_list({.limit = 2}));
    BOOST_REQUIRE(page.next);
    const auto& last = page.runs.back();
    const std::vector<pawl::change> gone{pawl::removal{last.id, last.version}};
    w.wait_for(w.store->apply(gone));
    const auto token = pawl::parse_list_position(to_string(page.next));
    BOOST_REQUIRE(token.has_value());
    page = w.wait_for(c.async_list({.limit = 2, .after = *token}));
    BOOST_REQUIRE(page.runs.size() == 2u);
    BOOST_TEST(page.runs.front().foreign_id == "2");
    for (const std::string text : {"", "-", "7", "7-", "x-018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d"})
        BOOST_TEST(!pawl::parse_list_position(text), text);
}

BOOST_AUTO_TEST_CASE(a_list_of_no_foreign_ids_is_not_all_runs)
{
    world w;
    auto c = w.start(waiting("lamps"));
    begin(w, c, "a");
    pawl::record_query none;
    none.foreign_ids = std::vector<std::string>{};
    BOOST_TEST(w.wait_for(c.async_list(none)).runs.empty());
    BOOST_TEST(w.wait_for(c.async_list({})).runs.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_trace_parent_that_is_none_or_long_is_not_kept)
{
    const std::string header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const std::pair<std::string, std::string> cases[] = {
        {header, header},
        {std::string(1 << 20, 'x'), ""},
        {"cc" + header.substr(2) + "-" + std::string(1 << 20, 'x'), header},
        {header + std::string(100, '0'), ""},
    };
    world w;
    auto c = w.start(waiting("lamps"));
    for (const auto& [given, kept] : cases) {
        const auto run =
            w.wait_for(c.async_trigger("t", lamp{}, {.start = red, .trace_parent = given}));
        w.settle();
        BOOST_TEST(w.wait_for(w.store->find(run))->trace_parent == kept);
    }
}

BOOST_AUTO_TEST_CASE(a_reason_is_cut_at_a_character_and_a_name_that_is_long_is_refused)
{
    world w;
    w.options.max_object_size = 500;
    auto c = w.start(waiting("lamps"));
    const auto run = begin(w, c, "a");
    std::string reason = "xx";
    while (reason.size() < 2000)
        reason += "€"; // three bytes: 1,024 falls inside one
    w.wait_for(c.async_pause(run, {reason, std::string(1024, 'w')}));
    const auto paused = w.state_of(c, run);
    BOOST_TEST(paused.reason == reason.substr(0, 2 + 340 * 3));
    BOOST_TEST(paused.requested_by.size() == 1024u);
    BOOST_TEST((w.error_of(c.async_cancel(run, {"why", std::string(1025, 'w')})) ==
                pawl::errc::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
