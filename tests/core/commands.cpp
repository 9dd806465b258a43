// Commands: which one each run state takes, what it leads to, and how a refusal is told to people
// and as an error code.
#include "core/decide_support.hpp"
#include "core/refusal.hpp"
#include "pawl/detail/engine_api.hpp"
#include "pawl/error.hpp"
#include "printing.hpp"

#include <map>

BOOST_AUTO_TEST_SUITE(commands)

using namespace decide_test;
using pawl::errc;
using pawl::message_kind;
using pawl::run_state;

namespace {

/// What a command leads to: a run state, or a refusal with its code.
struct answer {
    std::optional<run_state> state;
    errc refusal{};
};

answer to(run_state state)
{
    return {state, {}};
}

answer no(errc refusal)
{
    return {{}, refusal};
}

struct row {
    run_state before;
    answer pause, resume, cancel, delete_data;
};

const std::vector<row>& table()
{
    using enum run_state;
    using enum errc;
    static const std::vector<row> rows{
        {initiated, to(paused), no(not_paused), to(cancelled), no(not_finished)},
        {running, to(paused), no(not_paused), to(cancelled), no(not_finished)},
        {paused, no(already_paused), to(running), to(cancelled), no(not_finished)},
        {cancelled, no(already_finished), no(already_finished), no(already_finished),
         to(requested_data_deleted)},
        {completed, no(already_finished), no(already_finished), no(already_finished),
         to(requested_data_deleted)},
        {data_deleted, no(already_finished), no(already_finished), no(already_finished),
         to(requested_data_deleted)},
        {requested_data_deleted, no(already_finished), no(already_finished), no(already_finished),
         to(requested_data_deleted)},
    };
    return rows;
}

const std::map<message_kind, std::string> refusals{
    {message_kind::pause, "cannot pause"},
    {message_kind::resume, "cannot resume"},
    {message_kind::cancel, "cannot cancel"},
    {message_kind::delete_data, "cannot delete data"},
};

void check(run_state before, message_kind command, const answer& expected)
{
    const auto run = run_in(created, before);
    const auto change = decided(run, command_received{4, command, "asked", "ada"});
    BOOST_REQUIRE(change.has_value());
    BOOST_REQUIRE(change->settled.size() == 1u);
    const auto& settled = change->settled.front();
    if (expected.state) {
        BOOST_TEST((change->next.state == *expected.state));
        BOOST_TEST(settled.outcome == pawl::message_outcome::handled);
        BOOST_TEST(change->next.requested_by == "ada");
        BOOST_TEST(change->next.reason == "asked");
        return;
    }
    BOOST_TEST((change->next.state == before));
    BOOST_TEST(settled.outcome == pawl::message_outcome::rejected);
    BOOST_TEST(settled.detail == refusals.at(command) + ": the run is " + pawl::to_string(before));
    BOOST_TEST((pawl::detail::refusal_code(command, settled) == expected.refusal));
    BOOST_TEST(change->next.requested_by == run.requested_by);
    BOOST_TEST(change->next.reason == run.reason);
}

} // namespace

BOOST_AUTO_TEST_CASE(each_run_state_takes_what_it_can_and_says_why_not_else)
{
    BOOST_TEST(table().size() == 7u);
    for (const auto& each : table())
        BOOST_TEST_CONTEXT(pawl::to_string(each.before))
        {
            check(each.before, message_kind::pause, each.pause);
            check(each.before, message_kind::resume, each.resume);
            check(each.before, message_kind::cancel, each.cancel);
            check(each.before, message_kind::delete_data, each.delete_data);
        }
}

