#include "cli/command.hpp"

#include "cli/exit_code.hpp"
#include "cli/layouts.hpp"
#include "cli/verb_builder.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace pawl::cli {

namespace {

constexpr const char* wait_text =
    "Seconds to wait until an engine has executed it, 0 to 30; default 10";

/// Builds the program's options, and fills in a command when they are parsed.
class command_line {
public:
    explicit command_line(const environment& variables);

    parsed_command parse(std::vector<std::string> arguments);

private:
    void add_endpoint(const environment& variables);
    void add_reads();
    void add_filter(CLI::App& verb, verb_builder::texts& values);
    void add_run_reads(CLI::App& runs);
    void add_run_commands(CLI::App& runs);
    void add_commands();
    void add_bulk();
    void add_token();
    void check_endpoint();

    CLI::App app_{"Operates the workflows of Pawl: reads and changes runs.", "pawl"};
    command wanted_;
    verb_builder verbs_{wanted_};
    std::string token_file_;
    std::string socket_;
    std::string format_ = "table";
    std::string role_ = "viewer";
};

command_line::command_line(const environment& variables)
{
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.footer("Exit codes: 0 done, 1 error, 2 wrong command line, 3 denied, 4 not found, 5 "
                "refused by the state of the run, 6 not ready.\nGuide: src/admin/README.md.");
    add_endpoint(variables);
    add_reads();
    auto* const runs = verbs_.add(app_, "runs", "List, show and change runs");
    runs->require_subcommand(1);
    add_run_reads(*runs);
    add_run_commands(*runs);
    add_commands();
    add_bulk();
    add_token();
}

void command_line::add_endpoint(const environment& variables)
{
    auto& where = wanted_.where;
    where.url = variables("PAWL_URL");
    where.database = variables("PAWL_DATABASE");
    where.token = variables("PAWL_TOKEN");
    where.user = variables("USER");
    const char* const group = "Where Pawl is: one of --url, --socket and --database";
    auto* const url = app_.add_option(
        "--url", where.url,
        "URL of the admin API with the prefix of its host, such as http://localhost:8081/admin; "
        "default: PAWL_URL");
    auto* const socket = app_.add_option("--socket", socket_, "Unix socket of the admin API");
    auto* const database = app_.add_option(
        "--database", where.database,
        "postgres://..., or the file of a SQLite database that no engine has open; it is opened "
        "without an engine; default: PAWL_DATABASE");
    auto* const prefix = app_.add_option("--prefix", where.prefix,
                                         "With --socket: the prefix of the API, such as /admin");
    auto* const file = app_.add_option(
        "--token-file", token_file_, "File with the token as its first line; default: PAWL_TOKEN");
    auto* const ca =
        app_.add_option("--ca-file", where.ca_file, "PEM file of trusted CAs, for an https URL");
    for (auto* const option : {url, socket, database, prefix, file, ca})
        option->group(group);
    url->excludes(socket)->excludes(database);
    socket->excludes(database);
    prefix->needs(socket);
    app_.add_option("-o,--output", format_,
                    "table; json: the answer; jsonl: an item a line; ids: an id a line")
        ->check(CLI::IsMember({"table", "json", "jsonl", "ids"}));
    app_.add_flag("--utc", wanted_.utc, "Times of tables in UTC, not in the local zone");
}

void command_line::add_reads()
{
    auto& status = *verbs_.add(app_, "status", "Show whether Pawl is ready, and its engines");
    status.preparse_callback([this](std::size_t) { wanted_.checks_readiness = true; });
    verbs_.send(status, verbs_.texts_of(), "GET", "/status", layouts::status);

    auto& workflows = *verbs_.add(app_, "workflows", "Show the numbers of runs of each workflow");
    auto& workflow_texts = verbs_.texts_of();
    verbs_.add_query(workflows, workflow_texts, "--workflow,-w", "workflow", "This workflow only");
    verbs_.send(workflows, workflow_texts, "GET", "/overview", layouts::overview);

    auto& schedules = *verbs_.add(app_, "schedules", "List schedules");
    auto& schedule_texts = verbs_.texts_of();
    verbs_.add_query(schedules, schedule_texts, "--workflow,-w", "workflow",
                     "Of this workflow only");
    verbs_.send(schedules, schedule_texts, "GET", "/schedules", layouts::schedules);

    verbs_.send(*verbs_.add(app_, "connectors", "List connectors"), verbs_.texts_of(), "GET",
                "/connectors", layouts::connectors);
    verbs_.send(*verbs_.add(app_, "engines", "List the live engines"), verbs_.texts_of(), "GET",
                "/engines", layouts::engines);

    auto& letters = *verbs_.add(app_, "dead-letters", "List, show and redrive dead letters");
    letters.require_subcommand(1);
    verbs_.send(*verbs_.add(letters, "ls", "List the topics that have dead letters"),
                verbs_.texts_of(), "GET", "/dead-letters", layouts::topics);
    auto& show = *verbs_.add(letters, "show", "List the dead letters of a topic");
    auto& show_texts = verbs_.texts_of();
    verbs_.add_path(show, show_texts, "topic", "Name of the topic");
    verbs_.add_query(show, show_texts, "--limit", "limit", "Letters in a page, 1 to 1000");
    verbs_.add_query(show, show_texts, "--after", "after", "Letters after this position");
    show.add_flag("--all", wanted_.all_pages, "All pages");
    verbs_.send(show, show_texts, "GET", "/dead-letters/{topic}", layouts::letters);
}

void command_line::add_filter(CLI::App& verb, verb_builder::texts& values)
{
    verbs_.add_query(verb, values, "--workflow,-w", "workflow", "Runs of this workflow");
    verbs_.add_query(verb, values, "--status", "status", "Labels or numbers, separated by commas");
    verbs_.add_query(verb, values, "--state", "run_state",
                     "Initiated, Running, Paused, Cancelled, Completed; separated by commas");
    verbs_.add_query(verb, values, "--foreign-id", "foreign_id",
                     "Foreign ids, separated by commas");
    verbs_.add_query(verb, values, "--parent", "parent", "Children of this run");
    verbs_.add_query(verb, values, "--attention", "attention", "failing, paused or overdue");
    verbs_.add_query(
        verb, values, "--attribute", "attribute",
        "NAME=VALUE; VALUE is a text, integer:5, boolean:true or time:2027-01-31T00:00:00Z");
    verbs_.add_query(verb, values, "--error", "error", "Part of the last error");
    verbs_.add_query(verb, values, "--created-from", "created_from", "Inclusive, in RFC 3339");
    verbs_.add_query(verb, values, "--created-to", "created_to", "Exclusive");
    verbs_.add_query(verb, values, "--updated-from", "updated_from", "Inclusive");
    verbs_.add_query(verb, values, "--updated-to", "updated_to", "Exclusive");
    verbs_.add_query(verb, values, "--order", "order", "newest_first or oldest_first");
}

void command_line::add_run_reads(CLI::App& runs)
{
    auto& list = *verbs_.add(runs, "ls", "List runs, the newest first");
    auto& values = verbs_.texts_of();
    add_filter(list, values);
    verbs_.add_query(list, values, "--limit", "limit", "Runs in a page, 1 to 1000; default 50");
    verbs_.add_query(list, values, "--after", "after", "`next` of the page before");
    list.add_flag("--all", wanted_.all_pages, "All pages");
    verbs_.send(list, values, "GET", "/runs", layouts::runs);

    const char* const run_text = "Id of the run, or WORKFLOW:FOREIGN_ID";
    const auto read_run = [&](const char* name, const char* about, const char* pattern,
                              layout shown) {
        auto& verb = *verbs_.add(runs, name, about);
        auto& of_run = verbs_.texts_of();
        verbs_.add_path(verb, of_run, "run", run_text);
        verbs_.send(verb, of_run, "GET", pattern, std::move(shown));
    };
    read_run("get", "Show a run without its object", "/runs/{run}", layouts::run);
    read_run("object", "Print the object of a run", "/runs/{run}/object", layouts::object);
    read_run("messages", "List the pending messages of a run", "/runs/{run}/messages",
             layouts::messages);
    auto& history = *verbs_.add(runs, "history", "List the commits of a run");
    auto& of_history = verbs_.texts_of();
    verbs_.add_path(history, of_history, "run", run_text);
    verbs_.add_query(history, of_history, "--limit", "limit", "Entries in a page, 1 to 1000");
    verbs_.add_query(history, of_history, "--after", "after", "Entries after this version");
    history.add_flag("--all", wanted_.all_pages, "All pages");
    verbs_.send(history, of_history, "GET", "/runs/{run}/history", layouts::history);
}

void command_line::add_run_commands(CLI::App& runs)
{
    const auto add_verb = [&](const char* name, const char* about, bool needs_reason) {
        auto& verb = *verbs_.add(runs, name, about);
        auto& values = verbs_.texts_of();
        verbs_.add_path(verb, values, "run", "Id of the run, or WORKFLOW:FOREIGN_ID");
        verbs_.add_body(verb, values, "--reason", "reason", "Why; it is recorded", needs_reason);
        verb.add_option("--key", values.key, "Idempotency key: a repetition has no effect");
        verbs_.add_document(verb, values, "--wait", "wait_seconds", wait_text);
        verb.add_option("--if-version", values.version, "Refused if the run has another version");
        verbs_.send(verb, values, "POST", fmt::format("/runs/{{run}}/{}", name), layouts::accepted);
        return std::pair<CLI::App*, verb_builder::texts*>{&verb, &values};
    };
    add_verb("pause", "Pause a run", false);
    add_verb("resume", "Resume a paused run", false);
    add_verb("retry", "Try the step of a failing run again now, with all of its attempts", false);
    add_verb("cancel", "Cancel a run", false);
    add_verb("delete-data", "Delete the data of a finished run", true);
    add_verb("remove", "Remove a finished run, after it was archived", true);
    const auto [move, values] = add_verb("move", "Continue a paused run in another status", true);
    verbs_.add_body(*move, *values, "--status", "status", "Label or number of the status", true);
    verbs_.add_document(*move, *values, "--object", "object",
                        "The object, changed: JSON, @FILE, or @- for standard input");
}

void command_line::add_commands()
{
    auto& call = *verbs_.add(app_, "callback", "Send a callback to a run");
    auto& of_call = verbs_.texts_of();
    verbs_.add_path(call, of_call, "run", "Id of the run, or WORKFLOW:FOREIGN_ID");
    verbs_.add_path(call, of_call, "name", "Name of the callback");
    verbs_.add_document(call, of_call, "--payload", "payload",
                        "JSON, @FILE, or @- for standard input");
    verbs_.add_body(call, of_call, "--reason", "reason", "Why; it is recorded");
    verbs_.add_document(call, of_call, "--wait", "wait_seconds", wait_text);
    call.add_option("--key", of_call.key, "Idempotency key: a repetition has no effect");
    verbs_.send(call, of_call, "POST", "/runs/{run}/callbacks/{name}", layouts::accepted);

    auto& trigger = *verbs_.add(app_, "trigger", "Start a run");
    auto& of_trigger = verbs_.texts_of();
    verbs_.add_path(trigger, of_trigger, "workflow", "Name of the workflow");
    verbs_.add_body(trigger, of_trigger, "foreign_id", "foreign_id", "Your key for the run", true);
    verbs_.add_document(trigger, of_trigger, "--object", "object",
                        "JSON, @FILE, or @- for standard input", true);
    verbs_.add_body(trigger, of_trigger, "--status", "status", "Where the run starts");
    verbs_.add_body(trigger, of_trigger, "--reason", "reason", "Why; it is recorded");
    trigger.add_option("--key", of_trigger.key, "Idempotency key: a repetition has no effect");
    verbs_.send(trigger, of_trigger, "POST", "/workflows/{workflow}/runs", layouts::triggered);

    auto& fire = *verbs_.add(app_, "fire", "Fire a schedule once now, beside its slots");
    auto& of_fire = verbs_.texts_of();
    verbs_.add_path(fire, of_fire, "workflow", "Name of the workflow");
    verbs_.add_path(fire, of_fire, "schedule", "Name of the schedule");
    verbs_.add_body(fire, of_fire, "--reason", "reason", "Why; it is recorded");
    fire.add_option("--key", of_fire.key, "Idempotency key: a repetition has no effect");
    verbs_.send(fire, of_fire, "POST", "/schedules/{workflow}/{schedule}/fire", layouts::accepted);

    auto& slots = *verbs_.add(app_, "slots", "List the next times at which a schedule fires");
    auto& of_slots = verbs_.texts_of();
    verbs_.add_path(slots, of_slots, "workflow", "Name of the workflow");
    verbs_.add_path(slots, of_slots, "schedule", "Name of the schedule");
    verbs_.add_query(slots, of_slots, "--limit", "limit", "Times, 1 to 1000; default 10");
    verbs_.send(slots, of_slots, "GET", "/schedules/{workflow}/{schedule}/slots", layouts::slots);

    auto& redrive = *app_.get_subcommand("dead-letters")
                         ->add_subcommand("redrive", "Try each dead letter of a topic once more");
    redrive.fallthrough();
    auto& of_redrive = verbs_.texts_of();
    verbs_.add_path(redrive, of_redrive, "topic", "Name of the topic");
    verbs_.add_body(redrive, of_redrive, "--reason", "reason", "Why; it is recorded");
    verbs_.send(redrive, of_redrive, "POST", "/dead-letters/{topic}/redrive", layouts::redriven);

    auto& audit = *verbs_.add(app_, "audit", "List the changes that were asked for");
    auto& of_audit = verbs_.texts_of();
    verbs_.add_query(audit, of_audit, "--limit", "limit", "Entries in a page, 1 to 1000");
    verbs_.add_query(audit, of_audit, "--after", "after", "Entries after this position");
    audit.add_flag("--all", wanted_.all_pages, "All pages");
    verbs_.send(audit, of_audit, "GET", "/audit", layouts::audit);
}

void command_line::add_bulk()
{
    auto& bulk = *verbs_.add(app_, "bulk", "Change all runs that match a filter");
    bulk.require_subcommand(1);
    const auto add_verb = [&](const char* name, const char* about) {
        auto& verb = *verbs_.add(bulk, name, about);
        auto& values = verbs_.texts_of();
        add_filter(verb, values);
        verbs_.add_body(verb, values, "--reason", "reason", "Why; it is recorded", true);
        verb.add_option("--key", values.key, "Idempotency key: a repetition has no effect");
        verb.add_flag("--dry-run", values.is_dry_run,
                      "Count the runs, show some of them, and change nothing");
        verbs_.send(verb, values, "POST", fmt::format("/bulk/{}", name), layouts::bulk);
        return std::pair<CLI::App*, verb_builder::texts*>{&verb, &values};
    };
    add_verb("retry", "Try all failing runs that match again now");
    add_verb("pause", "Pause all runs that match");
    add_verb("resume", "Resume all paused runs that match");
    add_verb("cancel", "Cancel all runs that match");
    add_verb("delete-data", "Delete the data of all finished runs that match");
    const auto [move, values] =
        add_verb("move", "Continue all paused runs that match in another status");
    verbs_.add_body(*move, *values, "--to", "status", "Label or number of the status", true);

    auto& list = *verbs_.add(bulk, "ls", "List bulk changes, the newest first");
    auto& of_list = verbs_.texts_of();
    verbs_.add_query(list, of_list, "--limit", "limit", "Items in a page, 1 to 1000; default 50");
    verbs_.add_query(list, of_list, "--after", "after", "`next` of the page before");
    list.add_flag("--all", wanted_.all_pages, "All pages");
    verbs_.send(list, of_list, "GET", "/bulk", layouts::bulk_list);

    auto& show = *verbs_.add(bulk, "get", "Show a bulk change and its progress");
    auto& of_show = verbs_.texts_of();
    verbs_.add_path(show, of_show, "run", "Id of the bulk change");
    verbs_.send(show, of_show, "GET", "/bulk/{run}", layouts::bulk);

    auto& problems = *verbs_.add(bulk, "problems", "List runs that a bulk change did not change");
    auto& of_problems = verbs_.texts_of();
    verbs_.add_path(problems, of_problems, "run", "Id of the bulk change");
    verbs_.send(problems, of_problems, "GET", "/bulk/{run}", layouts::bulk_problems);
}

void command_line::add_token()
{
    auto& token =
        *verbs_.add(app_, "token", "Make a token and its line for the server's token file");
    auto& wish = wanted_.new_token.emplace();
    token.add_option("name", wish.name, "Name of the user")->required();
    token.add_option("--role", role_, "viewer, operator or admin; default: viewer")
        ->check(CLI::IsMember({"viewer", "operator", "admin"}));
    token.add_option("--expires", wish.expires, "Such as 2027-01-31T00:00:00Z; default: never");
}

/// The token of the file, and one way to Pawl.
void command_line::check_endpoint()
{
    auto& where = wanted_.where;
    if (!token_file_.empty()) {
        std::ifstream in{token_file_};
        std::getline(in, where.token);
        where.token.erase(where.token.find_last_not_of(" \t\r") + 1);
        if (where.token.empty())
            throw CLI::ValidationError(
                fmt::format("the token file '{}' cannot be read or is empty", token_file_));
    }
    const bool has_url = app_.get_option("--url")->count() > 0;
    const bool has_database = app_.get_option("--database")->count() > 0;
    if (!socket_.empty())
        where.url = "unix:" + socket_;
    // What the command line names is used rather than what the environment has.
    if (has_url || !socket_.empty())
        where.database.clear();
    else if (has_database)
        where.url.clear();
    if (!where.url.empty() && !where.database.empty())
        throw CLI::ValidationError("PAWL_URL and PAWL_DATABASE are both set; choose one by --url "
                                   "or --database");
    if (where.url.empty() && where.database.empty())
        throw CLI::ValidationError(
            "where is Pawl? Give --url, --socket or --database, or set PAWL_URL or PAWL_DATABASE");
}

parsed_command command_line::parse(std::vector<std::string> arguments)
{
    parsed_command out;
    std::ranges::reverse(arguments); // as CLI11 takes them
    try {
        app_.parse(std::move(arguments));
        if (app_.got_subcommand("token")) {
            wanted_.new_token->granted = *admin::parse_role(role_);
        } else {
            wanted_.new_token.reset();
            check_endpoint();
        }
    } catch (const CLI::CallForHelp&) {
        const auto* shown = &app_;
        std::string path;
        while (!shown->get_subcommands().empty()) {
            path += (path.empty() ? "" : " ") + shown->get_name();
            shown = shown->get_subcommands().front();
        }
        out.text = shown->help(path);
        return out;
    } catch (const CLI::ParseError& fault) {
        out.exit_code = static_cast<int>(exit_code::usage);
        out.text = fmt::format("pawl: {}; see pawl --help\n", fault.what());
        return out;
    }
    if (format_ == "json")
        wanted_.format = output_format::json;
    else if (format_ == "jsonl")
        wanted_.format = output_format::jsonl;
    else if (format_ == "ids")
        wanted_.format = output_format::ids;
    out.wanted = std::move(wanted_);
    return out;
}

} // namespace

parsed_command parse_command(std::vector<std::string> arguments, const environment& variables)
{
    command_line line(variables);
    return line.parse(std::move(arguments));
}

} // namespace pawl::cli
