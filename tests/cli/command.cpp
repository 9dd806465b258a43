// What the command lines of `pawl` send, and which exit codes they have.
#include "support.hpp"
#include "temporary_folder.hpp"

#include <fstream>

BOOST_AUTO_TEST_SUITE(cli_command)

using namespace cli_test;

namespace {

std::string sent_by(const std::string& line)
{
    script play;
    play.answers.push_back({200, R"({"id":"1","ready":true})"});
    const auto got = run(play, line);
    if (play.requests.empty())
        return "nothing: " + got.errors;
    const auto& request = play.requests[0];
    std::string text = request.method + " " + request.target;
    if (!request.body.empty())
        text += " " + request.body;
    for (const auto& [name, value] : request.headers)
        text += " " + name + "=" + value;
    return text;
}

int code_for(int status, const std::string& body = R"({"code":"x","detail":"no"})")
{
    script play;
    play.answers.push_back({status, body});
    return run(play, "runs get r").code;
}

outcome usage_of(const std::string& line, std::map<std::string, std::string> variables = {})
{
    script play;
    return run(play, words_of(line), std::move(variables));
}

} // namespace

BOOST_AUTO_TEST_CASE(each_verb_sends_its_request)
{
    BOOST_TEST(sent_by("status") == "GET /status");
    BOOST_TEST(sent_by("workflows -w orders") == "GET /overview?workflow=orders");
    BOOST_TEST(sent_by("runs ls -w orders --attention failing --limit 5 --error a&b") ==
               "GET /runs?workflow=orders&attention=failing&error=a%26b&limit=5");
    BOOST_TEST(sent_by("runs get orders:7/a") == "GET /runs/orders%3A7%2Fa");
    BOOST_TEST(sent_by("runs history r --after 3") == "GET /runs/r/history?after=3");
    BOOST_TEST(sent_by("runs object r") == "GET /runs/r/object");
    BOOST_TEST(sent_by("runs messages r") == "GET /runs/r/messages");
    BOOST_TEST(sent_by("schedules") == "GET /schedules");
    BOOST_TEST(sent_by("connectors") == "GET /connectors");
    BOOST_TEST(sent_by("engines") == "GET /engines");
    BOOST_TEST(sent_by("dead-letters ls") == "GET /dead-letters");
    BOOST_TEST(sent_by("dead-letters show a/t") == "GET /dead-letters/a%2Ft");
    BOOST_TEST(sent_by("dead-letters redrive t") == "POST /dead-letters/t/redrive {}");
    BOOST_TEST(sent_by("audit --limit 5") == "GET /audit?limit=5");
}

BOOST_AUTO_TEST_CASE(each_change_sends_its_reason_and_conditions)
{
    for (const std::string& verb : {"pause", "resume", "retry", "cancel", "delete-data", "remove"})
        BOOST_TEST(sent_by("runs " + verb + " r --reason test --key k1 --if-version 3") ==
                   "POST /runs/r/" + verb +
                       " {\"reason\":\"test\"} Idempotency-Key=k1 If-Match=\"3\"");
    BOOST_TEST(sent_by("runs pause r") == "POST /runs/r/pause {}");
    BOOST_TEST(sent_by("runs pause r --wait 0") == "POST /runs/r/pause {\"wait_seconds\":0}");
    BOOST_TEST(sent_by("runs move r --status checked --reason test --object {\"a\":[1]}") ==
               "POST /runs/r/move {\"reason\":\"test\",\"status\":\"checked\","
               "\"object\":{\"a\":[1]}}");
    BOOST_TEST(sent_by("callback r approve --payload {}") ==
               "POST /runs/r/callbacks/approve {\"payload\":{}}");
    BOOST_TEST(sent_by("trigger orders o/1 --object {} --key k") ==
               "POST /workflows/orders/runs {\"foreign_id\":\"o/1\",\"object\":{}} "
               "Idempotency-Key=k");
    const temporary_folder folder;
    std::ofstream(folder.file("object.json")) << "{\"a\": 1}";
    BOOST_TEST(sent_by("trigger orders o --object @" + folder.file("object.json")) ==
               "POST /workflows/orders/runs {\"foreign_id\":\"o\",\"object\":{\"a\":1}}");
    for (const char* line :
         {"runs move r --status checked", "runs move r --reason x", "runs delete-data r",
          "trigger orders o", "trigger orders o --object {",
          "trigger orders o --object @/nonexistent/file"})
        BOOST_TEST(sent_by(line).starts_with("nothing: pawl: "), sent_by(line));
}

BOOST_AUTO_TEST_CASE(each_bulk_verb_sends_its_filter_and_reason)
{
    for (const std::string& verb : {"retry", "pause", "resume", "cancel", "delete-data"})
        BOOST_TEST(sent_by("bulk " + verb + " -w orders --attention failing --reason x --key k") ==
                   "POST /bulk/" + verb +
                       "?workflow=orders&attention=failing {\"reason\":\"x\"} Idempotency-Key=k");
    BOOST_TEST(sent_by("bulk move -w orders --status created --to checked --reason x --dry-run") ==
               "POST /bulk/move?workflow=orders&status=created "
               "{\"reason\":\"x\",\"status\":\"checked\",\"dry_run\":true}");
    BOOST_TEST(sent_by("fire orders nightly --reason x") ==
               "POST /schedules/orders/nightly/fire {\"reason\":\"x\"}");
    BOOST_TEST(sent_by("slots orders nightly --limit 3") ==
               "GET /schedules/orders/nightly/slots?limit=3");
    BOOST_TEST(sent_by("bulk ls --limit 3") == "GET /bulk?limit=3");
    BOOST_TEST(sent_by("bulk get b") == "GET /bulk/b");
    BOOST_TEST(sent_by("bulk problems b") == "GET /bulk/b");
    BOOST_TEST(sent_by("bulk retry").starts_with("nothing: pawl: "));
    BOOST_TEST(sent_by("bulk move --reason x").starts_with("nothing: pawl: "));
}

