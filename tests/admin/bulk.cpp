// Bulk changes through the API.
#include "support.hpp"

BOOST_AUTO_TEST_SUITE(admin_bulk)

using namespace admin_test;

namespace {

std::string finished(world& w, const std::string& id)
{
    w.bench().advance(1min);
    return w.get("/bulk/" + id).text("/run_state");
}

} // namespace

BOOST_AUTO_TEST_CASE(runs_that_match_are_cancelled)
{
    world w;
    w.bench().trigger("good", {"Ada", 1});
    w.bench().trigger("bad-1", {});
    w.bench().trigger("bad-2", {});
    w.bench().advance(1min);
    const std::string target = "/bulk/cancel?workflow=orders&attention=paused";
    const auto dry = w.send("POST", target, R"({"dry_run": true})");
    BOOST_TEST(dry.status == 200, dry.raw.body);
    BOOST_TEST(dry.text("/runs/count") == "2");
    BOOST_TEST(dry.text("/samples/1/foreign_id") == "bad-1");
    const auto started = w.send("POST", target, R"({"reason": "they are not paid"})");
    BOOST_TEST(started.status == 201, started.raw.body);
    const auto id = started.text("/id");
    BOOST_TEST(started.header("Location") == "/api/v1/bulk/" + id);
    BOOST_TEST(finished(w, id) == "Completed");
    const auto end = w.get("/bulk/" + id);
    BOOST_TEST(end.text("/done") == "2");
    BOOST_TEST(end.text("/reason") == "they are not paid");
    BOOST_TEST(end.text("/requested_by") == "ada");
    BOOST_TEST(w.get("/runs/orders:bad-1").text("/run_state") == "Cancelled");
    BOOST_TEST(w.get("/runs/orders:good").text("/run_state") == "Running");
    BOOST_TEST(w.get("/bulk?limit=1").text("/bulk/0/id") == id);
}

BOOST_AUTO_TEST_CASE(runs_that_refuse_are_named)
{
    world w;
    const auto run = to_string(w.bench().trigger("good", {"Ada", 1}));
    const auto started = w.send("POST", "/bulk/delete-data?foreign_id=good", "{}");
    BOOST_TEST(started.status == 201, started.raw.body);
    BOOST_TEST(finished(w, started.text("/id")) == "Completed");
    const auto end = w.get("/bulk/" + started.text("/id"));
    BOOST_TEST(end.text("/refused/0/code") == "not_finished");
    BOOST_TEST(end.text("/refused/0/runs") == "1");
    BOOST_TEST(end.text("/problems/0/run") == run);
    BOOST_TEST(end.text("/problems/0/code") == "not_finished");
}

BOOST_AUTO_TEST_CASE(wrong_bulk_requests_are_refused)
{
    world w;
    BOOST_TEST(w.send("POST", "/bulk/pause?limit=5", "{}").status == 400);
    BOOST_TEST(w.send("POST", "/bulk/pause?workflow=others", "{}").status == 404);
    BOOST_TEST(w.send("POST", "/bulk/pause", R"({"status": "checked"})").status == 422);
    BOOST_TEST(w.send("POST", "/bulk/move?workflow=orders", "{}").status == 422);
    BOOST_TEST(w.get("/bulk/nonsense").status == 404);
    const auto run = to_string(w.bench().trigger("good", {"Ada", 1}));
    BOOST_TEST(w.get("/bulk/" + run).status == 404);
}

BOOST_AUTO_TEST_SUITE_END()
