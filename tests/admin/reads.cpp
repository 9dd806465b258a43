// What the API reads: runs, histories, counts, and how it refuses.
#include "support.hpp"

BOOST_AUTO_TEST_SUITE(admin_reads)

using namespace admin_test;

BOOST_AUTO_TEST_CASE(runs_are_listed_the_newest_first_in_pages)
{
    world w;
    for (const char* name : {"a", "b", "c"}) {
        w.bench().trigger(name, {"Ada", 1});
        w.bench().advance(1s);
    }
    auto page = w.get("/runs?workflow=orders&limit=2");
    BOOST_TEST(page.text("/runs/0/foreign_id") == "c");
    BOOST_TEST(page.text("/runs/1/foreign_id") == "b");
    BOOST_TEST(page.text("/complete") == "false");
    page = w.get("/runs?workflow=orders&limit=2&after=" + page.text("/next"));
    BOOST_TEST(page.text("/runs/0/foreign_id") == "a");
    BOOST_TEST(page.text("/complete") == "true");
    BOOST_TEST(page.text("/next") == "null");
    BOOST_TEST(page.text("/runs/0/status") == "checked");
    BOOST_TEST(page.text("/runs/0/run_state") == "Running");
    BOOST_TEST(page.text("/runs/0/version") == "2");
    BOOST_TEST(page.text("/runs/0/has_engine") == "true");
    BOOST_TEST(!page.body.at("runs").at(0).as_object().contains("object"));
}

BOOST_AUTO_TEST_CASE(filters_choose_runs)
{
    world w;
    w.bench().trigger("good", {"Ada", 1});
    w.bench().trigger("bad", {});
    w.bench().advance(1min);
    const auto names = [&](const std::string& query) {
        const auto page = w.get("/runs?" + query);
        BOOST_TEST_REQUIRE(page.status == 200, page.raw.body);
        std::string all;
        for (const auto& run : page.body.at("runs").as_array())
            all += std::string{run.at("foreign_id").as_string()} + " ";
        return all;
    };
    BOOST_TEST(names("workflow=orders&status=created") == "bad ");
    BOOST_TEST(names("workflow=orders&status=2,3") == "good ");
    BOOST_TEST(names("run_state=Paused") == "bad ");
    BOOST_TEST(names("workflow=orders&foreign_id=good,bad&order=oldest_first") == "good bad ");
    BOOST_TEST(names("attention=paused") == "bad ");
    BOOST_TEST(names("attention=failing") == "bad ");
    BOOST_TEST(names("error=no+customer") == "bad ");
    BOOST_TEST(names("workflow=others") == "");
    BOOST_TEST(names("created_from=2200-01-01T00:00:00Z") == "");
}

BOOST_AUTO_TEST_CASE(a_faulty_query_is_refused_with_name_value_and_remedy)
{
    world w;
    const auto detail = [&](const std::string& query) {
        const auto got = w.get("/runs?" + query);
        BOOST_TEST(got.status == 400);
        BOOST_TEST(got.text("/code") == "invalid_argument");
        BOOST_TEST(got.raw.content_type == "application/problem+json");
        return got.text("/detail");
    };
    BOOST_TEST(detail("limit=0") ==
               "the query parameter limit is '0'; it must be a whole number from 1 to 1000");
    BOOST_TEST(detail("attention=bad") ==
               "the query parameter attention is 'bad'; it must be failing, paused or overdue");
    BOOST_TEST(detail("created_to=now") ==
               "the query parameter created_to is 'now'; it must be a time such as "
               "2027-01-31T00:00:00Z");
    BOOST_TEST(detail("order=up") ==
               "the query parameter order is 'up'; it must be newest_first or oldest_first");
    BOOST_TEST(detail("parent=1") ==
               "the query parameter parent is '1'; it must be the id of a run");
    BOOST_TEST(detail("attribute=x")
                   .find("the query parameter attribute is 'x'; it must be "
                         "NAME=VALUE") == 0u);
    const auto label = w.get("/runs?workflow=orders&status=lost");
    BOOST_TEST(label.status == 422);
    BOOST_TEST(label.text("/code") == "invalid_argument");
}