BOOST_AUTO_TEST_CASE(each_status_has_its_exit_code)
{
    BOOST_TEST(code_for(200, "{}") == 0);
    BOOST_TEST(code_for(202, "{}") == 0);
    BOOST_TEST(code_for(400) == 1);
    BOOST_TEST(code_for(422) == 1);
    BOOST_TEST(code_for(500, "<html>") == 1);
    BOOST_TEST(code_for(401) == 3);
    BOOST_TEST(code_for(403) == 3);
    BOOST_TEST(code_for(404) == 4);
    BOOST_TEST(code_for(409) == 5);
    BOOST_TEST(code_for(412) == 5);
    BOOST_TEST(code_for(503) == 6);
    script unreachable;
    const auto got = run(unreachable, "runs get r");
    BOOST_TEST(got.code == 6);
    BOOST_TEST(got.errors == "pawl: nobody listens\n");
    BOOST_TEST(unreachable.is_closed);
}

BOOST_AUTO_TEST_CASE(status_fails_when_pawl_is_not_ready)
{
    script play;
    play.answers.push_back({200, R"({"ready":false,"reason":"stalled"})"});
    const auto got = run(play, "status");
    BOOST_TEST(got.code == 6);
    BOOST_TEST(got.out == "ready     no\nreason    stalled\n");
}

BOOST_AUTO_TEST_CASE(a_wrong_command_line_sends_nothing)
{
    for (const char* line : {"", "nonsense", "runs", "runs get", "runs ls -o xml --url http://h",
                             "status --url http://h --database d", "status --prefix /a"})
        BOOST_TEST(usage_of(line).code == 2, line);
    BOOST_TEST(usage_of("status").errors.find("where is Pawl?") != std::string::npos);
    BOOST_TEST(usage_of("status", {{"PAWL_URL", "http://h"}, {"PAWL_DATABASE", "d"}})
                   .errors.find("PAWL_URL and PAWL_DATABASE are both set") != std::string::npos);
    const auto help = usage_of("runs ls --help");
    BOOST_TEST(help.code == 0);
    BOOST_TEST(help.out.find("Usage: pawl runs ls [OPTIONS]") != std::string::npos, help.out);
    BOOST_TEST(help.out.find("--attention") != std::string::npos, help.out);
}

BOOST_AUTO_TEST_CASE(the_command_line_goes_before_the_environment)
{
    const temporary_folder folder;
    std::ofstream(folder.file("token")) << "from-file \n";
    script play;
    run(play, words_of("status --database orders.db"),
        {{"PAWL_URL", "http://h"}, {"USER", "ada"}, {"PAWL_TOKEN", "from-environment"}});
    BOOST_TEST(play.where.url == "");
    BOOST_TEST(play.where.database == "orders.db");
    BOOST_TEST(play.where.user == "ada");
    BOOST_TEST(play.where.token == "from-environment");
    run(play,
        words_of("status --socket /run/p.sock --prefix /admin --token-file " +
                 folder.file("token")),
        {{"PAWL_DATABASE", "d"}, {"PAWL_TOKEN", "from-environment"}});
    BOOST_TEST(play.where.url == "unix:/run/p.sock");
    BOOST_TEST(play.where.prefix == "/admin");
    BOOST_TEST(play.where.database == "");
    BOOST_TEST(play.where.token == "from-file");
    BOOST_TEST(usage_of("status --url http://h --token-file " + folder.file("none")).code == 2);
}

BOOST_AUTO_TEST_CASE(all_pages_follow_the_position_of_the_next)
{
    script play;
    play.answers = {{200, R"({"runs":[{"id":"1"}],"next":"p1"})"},
                    {200, R"({"runs":[{"id":"2"}],"next":"p2"})"},
                    {200, R"({"runs":[{"id":"3"}],"next":null})"}};
    const auto got = run(play, "runs ls --after p0 --limit 1 --all -o ids");
    BOOST_TEST(got.out == "1\n2\n3\n");
    BOOST_TEST_REQUIRE(play.requests.size() == 3u);
    BOOST_TEST(play.requests[0].target == "/runs?limit=1&after=p0");
    BOOST_TEST(play.requests[1].target == "/runs?limit=1&after=p1");
    BOOST_TEST(play.requests[2].target == "/runs?limit=1&after=p2");
}

BOOST_AUTO_TEST_CASE(a_token_is_made_without_a_server)
{
    const auto got = usage_of("token ada --role operator --expires 2030-01-31T00:00:00Z");
    BOOST_TEST(got.code == 0);
    BOOST_TEST(got.out.starts_with("token  "), got.out);
    BOOST_TEST(got.out.find("\nline   ada operator sha256:") != std::string::npos, got.out);
    BOOST_TEST(got.out.ends_with(" 2030-01-31T00:00:00Z\n"), got.out);
    BOOST_TEST(usage_of("token ada --role chief").code == 2);
}

BOOST_AUTO_TEST_SUITE_END()
