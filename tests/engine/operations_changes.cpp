// What operators change by pawl::operations, and what the audit log says of it.
#include "engine/support.hpp"
#include "pawl/attribute.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/error.hpp"
#include "pawl/forwarding_store.hpp"
#include "pawl/operations.hpp"
#include "printing.hpp"

#include <algorithm>

BOOST_AUTO_TEST_SUITE(operations_changes)

using namespace engine_test;
using enum light;

namespace {

using strings = std::vector<std::string>;

pawl::step<off> finish(lamp_run& run, int value)
{
    if (value < 0)
        throw std::runtime_error("value " + std::to_string(value) + " is negative");
    run.object().value = value;
    co_return pawl::to<off>;
}

pawl::step<yellow> check(lamp_run& run)
{
    if (run.object().value < 0)
        throw std::runtime_error("value " + std::to_string(run.object().value) + " is negative");
    co_return pawl::to<yellow>;
}

/// Runs begin in red, are checked, and wait in yellow for their callback. A run with a negative
/// value fails twice and is paused.
pawl::workflow<lamp, light> checked_lamps()
{
    lamp_builder b{"lamps"};
    b.attribute(pawl::attribute<int>{"value"}, &lamp::value);
    b.step<red>(check).retry(
        {.initial = 10min, .max_interval = 10min, .jitter = 0, .max_attempts = 2});
    b.callback<yellow>("finish", finish).retry({.max_attempts = 1});
    b.timeout<yellow>("expire", 24h, [](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    return std::move(b).build();
}

const pawl::requester ada{"ada", "token", "10.0.0.7"};

pawl::change_request asked(std::string reason = "ticket 7")
{
    return {.by = ada, .reason = std::move(reason)};
}

/// Cannot store entries of the audit log.
struct store_without_audit : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        for (const auto& change : batch)
            if (const auto* event = std::get_if<pawl::publication>(&change);
                event && event->topic == "pawl.audit")
                throw pawl::error(pawl::errc::store_full, "no room for the audit log");
        auto results = co_await inner().apply(batch);
        co_return results;
    }
    std::optional<pawl::apply_result> try_apply(const pawl::change&) override { return {}; }
};

struct operated_world : world {
    std::optional<lamps> client;
    std::optional<pawl::operations> ops;

    explicit operated_world(std::shared_ptr<pawl::record_store> given = pawl::open_memory())
    {
        store = std::move(given);
        begin();
    }

    ~operated_world() { client.reset(); }

    void begin()
    {
        client = start(checked_lamps());
        ops = engine->operations();
    }

    void continue_as_client()
    {
        stop();
        options.client_only = true;
        options.store = store;
        options.clock = clock;
        engine.emplace(io.get_executor(), options);
        wait_for(engine->async_start());
        ops = engine->operations();
    }

    pawl::run_id trigger(const std::string& name, int value)
    {
        const auto run = wait_for(client->async_trigger(name, {value, {}}));
        settle();
        return run;
    }

    /// A run that an error has paused.
    pawl::run_id trigger_paused(const std::string& name)
    {
        const auto run = trigger(name, -1);
        advance(11min);
        BOOST_TEST_REQUIRE((state_of(*client, run).state == pawl::run_state::paused));
        return run;
    }

    template <class T>
    std::pair<pawl::error_code, std::string> refusal_of(asio::awaitable<T> operation)
    {
        try {
            wait_for(std::move(operation));
        } catch (const pawl::error& e) {
            return {e.code(), e.detail()};
        }
        return {{}, "nothing was refused"};
    }