BOOST_AUTO_TEST_CASE(a_run_is_found_by_its_id_and_by_its_foreign_id)
{
    world w;
    const auto run = to_string(w.bench().trigger("order 7/a", {"Ada", 1}));
    const auto by_id = w.get("/runs/" + run);
    BOOST_TEST(by_id.text("/foreign_id") == "order 7/a");
    BOOST_TEST(by_id.header("ETag") == "\"2\"");
    BOOST_TEST(by_id.text("/created_at").ends_with("Z"), by_id.text("/created_at"));
    const auto by_name = w.get("/runs/orders:order%207%2Fa");
    BOOST_TEST(by_name.text("/id") == run);
    for (const char* missing :
         {"none", "orders:", ":a", "orders:other", "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d"}) {
        const auto got = w.get(std::string{"/runs/"} + missing);
        BOOST_TEST(got.status == 404, missing);
        BOOST_TEST(got.text("/code") == "not_found");
    }
}

BOOST_AUTO_TEST_CASE(an_object_is_as_its_codec_has_written_it)
{
    world w;
    const auto run = to_string(w.bench().trigger("a", {"Ada", 1e22}));
    const auto got = w.get("/runs/" + run + "/object");
    BOOST_TEST(got.raw.body.find("\"object\":{\"customer\":\"Ada\",\"amount\":1e+22}") !=
                   std::string::npos,
               got.raw.body);
}

BOOST_AUTO_TEST_CASE(a_history_has_the_labels_of_statuses)
{
    world w;
    const auto run = to_string(w.bench().trigger("a", {"Ada", 1}));
    auto got = w.get("/runs/" + run + "/history");
    BOOST_TEST(got.text("/history/0/kind") == "started");
    BOOST_TEST(got.text("/history/1/from") == "created");
    BOOST_TEST(got.text("/history/1/to") == "checked");
    BOOST_TEST(got.text("/next") == "null");
    got = w.get("/runs/" + run + "/history?limit=1");
    BOOST_TEST(got.text("/next") == "1");
    got = w.get("/runs/" + run + "/history?limit=1&after=1");
    BOOST_TEST(got.text("/history/0/version") == "2");
}

BOOST_AUTO_TEST_CASE(overview_counts_what_needs_an_operator)
{
    world w;
    w.bench().trigger("good", {"Ada", 1});
    w.bench().trigger("bad", {});
    w.bench().advance(1min);
    const auto got = w.get("/overview?workflow=orders");
    BOOST_TEST(got.text("/workflows/0/workflow") == "orders");
    BOOST_TEST(got.text("/workflows/0/unfinished") == "2");
    BOOST_TEST(got.text("/workflows/0/paused") == "1");
    BOOST_TEST(got.text("/workflows/0/failing/count") == "1");
    BOOST_TEST(got.text("/workflows/0/counts/0/status") == "created");
}

BOOST_AUTO_TEST_CASE(status_says_why_the_engine_is_not_ready)
{
    {
        world w;
        const auto got = w.get("/status");
        BOOST_TEST(got.text("/ready") == "true");
        BOOST_TEST(got.text("/engines/0/workflows/0") == "orders");
    }
    auto options = options_for(role::admin);
    options.readiness = [] {
        return make_error_code(pawl::errc::stalled);
    };
    world w(std::move(options));
    const auto got = w.get("/status");
    BOOST_TEST(got.status == 200);
    BOOST_TEST(got.text("/ready") == "false");
    BOOST_TEST(got.text("/reason").find("stalled") != std::string::npos, got.text("/reason"));
}

BOOST_AUTO_TEST_CASE(an_unknown_path_is_refused_in_process)
{
    world w;
    for (const char* target : {"/nothing", "/stream?overview=true", "/runs?limit=1&limit=2"})
        BOOST_TEST(w.get(target).status == 404, target);
    BOOST_TEST(w.send("DELETE", "/runs").status == 404);
}

BOOST_AUTO_TEST_SUITE_END()