namespace {

retry_received retry_of(std::optional<std::uint64_t> version = {})
{
    return {4, {"asked", version, {}, {}}, "ada"};
}

move_received move_to(int status, std::optional<std::uint64_t> version = {})
{
    return {4, {"asked", version, status, {}}, "ada"};
}

/// How the command of a run is rejected; its detail and code.
template <class Command>
void expect_rejected(const pawl::record& run, Command command, message_kind kind,
                     const std::string& detail, errc code)
{
    const auto change = decided(run, std::move(command));
    BOOST_REQUIRE(change.has_value());
    BOOST_REQUIRE(change->settled.size() == 1u);
    const auto& settled = change->settled.front();
    BOOST_TEST(settled.outcome == pawl::message_outcome::rejected);
    BOOST_TEST(settled.detail == detail);
    BOOST_TEST(pawl::detail::refusal_code(kind, settled) == code);
    BOOST_TEST((change->next.state == run.state));
    BOOST_TEST(change->next.status == run.status);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_retry_begins_all_attempts_again_now)
{
    auto run = run_in(created);
    run.attempt = 2;
    run.not_before = t0 + 1h;
    run.last_error = "no route";
    run.deadlines = {{"timeout", t0 + 1h, 2}, {"timeout-2", t0 + 2h, 0}};
    run.callback_retries = {{7, 2, t0 + 1h}};
    const auto change = decided(run, retry_of(), t0);
    BOOST_REQUIRE(change.has_value());
    BOOST_TEST(change->kind == pawl::event_kind::retried);
    const auto& next = change->next;
    BOOST_TEST(next.attempt == 0);
    BOOST_TEST(!next.not_before.has_value());
    BOOST_TEST((next.deadlines[0].at == t0 && next.deadlines[0].attempt == 0));
    BOOST_TEST((next.deadlines[1].at == t0 + 2h));
    BOOST_TEST(next.callback_retries.empty());
    BOOST_TEST(next.reason == "asked");
    BOOST_TEST(next.requested_by == "ada");
    BOOST_TEST((next.wake_at == t0));
}

BOOST_AUTO_TEST_CASE(a_retry_ends_a_pause_by_an_error_only)
{
    auto run = run_in(created, run_state::paused);
    run.pause = pawl::pause_kind::by_error;
    run.attempt = 3;
    run.resume_at = t0 + 1h;
    const auto next = after(run, retry_of());
    BOOST_TEST((next.state == run_state::running));
    BOOST_TEST((next.pause == pawl::pause_kind::none));
    BOOST_TEST(!next.resume_at.has_value());
    run.pause = pawl::pause_kind::by_request;
    expect_rejected(run, retry_of(), message_kind::retry, "cannot retry: the run is Paused",
                    errc::already_paused);
}

BOOST_AUTO_TEST_CASE(a_retry_is_refused_without_a_failure_or_for_another_version)
{
    auto run = run_in(created);
    expect_rejected(run, retry_of(), message_kind::retry, "cannot retry: no attempt has failed",
                    errc::not_failing);
    run.attempt = 1;
    expect_rejected(run, retry_of(run.version + 1), message_kind::retry,
                    "cannot retry: the run has version " + std::to_string(run.version) +
                        "; the command is for version " + std::to_string(run.version + 1),
                    errc::conflict);
    expect_rejected(run_in(done, run_state::completed), retry_of(), message_kind::retry,
                    "cannot retry: the run is Completed", errc::already_finished);
}

BOOST_AUTO_TEST_CASE(a_move_continues_a_paused_run_in_any_status)
{
    auto run = run_in(created, run_state::paused);
    run.pause = pawl::pause_kind::by_error;
    run.resume_at = t0 + 1h;
    run.attempt = 3;
    run.last_error = "no route";
    auto command = move_to(waiting, run.version);
    command.request.object = "edited";
    command.attributes = {{"customer", "ada"}};
    const auto change = decided(run, std::move(command));
    BOOST_REQUIRE(change.has_value());
    BOOST_TEST(change->kind == pawl::event_kind::moved_by_command);
    BOOST_TEST(change->from == created);
    const auto& next = change->next;
    BOOST_TEST(next.status == waiting);
    BOOST_TEST((next.state == run_state::running));
    BOOST_TEST((next.pause == pawl::pause_kind::none));
    BOOST_TEST(!next.resume_at.has_value());
    BOOST_TEST(next.visit == run.visit + 1);
    BOOST_TEST(next.object == "edited");
    BOOST_TEST(next.attributes.size() == 1u);
    BOOST_TEST(next.last_error == "");
    BOOST_TEST(next.reason == "asked");
    BOOST_TEST(next.requested_by == "ada");
    BOOST_TEST(next.deadlines.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_move_to_an_end_completes_the_run)
{
    const auto run = run_in(created, run_state::paused);
    const auto change = decided(run, move_to(done));
    BOOST_REQUIRE(change.has_value());
    BOOST_TEST(change->kind == pawl::event_kind::completed);
    BOOST_TEST((change->next.state == run_state::completed));
    BOOST_TEST(change->next.reason == "asked");
    BOOST_TEST(change->next.requested_by == "ada");
}

BOOST_AUTO_TEST_CASE(a_move_is_refused_unless_it_can_be_executed)
{
    constexpr auto kind = message_kind::move;
    const auto run = run_in(created, run_state::paused);
    expect_rejected(run_in(created), move_to(waiting), kind, "cannot move: the run is Running",
                    errc::not_paused);
    expect_rejected(run_in(done, run_state::completed), move_to(waiting), kind,
                    "cannot move: the run is Completed", errc::already_finished);
    expect_rejected(run, move_to(unknown), kind, "cannot move: the workflow has no status 77",
                    errc::invalid_status);
    expect_rejected(run, move_to(waiting, run.version + 1), kind,
                    "cannot move: the run has version " + std::to_string(run.version) +
                        "; the command is for version " + std::to_string(run.version + 1),
                    errc::conflict);
    auto unreadable = move_to(waiting);
    unreadable.problem = object_refusal_text("not JSON");
    expect_rejected(run, unreadable, kind, "cannot move: the object cannot be used: not JSON",
                    errc::decode_failed);
}

BOOST_AUTO_TEST_CASE(an_error_pause_becomes_an_operators_and_shows_who_asked)
{
    auto run = run_in(created, run_state::paused);
    run.pause = pawl::pause_kind::by_error;
    run.resume_at = t0 + 1h;
    run.reason = "no route";
    const auto held = after(run, command_received{4, message_kind::pause, "asked", "ada"});
    BOOST_TEST(held.pause == pawl::pause_kind::by_request);
    BOOST_TEST(!held.resume_at.has_value());
    BOOST_TEST(held.requested_by == "ada");
}

BOOST_AUTO_TEST_CASE(who_asked_is_forgotten_by_an_error_pause_and_by_progress)
{
    auto run = run_in(created);
    run.requested_by = "ada"; // resumed it
    const auto failed = after(run, handler_failed{from_step{}, "no", true});
    BOOST_TEST(failed.pause == pawl::pause_kind::by_error);
    BOOST_TEST(failed.requested_by == "");
    BOOST_TEST(after(run, moves_to(shipping)).requested_by == "");
}

BOOST_AUTO_TEST_CASE(a_retired_status_is_left_as_by_a_move_and_a_pause_goes_along)
{
    auto run = run_in(unknown);
    run.attempt = 2;
    run.last_error = "no";
    const auto moved = after(run, status_retired{waiting});
    BOOST_TEST(moved.status == waiting);
    BOOST_TEST(moved.visit == run.visit + 1);
    BOOST_TEST(moved.attempt == 0);
    BOOST_TEST(moved.deadlines.size() == 2u);
    BOOST_TEST((moved.entered_at == t0 + 1min));

    const auto ended = after(run, status_retired{done});
    BOOST_TEST(ended.state == run_state::completed);

    auto paused = run_in(unknown, run_state::paused);
    paused.pause = pawl::pause_kind::by_error;
    paused.resume_at = t0 + 1h;
    paused.auto_resumes = 1;
    paused.reason = paused.last_error = "no";
    const auto held = after(paused, status_retired{waiting});
    BOOST_TEST(held.state == run_state::paused);
    BOOST_TEST(held.pause == pawl::pause_kind::by_error);
    BOOST_TEST((held.resume_at == paused.resume_at));
    BOOST_TEST(held.auto_resumes == 1);
    BOOST_TEST(held.reason == "no");
    // At an end there is nothing to hold it for.
    BOOST_TEST(after(paused, status_retired{done}).state == run_state::completed);

    BOOST_TEST(!decided(run_in(unknown, run_state::cancelled), status_retired{done}).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
