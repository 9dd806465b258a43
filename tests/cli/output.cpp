// What `pawl` prints: tables, lines, JSON, ids. The texts are compared as a whole.
#include "support.hpp"

BOOST_AUTO_TEST_SUITE(cli_output)

using namespace cli_test;

namespace {

const std::string two_runs =
    R"({"runs":[{"id":"018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d","workflow":"orders","foreign_id":"7",)"
    R"("status":"checked","run_state":"Running","updated_at":"2026-11-30T13:53:38.123456Z",)"
    R"("last_error":""},{"id":"018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4e","workflow":"refunds",)"
    R"("foreign_id":"größe","status":"3","run_state":"Paused",)"
    R"("updated_at":"2026-11-30T13:53:39Z","last_error":"timed\u001b[31m out\n"}],)"
    R"("next":"p1","complete":false})";

outcome print(const std::string& line, const std::string& body)
{
    script play;
    play.answers.push_back({200, body});
    return run(play, line);
}

} // namespace

BOOST_AUTO_TEST_CASE(runs_are_a_table_without_control_characters)
{
    const auto got = print("runs ls --utc", two_runs);
    BOOST_TEST(got.out ==
               "ID                                    WORKFLOW  FOREIGN ID  STATUS   STATE    "
               "UPDATED               ERROR\n"
               "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d  orders    7           checked  Running  "
               "2026-11-30 13:53:38Z\n"
               "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4e  refunds   größe       3        Paused   "
               "2026-11-30 13:53:39Z  timed\\x1b[31m out\\x0a\n");
    BOOST_TEST(got.errors == "pawl: there is more: --after p1, or --all\n");
    BOOST_TEST(got.code == 0);
}

BOOST_AUTO_TEST_CASE(other_formats_are_for_programs)
{
    BOOST_TEST(print("runs ls -o json", two_runs).out == two_runs + "\n");
    BOOST_TEST(print("runs ls -o ids", two_runs).out == "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d\n"
                                                        "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4e\n");
    BOOST_TEST(
        print("workflows -o jsonl", R"({"workflows":[{"workflow":"a"},{"workflow":"b"}]})").out ==
        "{\"workflow\":\"a\"}\n{\"workflow\":\"b\"}\n");
}

BOOST_AUTO_TEST_CASE(numbers_stand_to_the_right)
{
    const auto got =
        print("workflows",
              R"({"workflows":[{"workflow":"orders","unfinished":"1200","failing":{"count":"3"},)"
              R"("paused":"0","overdue":{"count":"10"},"finished":"7","has_engine":true}]})");
    BOOST_TEST(got.out == "WORKFLOW  UNFINISHED  FAILING  PAUSED  OVERDUE  FINISHED  ENGINE\n"
                          "orders          1200        3       0       10         7  yes\n");
}

BOOST_AUTO_TEST_CASE(a_run_is_a_line_for_each_value)
{
    const auto got = print(
        "runs get r --utc",
        R"({"id":"018f","workflow":"orders","foreign_id":"7","status":"checked",)"
        R"("run_state":"Running","version":"2","created_at":"2026-11-30T13:00:00Z","attempt":0,)"
        R"("last_error":"","parent":null,"has_engine":false})");
    BOOST_TEST(got.out == "id                018f\n"
                          "workflow          orders\n"
                          "foreign id        7\n"
                          "status            checked\n"
                          "state             Running\n"
                          "version           2\n"
                          "created           2026-11-30 13:00:00Z\n"
                          "failed attempts   0\n"
                          "has engine        no\n");
}

BOOST_AUTO_TEST_CASE(an_object_keeps_its_digits)
{
    const auto got = print("runs object r", R"({"id":"1","object_version":1,"object":)"
                                            R"({"object":{},"amount":1.50000000000000000001}})");
    BOOST_TEST(got.out == "{\"object\":{},\"amount\":1.50000000000000000001}\n");
}

BOOST_AUTO_TEST_CASE(a_problem_is_one_line)
{
    script play;
    play.answers.push_back(
        {409, R"({"status":409,"code":"not_paused","detail":"the run is\nnot paused"})"});
    const auto got = run(play, "runs get r");
    BOOST_TEST(got.out == "");
    BOOST_TEST(got.errors == "pawl: the run is\\x0anot paused (not_paused)\n");
    play.answers.push_back({502, "<html>"});
    BOOST_TEST(run(play, "runs get r").errors == "pawl: the answer is not one of Pawl (502)\n");
}

BOOST_AUTO_TEST_SUITE_END()