    /// The entries of the audit log as "action outcome".
    strings audited()
    {
        strings entries;
        for (const auto& entry : wait_for(ops->async_audit()).entries)
            entries.push_back(entry.action + " " + to_string(entry.outcome));
        return entries;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_change_is_recorded_before_it_is_made_and_with_its_outcome)
{
    operated_world w;
    const auto run = w.trigger("a", 1);
    const auto result = w.wait_for(w.ops->async_pause("lamps", run, asked()));
    BOOST_TEST((result.outcome == pawl::message_outcome::handled));
    BOOST_TEST(result.message == 1);
    BOOST_TEST((w.state_of(*w.client, run).state == pawl::run_state::paused));
    const auto page = w.wait_for(w.ops->async_audit());
    BOOST_TEST_REQUIRE(page.entries.size() == 2);
    BOOST_TEST(page.complete);
    for (const auto& entry : page.entries) {
        BOOST_TEST(entry.id == result.audit_id);
        BOOST_TEST(entry.by.name == "ada");
        BOOST_TEST(entry.by.method == "token");
        BOOST_TEST(entry.by.address == "10.0.0.7");
        BOOST_TEST(entry.action == "pause");
        BOOST_TEST(entry.workflow == "lamps");
        BOOST_TEST(entry.run == run);
        BOOST_TEST(entry.foreign_id == "a");
        BOOST_TEST(entry.reason == "ticket 7");
    }
    BOOST_TEST(w.audited() == (strings{"pause requested", "pause done"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_refused_change_is_recorded)
{
    operated_world w;
    const auto run = w.trigger("a", 1);
    BOOST_TEST(w.error_of(w.ops->async_resume("lamps", run, asked())) == pawl::errc::not_paused);
    BOOST_TEST(w.error_of(w.ops->async_pause("others", run, asked())) == pawl::errc::not_found);
    auto other_version = asked();
    other_version.if_version = 9;
    BOOST_TEST(w.error_of(w.ops->async_pause("lamps", run, other_version)) == pawl::errc::conflict);
    BOOST_TEST(w.audited() == (strings{"resume requested", "resume refused", "pause refused",
                                       "pause refused"}),
               boost::test_tools::per_element());
    const auto page = w.wait_for(w.ops->async_audit(1, 1));
    BOOST_TEST_REQUIRE(page.entries.size() == 1);
    BOOST_TEST(page.entries[0].detail == "cannot resume: the run is Running");
    BOOST_TEST(!page.complete);
    BOOST_TEST(page.next == 2);
}

BOOST_AUTO_TEST_CASE(a_change_that_cannot_be_recorded_is_not_made)
{
    operated_world w{std::make_shared<store_without_audit>(pawl::open_memory())};
    const auto run = w.trigger("a", 1);
    BOOST_TEST(w.error_of(w.ops->async_pause("lamps", run, asked())) == pawl::errc::store_full);
    BOOST_TEST((w.state_of(*w.client, run).state == pawl::run_state::running));
    BOOST_TEST(w.error_of(w.ops->async_trigger("lamps", {"b", R"({"value":1,"trail":[]})"},
                                               asked())) == pawl::errc::store_full);
    BOOST_TEST(!w.wait_for(w.client->async_find_latest("b")).has_value());
}

BOOST_AUTO_TEST_CASE(the_audit_log_is_bounded)
{
    world plain;
    plain.options.max_audit_entries = 1'000;
    auto client = plain.start(checked_lamps());
    auto ops = plain.engine->operations();
    const auto run = plain.wait_for(client.async_trigger("a", {1, {}}));
    for (int i = 0; i < 320; ++i) {
        plain.wait_for(ops.async_pause("lamps", run, asked()));
        plain.wait_for(ops.async_resume("lamps", run, asked()));
    }
    const auto page = plain.wait_for(ops.async_audit(0, 1'000));
    BOOST_TEST(page.entries.front().position > 100);
    const auto end = plain.wait_for(plain.store->topic_end("pawl.audit"));
    BOOST_TEST(end - page.entries.front().position >= 999);
}

BOOST_AUTO_TEST_CASE(a_retry_runs_a_failing_step_now_with_attempts_from_zero)
{
    operated_world w;
    const auto run = w.trigger("bad", -1);
    w.advance(1min);
    BOOST_TEST(w.state_of(*w.client, run).attempt == 1);
    w.wait_for(w.ops->async_retry("lamps", run, asked()));
    w.settle();
    BOOST_TEST(w.state_of(*w.client, run).attempt == 1); // of the new attempts
    BOOST_TEST(w.kinds_of(*w.client, run) ==
                   (strings{"started", "attempt_failed", "retried", "attempt_failed"}),
               boost::test_tools::per_element());
    const auto history = w.wait_for(w.ops->async_history(run));
    BOOST_TEST(history[2].error == "ticket 7");
    BOOST_TEST(history[2].requested_by == "ada");
}

BOOST_AUTO_TEST_CASE(a_retry_continues_a_run_that_an_error_has_paused)
{
    operated_world w;
    const auto run = w.trigger_paused("bad");
    auto other_version = asked();
    other_version.if_version = 1;
    BOOST_TEST(w.error_of(w.ops->async_retry("lamps", run, other_version)) == pawl::errc::conflict);
    w.wait_for(w.ops->async_retry("lamps", run, asked()));
    w.settle();
    BOOST_TEST((w.state_of(*w.client, run).state == pawl::run_state::running));
    BOOST_TEST(w.state_of(*w.client, run).attempt == 1);
    const auto healthy = w.trigger("good", 1);
    BOOST_TEST(w.error_of(w.ops->async_retry("lamps", healthy, asked())) ==
               pawl::errc::not_failing);
}

BOOST_AUTO_TEST_CASE(a_paused_run_is_moved_with_an_edited_object)
{
    operated_world w;
    const auto run = w.trigger_paused("bad");
    const auto before = w.wait_for(w.ops->async_read(run));
    auto request = asked();
    request.if_version = before->stored.version;
    const auto moved = w.wait_for(w.ops->async_move(
        "lamps", run, {.status = "yellow", .object = R"({"trail":["edited"],"value":5})"},
        request));
    BOOST_TEST((moved.outcome == pawl::message_outcome::handled));
    const auto now = w.wait_for(w.ops->async_read(run));
    BOOST_TEST(now->status_label == "yellow");
    BOOST_TEST((now->stored.state == pawl::run_state::running));
    BOOST_TEST(now->stored.object == R"({"value":5,"trail":["edited"]})");
    BOOST_TEST(now->stored.last_error == "");
    BOOST_TEST(now->stored.deadlines.size() == 1);
    BOOST_TEST(w.kinds_of(*w.client, run).back() == "moved_by_command");
    const auto found = w.wait_for(w.client->async_list({.attributes = {{"value", 5}}}));
    BOOST_TEST(found.runs.size() == 1);
    w.wait_for(w.ops->async_call("lamps", run, {"finish", "8"}, asked()));
    BOOST_TEST(w.state_of(*w.client, run).object.value == 8);
}

BOOST_AUTO_TEST_CASE(a_move_to_an_end_completes_the_run)
{
    operated_world w;
    const auto run = w.trigger_paused("bad");
    w.wait_for(w.ops->async_move("lamps", run, {.status = "off"}, asked()));
    BOOST_TEST((w.state_of(*w.client, run).state == pawl::run_state::completed));
    const auto history = w.wait_for(w.ops->async_history(run));
    BOOST_TEST(to_string(history.back().kind) == "completed");
    BOOST_TEST(history.back().requested_by == "ada");
}

BOOST_AUTO_TEST_CASE(a_move_that_cannot_be_executed_changes_nothing)
{
    operated_world w;
    const auto running = w.trigger("good", 1);
    BOOST_TEST(w.error_of(w.ops->async_move("lamps", running, {.status = "red"}, asked())) ==
               pawl::errc::not_paused);
    const auto run = w.trigger_paused("bad");
    const auto version = w.wait_for(w.ops->async_read(run))->stored.object;
    const auto refuse = [&](pawl::move_request move, pawl::errc code) {
        BOOST_TEST(w.error_of(w.ops->async_move("lamps", run, std::move(move), asked())) == code);
    };
    refuse({.status = "blue"}, pawl::errc::invalid_argument);
    refuse({.status = "77"}, pawl::errc::invalid_status);
    refuse({.status = "yellow", .object = "{"}, pawl::errc::invalid_argument);
    refuse({.status = "yellow", .object = R"({"value":"five","trail":[]})"},
           pawl::errc::decode_failed);
    refuse({.status = "yellow", .object = R"({"value":5,"trail":[],"color":1})"},
           pawl::errc::decode_failed);
    const auto after = w.wait_for(w.ops->async_read(run));
    BOOST_TEST(after->stored.object == version);
    BOOST_TEST(after->status_label == "red");
    BOOST_TEST((after->stored.state == pawl::run_state::paused));
}

BOOST_AUTO_TEST_CASE(a_callback_is_sent_as_json)
{
    operated_world w;
    const auto run = w.trigger("a", 1);
    const auto call = [&](pawl::callback_request callback) {
        return w.error_of(w.ops->async_call("lamps", run, std::move(callback), asked()));
    };
    BOOST_TEST(call({"start", "1"}) == pawl::errc::no_such_callback);
    BOOST_TEST(call({"finish", "{"}) == pawl::errc::invalid_argument);
    BOOST_TEST(call({"finish", "-1"}) == pawl::errc::callback_failed);
    BOOST_TEST(w.audited().back() == "call failed");
    BOOST_TEST(!call({"finish", "6"}));
    BOOST_TEST(w.state_of(*w.client, run).object.value == 6);
}

BOOST_AUTO_TEST_CASE(a_run_is_started_by_json)
{
    operated_world w;
    BOOST_TEST(w.error_of(w.ops->async_trigger("lamps", {"a", R"({"value":"four"})"}, asked())) ==
               pawl::errc::decode_failed);
    BOOST_TEST(w.audited() == (strings{"trigger refused"}), boost::test_tools::per_element());
    const auto started = w.wait_for(w.ops->async_trigger(
        "lamps", {.foreign_id = "a", .object = R"({"trail":[],"value":4})", .status = "yellow"},
        asked()));
    BOOST_TEST(w.state_of(*w.client, started.run).object.value == 4);
    BOOST_TEST(w.audited().back() == "trigger done");
    BOOST_TEST(w.error_of(w.ops->async_trigger("lamps", {"a", R"({"value":4,"trail":[]})"},
                                               asked())) == pawl::errc::already_running);
    w.continue_as_client();
    const auto refused =
        w.refusal_of(w.ops->async_trigger("lamps", {"b", R"({"value":4,"trail":[]})"}, asked()));
    BOOST_TEST(refused.first == pawl::errc::missing_workflow);
    BOOST_TEST(refused.second == "this engine does not have the workflow \"lamps\", whose codec "
                                 "checks the object of a run: no live engine has it");
}

BOOST_AUTO_TEST_CASE(a_change_waits_in_the_inbox_until_an_engine_drives_the_run)
{
    operated_world w;
    const auto run = w.trigger("a", 1);
    w.continue_as_client();
    const auto result = w.wait_for(w.ops->async_pause("lamps", run, asked()));
    BOOST_TEST((result.outcome == pawl::message_outcome::pending));
    BOOST_TEST(w.audited() == (strings{"pause requested", "pause accepted"}),
               boost::test_tools::per_element());
    w.stop();
    w.options.client_only = false;
    w.begin();
    w.settle();
    BOOST_TEST((w.state_of(*w.client, run).state == pawl::run_state::paused));
}

BOOST_AUTO_TEST_CASE(a_change_with_a_key_is_made_once)
{
    operated_world w;
    const auto run = w.trigger("a", 1);
    auto request = asked();
    request.idempotency_key = "k-1";
    const auto first = w.wait_for(w.ops->async_pause("lamps", run, request));
    w.wait_for(w.ops->async_resume("lamps", run, asked()));
    const auto second = w.wait_for(w.ops->async_pause("lamps", run, request));
    BOOST_TEST(second.message == first.message);
    BOOST_TEST((second.outcome == pawl::message_outcome::handled));
    BOOST_TEST((w.state_of(*w.client, run).state == pawl::run_state::running));
}

BOOST_AUTO_TEST_CASE(a_request_out_of_range_is_refused_and_recorded)
{
    operated_world w;
    const auto run = w.trigger("a", 1);
    auto request = asked();
    request.by.name.assign(1'025, 'x');
    BOOST_TEST(w.error_of(w.ops->async_pause("lamps", run, request)) ==
               pawl::errc::invalid_argument);
    request = asked();
    request.idempotency_key = "pawl.mine";
    BOOST_TEST(w.error_of(w.ops->async_pause("lamps", run, request)) ==
               pawl::errc::invalid_argument);
    request = asked();
    request.wait_for = -1s;
    BOOST_TEST(w.error_of(w.ops->async_pause("lamps", run, request)) ==
               pawl::errc::invalid_argument);
    BOOST_TEST(w.audited() == (strings{"pause refused", "pause refused", "pause refused"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(letters_are_redriven_and_recorded)
{
    operated_world w;
    const auto run = w.trigger("a", 1);
    w.wait_for(w.client->async_send(run, "finish", -1));
    w.settle();
    const auto result =
        w.wait_for(w.ops->async_redrive(pawl::callback_dead_letter_topic("lamps"), asked()));
    BOOST_TEST(result.succeeded == 1);
    BOOST_TEST(w.error_of(w.ops->async_redrive("orders", asked())) == pawl::errc::invalid_argument);
    BOOST_TEST(w.audited() == (strings{"redrive requested", "redrive done", "redrive requested",
                                       "redrive refused"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
