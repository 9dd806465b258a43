// What the API changes: commands, repair, callbacks, triggers; what it records of them.
#include "support.hpp"

BOOST_AUTO_TEST_SUITE(admin_commands)

using namespace admin_test;

namespace {

std::string state_of(world& w, const std::string& run)
{
    const auto got = w.get("/runs/" + run);
    return got.text("/run_state") + " " + got.text("/status");
}

/// A run that waits for its approval.
std::string waiting_run(world& w)
{
    return to_string(w.bench().trigger("good", {"Ada", 1}));
}

/// A run that an error has paused.
std::string paused_run(world& w)
{
    const auto run = to_string(w.bench().trigger("bad", {}));
    w.bench().advance(1min);
    return run;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_is_paused_and_resumed)
{
    world w;
    const auto run = waiting_run(w);
    auto got = w.send("POST", "/runs/" + run + "/pause", R"({"reason": "let me see"})");
    BOOST_TEST(got.status == 200, got.raw.body);
    BOOST_TEST(got.text("/id") == run);
    BOOST_TEST(got.text("/outcome") == "handled");
    BOOST_TEST(state_of(w, run) == "Paused checked");
    const auto paused = w.get("/runs/" + run);
    BOOST_TEST(paused.text("/reason") == "let me see");
    BOOST_TEST(paused.text("/requested_by") == "ada");
    got = w.send("POST", "/runs/" + run + "/pause", "{}");
    BOOST_TEST(got.status == 409);
    BOOST_TEST(got.text("/code") == "already_paused");
    BOOST_TEST(w.send("POST", "/runs/orders:good/resume").status == 200);
    BOOST_TEST(state_of(w, run) == "Running checked");
    BOOST_TEST(w.send("POST", "/runs/" + run + "/resume").text("/code") == "not_paused");
}

BOOST_AUTO_TEST_CASE(a_finished_run_loses_its_data)
{
    world w;
    const auto run = waiting_run(w);
    auto got = w.send("POST", "/runs/" + run + "/delete-data", R"({"reason": "asked for"})");
    BOOST_TEST(got.text("/code") == "not_finished");
    BOOST_TEST(w.send("POST", "/runs/" + run + "/cancel", R"({"reason": "no"})").status == 200);
    BOOST_TEST(state_of(w, run) == "Cancelled checked");
    got = w.send("POST", "/runs/" + run + "/delete-data", R"({"reason": "asked for"})");
    BOOST_TEST(got.status == 200, got.raw.body);
    BOOST_TEST(state_of(w, run) == "DataDeleted checked");
    BOOST_TEST(w.send("POST", "/runs/" + run + "/cancel").text("/code") == "already_finished");
}

BOOST_AUTO_TEST_CASE(a_failing_run_is_retried)
{
    world w;
    const auto run = paused_run(w);
    BOOST_TEST(state_of(w, run) == "Paused created");
    const auto got = w.send("POST", "/runs/" + run + "/retry", R"({"reason": "try again"})");
    BOOST_TEST(got.status == 200, got.raw.body);
    w.bench().run_until_idle();
    const auto history = w.get("/runs/" + run + "/history");
    BOOST_TEST(history.raw.body.find("\"retried\"") != std::string::npos, history.raw.body);
    const auto good = waiting_run(w);
    BOOST_TEST(w.send("POST", "/runs/" + good + "/retry").text("/code") == "not_failing");
}

BOOST_AUTO_TEST_CASE(a_paused_run_is_moved_with_an_edited_object)
{
    world w;
    const auto run = paused_run(w);
    const auto version = [&] {
        return w.get("/runs/" + run).header("ETag");
    };
    const auto move = [&](const std::string& body, const std::string& match) {
        return w.send("POST", "/runs/" + run + "/move", body, role::admin, {{"If-Match", match}});
    };
    const std::string body =
        R"({"status": "checked", "object": {"customer": "Bob", "amount": 2}, "reason": "fixed"})";
    auto got = move(body, "\"1\"");
    BOOST_TEST(got.status == 412, got.raw.body);
    BOOST_TEST(got.text("/code") == "conflict");
    BOOST_TEST(got.text("/status") == "412");
    got = move(body, "1");
    BOOST_TEST(got.status == 400);
    got = move(R"({"reason": "fixed"})", version());
    BOOST_TEST(got.text("/detail") == "the body needs a member status");
    got = move(R"({"status": "checked", "object": {"customers": 1}})", version());
    BOOST_TEST(got.status == 422, got.raw.body);
    BOOST_TEST(got.text("/code") == "decode_failed");
    got = move(body, version());
    BOOST_TEST(got.status == 200, got.raw.body);
    BOOST_TEST(state_of(w, run) == "Running checked");
    BOOST_TEST(w.get("/runs/" + run + "/object").text("/object/customer") == "Bob");
}

BOOST_AUTO_TEST_CASE(a_callback_reaches_its_run)
{
    world w;
    const auto run = waiting_run(w);
    auto got = w.send("POST", "/runs/" + run + "/callbacks/nothing", R"({"payload": {}})");
    BOOST_TEST(got.status == 422);
    BOOST_TEST(got.text("/code") == "no_such_callback");
    got = w.send("POST", "/runs/" + run + "/callbacks/approve", R"({"payload": {"by": "Bob"}})");
    BOOST_TEST(got.status == 200, got.raw.body);
    BOOST_TEST(state_of(w, run) == "Completed approved");
    const auto outcome = w.get("/runs/" + run + "/messages/" + got.text("/message"));
    BOOST_TEST(outcome.text("/outcome") == "handled");
    BOOST_TEST(w.get("/runs/" + run + "/messages/99").status == 404);
}

BOOST_AUTO_TEST_CASE(a_run_is_started_with_a_key)
{
    world w;
    const auto start = [&](const std::string& body) {
        return w.send("POST", "/workflows/orders/runs", body, role::operator_,
                      {{"Idempotency-Key", "k1"}});
    };
    const std::string body =
        R"({"foreign_id": "new", "object": {"customer": "Ada", "amount": 1}, "reason": "test"})";
    const auto first = start(body);
    BOOST_TEST(first.status == 201, first.raw.body);
    BOOST_TEST(first.header("Location") == "/api/v1/runs/" + first.text("/id"));
    const auto second = start(body);
    BOOST_TEST(second.text("/id") == first.text("/id"), second.raw.body);
    const auto other = w.send("POST", "/workflows/orders/runs", body);
    BOOST_TEST(other.status == 409);
    BOOST_TEST(other.text("/code") == "already_running");
    const auto wrong = w.send("POST", "/workflows/orders/runs",
                              R"({"foreign_id": "x", "object": {"amount": "much"}})");
    BOOST_TEST(wrong.status == 422);
    BOOST_TEST(wrong.text("/code") == "decode_failed");
    const auto foreign = w.send("POST", "/workflows/others/runs", R"({"foreign_id": "x"})");
    BOOST_TEST(foreign.status == 409);
    BOOST_TEST(foreign.text("/code") == "missing_workflow");
}

BOOST_AUTO_TEST_CASE(a_change_that_is_not_executed_in_time_is_pending)
{
    world w;
    const auto run = waiting_run(w);
    const auto got = w.send("POST", "/runs/" + run + "/pause", R"({"wait_seconds": 0})");
    BOOST_TEST(got.status == 202, got.raw.body);
    BOOST_TEST(got.text("/outcome") == "pending");
    w.bench().run_until_idle();
    BOOST_TEST(state_of(w, run) == "Paused checked");
}

BOOST_AUTO_TEST_CASE(a_faulty_body_changes_nothing)
{
    world w;
    const auto run = waiting_run(w);
    for (const char* body : {"[]", "{", R"({"reasons": "x"})", R"({"reason": 1})",
                             R"({"wait_seconds": 31})", R"({"wait_seconds": -1})"}) {
        const auto got = w.send("POST", "/runs/" + run + "/pause", body);
        BOOST_TEST(got.status == 422, body);
    }
    BOOST_TEST(w.send("POST", "/runs/" + run + "/pause?force=true", "{}").status == 400);
    BOOST_TEST(state_of(w, run) == "Running checked");
}

BOOST_AUTO_TEST_CASE(each_change_is_in_the_audit_log)
{
    world w;
    const auto run = waiting_run(w);
    w.send("POST", "/runs/" + run + "/pause", R"({"reason": "let me see"})");
    w.send("POST", "/runs/" + run + "/pause", R"({"reason": "again"})");
    const auto got = w.get("/audit");
    BOOST_TEST(got.status == 200, got.raw.body);
    BOOST_TEST(got.text("/audit/0/requested_by") == "ada");
    BOOST_TEST(got.text("/audit/0/method") == "test");
    BOOST_TEST(got.text("/audit/0/address") == "process");
    BOOST_TEST(got.text("/audit/0/action") == "pause");
    BOOST_TEST(got.text("/audit/0/run") == run);
    BOOST_TEST(got.text("/audit/0/foreign_id") == "good");
    BOOST_TEST(got.text("/audit/0/reason") == "let me see");
    BOOST_TEST(got.raw.body.find("\"refused\"") != std::string::npos, got.raw.body);
    const auto rest = w.get("/audit?after=" + got.text("/audit/0/position") + "&limit=1");
    BOOST_TEST(rest.text("/audit/0/position") != got.text("/audit/0/position"));
}

BOOST_AUTO_TEST_CASE(dead_letters_are_redriven)
{
    world w;
    const auto got = w.send("POST", "/dead-letters/none/redrive", "{}");
    BOOST_TEST(got.status == 422, got.raw.body);
    BOOST_TEST(got.text("/code") == "invalid_argument");
    BOOST_TEST(pawl::callback_dead_letter_topic("orders") == "pawl.dead-letter/callbacks/orders");
    const auto none =
        w.send("POST", "/dead-letters/pawl.dead-letter%2Fcallbacks%2Forders/redrive", "{}");
    BOOST_TEST(none.status == 200, none.raw.body);
    BOOST_TEST(none.text("/succeeded") == "0");
}

BOOST_AUTO_TEST_SUITE_END()
