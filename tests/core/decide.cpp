// Every stimulus in every state of a run: what kind of transition it is, in which state the run is
// afterwards, what becomes of the message, or that the stimulus comes too late and is dropped.
#include "core/decide_support.hpp"
#include "printing.hpp"

#include <array>
#include <functional>

BOOST_AUTO_TEST_SUITE(decide_table)

using namespace decide_test;
using pawl::message_kind;
using pawl::pause_kind;
using pawl::run_state;

namespace {

/// One column of the table: a run in `waiting` for outcomes of callbacks and timeouts, in `created`
/// for the others.
pawl::record in_state(std::size_t column, int status)
{
    static constexpr std::array states{run_state::initiated,
                                       run_state::running,
                                       run_state::paused,
                                       run_state::paused,
                                       run_state::cancelled,
                                       run_state::completed,
                                       run_state::requested_data_deleted,
                                       run_state::data_deleted};
    auto run = run_in(status, states[column]);
    if (column == 2) {
        run.pause = pause_kind::by_error;
        run.resume_at = t0 + 1h;
    }
    return run;
}

std::string to_text(pawl::message_outcome outcome)
{
    static constexpr std::array names{"pending", "handled", "rejected", "failed", "expired"};
    return names[static_cast<std::size_t>(outcome)];
}

/// "kind State" and, if a message was settled, " outcome"; "-" for a dropped stimulus. The state is
/// left out where it stays as it was.
std::string text_of(const std::optional<pawl::transition>& change, const pawl::record& before)
{
    if (!change)
        return "-";
    auto text = to_string(change->kind);
    if (change->next.state != before.state)
        text += " " + to_string(change->next.state);
    if (!change->settled.empty())
        text += " " + to_text(change->settled.front().outcome);
    return text;
}

struct row {
    std::string name;
    stimulus event;
    int status;

    // Initiated, Running, Paused by an error, Paused by request, Cancelled, Completed,
    // RequestedDataDeleted, DataDeleted
    std::array<const char*, 8> expected;
};

/// What a handler leads to: only a run that is not paused and not finished takes it.
row active(std::string name, stimulus event, int status, const char* initiated, const char* running)
{
    return {std::move(name),
            std::move(event),
            status,
            {initiated, running, "-", "-", "-", "-", "-", "-"}};
}

std::vector<row> step_rows()
{
    return {
        active("moves", moves_to(shipping), created, "moved Running", "moved"),
        active("moves to an end", moves_to(done), created, "completed Completed",
               "completed Completed"),
        active("moves to itself", moves_to(created), created, "moved Running", "moved"),
        active("moves where it must not", moves_to(repairing), created, "paused Paused",
               "paused Paused"),
        active("moves to nowhere", moves_to(unknown), created, "paused Paused", "paused Paused"),
        active("repeats", repeats_after(5s), created, "repeated Running", "repeated"),
        active("skips", returned(next_kind::skip), created, "repeated Running", "repeated"),
        active("pauses", returned(next_kind::pause), created, "paused Paused", "paused Paused"),
        active("cancels", returned(next_kind::cancel), created, "cancelled Cancelled",
               "cancelled Cancelled"),
        active("finishes", returned(next_kind::finish), created, "completed Completed",
               "completed Completed"),
        active("fails", handler_failed{from_step{}, "no", false}, created, "attempt_failed Running",
               "attempt_failed"),
        active("fails for good", handler_failed{from_step{}, "no", true}, created, "paused Paused",
               "paused Paused"),
        active("saves", checkpoint_wanted{"new", {}}, created, "checkpointed Running",
               "checkpointed"),
    };
}

std::vector<row> callback_rows()
{
    const from_callback by{4};
    return {
        active("callback moves", moves_to(shipping, by), waiting, "moved Running handled",
               "moved handled"),
        active("callback moves where it must not", moves_to(done, by), waiting,
               "message_settled failed", "message_settled failed"),
        active("callback repeats", repeats_after(5s, by), waiting,
               "message_settled Running handled", "message_settled handled"),
        active("callback skips", returned(next_kind::skip, by), waiting,
               "message_settled Running handled", "message_settled handled"),
        active("callback pauses", returned(next_kind::pause, by), waiting, "paused Paused handled",
               "paused Paused handled"),
        active("callback cancels", returned(next_kind::cancel, by), waiting,
               "cancelled Cancelled handled", "cancelled Cancelled handled"),
        active("callback finishes", returned(next_kind::finish, by), waiting,
               "completed Completed handled", "completed Completed handled"),
        active("callback fails", handler_failed{by, "no", false}, waiting, "message_settled failed",
               "message_settled failed"),
        active("callback fails for good", handler_failed{by, "no", true}, waiting,
               "message_settled failed", "message_settled failed"),
    };
}

std::vector<row> timeout_rows()
{
    const from_timeout by{0};
    return {
        active("timeout moves", moves_to(created, by), waiting, "moved Running", "moved"),
        active("timeout moves where it must not", moves_to(done, by), waiting, "paused Paused",
               "paused Paused"),
        active("timeout repeats", repeats_after(5s, by), waiting, "repeated Running", "repeated"),
        active("timeout skips", returned(next_kind::skip, by), waiting, "repeated Running",
               "repeated"),
        active("timeout pauses", returned(next_kind::pause, by), waiting, "paused Paused",
               "paused Paused"),
        active("timeout cancels", returned(next_kind::cancel, by), waiting, "cancelled Cancelled",
               "cancelled Cancelled"),
        active("timeout finishes", returned(next_kind::finish, by), waiting, "completed Completed",
               "completed Completed"),
        active("timeout fails", handler_failed{by, "no", false}, waiting, "attempt_failed Running",
               "attempt_failed"),
        active("timeout fails for good", handler_failed{by, "no", true}, waiting, "paused Paused",
               "paused Paused"),
    };
}

std::vector<row> other_rows()
{
    constexpr auto refused = "message_settled rejected";
    constexpr auto expired = "message_settled expired";
    constexpr auto paused = "paused Paused handled";
    constexpr auto resumed = "resumed Running handled";
    constexpr auto cancelled = "cancelled Cancelled handled";
    constexpr auto deleted = "data_deletion_requested RequestedDataDeleted handled";
    constexpr auto kept = "message_deferred";
    const auto command = [](message_kind kind) {
        return command_received{4, kind, "asked"};
    };
    return {
        {"pause",
         command(message_kind::pause),
         created,
         {paused, paused, "paused handled", refused, refused, refused, refused, refused}},
        {"resume",
         command(message_kind::resume),
         created,
         {refused, refused, resumed, resumed, refused, refused, refused, refused}},
        {"cancel",
         command(message_kind::cancel),
         created,
         {cancelled, cancelled, cancelled, cancelled, refused, refused, refused, refused}},
        {"delete data",
         command(message_kind::delete_data),
         created,
         {refused, refused, refused, refused, deleted, deleted, "data_deletion_requested handled",
          deleted}},
        {"message expires",
         message_expired{4},
         created,
         {expired, expired, expired, expired, expired, expired, expired, expired}},
        {"pause is over",
         pause_elapsed{},
         created,
         {"-", "-", "resumed Running", "-", "-", "-", "-", "-"}},
        {"scrubbed",
         data_scrubbed{"empty"},
         created,
         {"-", "-", "-", "-", "-", "-", "data_deleted DataDeleted", "-"}},
        {"mail", message_deferred{}, created, {kept, kept, kept, kept, kept, kept, kept, kept}},
    };
}

/// What holds for every transition, whatever it is.
void check_common(const pawl::transition& change, const pawl::record& before, pawl::time_point now)
{
    const auto& next = change.next;
    BOOST_TEST(change.expected_version == before.version);
    BOOST_TEST(next.version == before.version + 1);
    BOOST_TEST(change.from == before.status);
    BOOST_TEST(change.inbox_seen == 5u);
    BOOST_TEST((next.updated_at == now));
    BOOST_TEST((next.id == before.id));
    BOOST_TEST(next.workflow == before.workflow);
    BOOST_TEST(next.foreign_id == before.foreign_id);
    BOOST_TEST((next.created_at == before.created_at));
    BOOST_TEST((next.pause == pause_kind::none) == (next.state != run_state::paused));
    if (next.state != run_state::paused)
        BOOST_TEST(!next.resume_at.has_value());
    if (is_finished(next.state)) {
        BOOST_TEST(next.wake_at.has_value() == (next.state == run_state::requested_data_deleted));
        BOOST_TEST(next.deadlines.empty());
    }
}

void check_table(const std::vector<row>& rows)
{
    const auto now = t0 + 1min;
    for (const auto& each : rows)
        for (std::size_t column = 0; column < each.expected.size(); ++column) {
            auto before = in_state(column, each.status);
            before.deadlines = each.status == waiting && !is_finished(before.state)
                                   ? arm_at(t0)(waiting)
                                   : std::vector<pawl::deadline>{};
            BOOST_TEST_CONTEXT(each.name << ", column " << column)
            {
                const auto change = decided(before, each.event, now, {5, {}});
                BOOST_TEST(text_of(change, before) == each.expected[column]);
                if (!change)
                    continue;
                check_common(*change, before, now);
                // Same input, same output.
                const auto again = decided(before, each.event, now, {5, {}});
                BOOST_TEST((again->next == change->next));
                BOOST_TEST((again->kind == change->kind));
                BOOST_TEST((again->settled == change->settled));
            }
        }
}

} // namespace

BOOST_AUTO_TEST_CASE(what_steps_lead_to)
{
    check_table(step_rows());
}

BOOST_AUTO_TEST_CASE(what_callbacks_lead_to)
{
    check_table(callback_rows());
}

BOOST_AUTO_TEST_CASE(what_timeouts_lead_to)
{
    check_table(timeout_rows());
}

BOOST_AUTO_TEST_CASE(what_messages_and_time_lead_to)
{
    check_table(other_rows());
}

BOOST_AUTO_TEST_CASE(a_refused_command_says_why_and_changes_nothing_else)
{
    const auto before = run_in(created, run_state::completed);
    const auto change = decided(before, command_received{4, message_kind::pause, "asked"});
    BOOST_REQUIRE(change.has_value());
    BOOST_REQUIRE(change->settled.size() == 1u);
    BOOST_TEST(change->settled[0].sequence == 4u);
    BOOST_TEST(change->settled[0].detail.find("pause") != std::string::npos);
    BOOST_TEST(change->settled[0].detail.find("Completed") != std::string::npos);
    auto expected = before;
    expected.version = before.version + 1;
    expected.updated_at = change->next.updated_at;
    BOOST_TEST((change->next == expected));
}

BOOST_AUTO_TEST_CASE(handlers_of_each_kind_save_the_object_and_a_skip_does_not)
{
    for (const auto kind :
         {next_kind::repeat, next_kind::pause, next_kind::cancel, next_kind::finish}) {
        BOOST_TEST(after(run_in(created), returned(kind)).object == "new");
        BOOST_TEST(after(run_in(waiting), returned(kind, from_timeout{0})).object == "new");
        BOOST_TEST(after(run_in(waiting), returned(kind, from_callback{4})).object == "new");
    }
    BOOST_TEST(after(run_in(created), moves_to(shipping)).object == "new");
    BOOST_TEST(after(run_in(created), returned(next_kind::skip)).object == "old");
    BOOST_TEST(after(run_in(waiting), returned(next_kind::skip, from_callback{4})).object == "old");
    BOOST_TEST(after(run_in(created), handler_failed{from_step{}, "no", false}).object == "old");
    BOOST_TEST(after(run_in(created), moves_to(unknown)).object == "old");
    BOOST_TEST(after(run_in(created), checkpoint_wanted{"new", {}}).object == "new");
    BOOST_TEST(
        after(run_in(created, run_state::requested_data_deleted), data_scrubbed{"none"}).object ==
        "none");
}

BOOST_AUTO_TEST_CASE(an_undeclared_destination_pauses_with_a_text_that_names_both_statuses)
{
    const auto paused = after(run_in(created), moves_to(repairing));
    BOOST_TEST(paused.pause == pause_kind::by_error);
    BOOST_TEST(paused.reason.find("Created") != std::string::npos);
    BOOST_TEST(paused.reason.find("Repairing") != std::string::npos);
    BOOST_TEST(paused.last_error == paused.reason);
    BOOST_TEST(paused.attempt == 1);
    BOOST_TEST(paused.status == created);
    // One that the workflow does not know has no label.
    BOOST_TEST(after(run_in(created), moves_to(unknown)).reason.find("77") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(reasons_and_errors_go_where_they_belong)
{
    auto failed = run_in(created);
    failed.attempt = 1;
    failed.last_error = "before";
    BOOST_TEST(after(failed, returned(next_kind::cancel)).reason == "because");
    BOOST_TEST(after(failed, returned(next_kind::finish)).reason == "because");
    BOOST_TEST(after(failed, returned(next_kind::pause)).reason == "because");
    BOOST_TEST(after(failed, returned(next_kind::pause)).last_error == "");
    BOOST_TEST(after(failed, command_received{4, message_kind::cancel, "asked"}).reason == "asked");
    BOOST_TEST(after(failed, command_received{4, message_kind::pause, "asked"}).reason == "asked");
    // Somebody's pause is no progress: the error can still be seen.
    BOOST_TEST(after(failed, command_received{4, message_kind::pause, "asked"}).last_error ==
               "before");
    const auto deleted = after(run_in(created, run_state::completed),
                               command_received{4, message_kind::delete_data, "asked"});
    BOOST_TEST(deleted.reason == "asked");
    BOOST_TEST(deleted.object == "old");
    auto paused = run_in(created, run_state::paused);
    paused.reason = "held";
    BOOST_TEST(after(paused, command_received{4, message_kind::resume, {}}).reason == "");
}

BOOST_AUTO_TEST_CASE(long_texts_are_cut_between_two_characters)
{
    const auto is_utf8_end = [](const std::string& text) {
        const std::string mark = "…";
        return text.ends_with(mark) &&
               (static_cast<unsigned char>(text[text.size() - mark.size() - 1]) & 0xc0) != 0xc0;
    };
    const std::string short_enough(2000, 'x');
    BOOST_TEST(
        after(run_in(created), handler_failed{from_step{}, short_enough, false}).last_error ==
        short_enough);
    for (std::size_t shift = 0; shift < 4; ++shift) {
        // Characters of four bytes, moved by 0 to 3 bytes against the place of the cut.
        std::string text(shift, 'x');
        while (text.size() < 5000)
            text += "\xf0\x9f\x94\xa7";
        const auto cut = after(run_in(created), handler_failed{from_step{}, text, true});
        BOOST_TEST(cut.last_error.size() <= 2003u);
        BOOST_TEST(cut.last_error.size() >= 1997u);
        BOOST_TEST((cut.last_error.size() - shift - 3) % 4 == 0u);
        BOOST_TEST(is_utf8_end(cut.last_error));
        BOOST_TEST(cut.reason == cut.last_error);
        const auto told = decided(run_in(waiting), handler_failed{from_callback{4}, text, false});
        BOOST_TEST(told->settled.at(0).detail == cut.last_error);
        const auto cancelled =
            after(run_in(created), command_received{4, message_kind::cancel, text});
        BOOST_TEST(cancelled.reason == cut.last_error);
    }
    // Bytes that are no UTF-8 at all are cut somewhere near.
    const std::string no_text(5000, '\x80');
    BOOST_TEST(
        after(run_in(created), handler_failed{from_step{}, no_text, false}).last_error.size() <=
        2003u);
}

BOOST_AUTO_TEST_CASE(a_start_is_version_one_in_its_status)
{
    const auto rules = orders();
    start_request request;
    request.id = run_in(created).id;
    request.foreign_id = "order-1";
    request.status = waiting;
    request.object = "new";
    request.id_reuse = pawl::id_reuse_policy::reject_duplicate;
    request.start_key = "key";
    request.trace_parent = "trace";
    const auto first = start(rules, request, t0, arm_at(t0));
    BOOST_TEST(first.kind == pawl::event_kind::started);
    BOOST_TEST((first.start == pawl::id_reuse_policy::reject_duplicate));
    BOOST_TEST(first.expected_version == 0u);
    BOOST_TEST(first.from == waiting);
    BOOST_TEST(first.inbox_seen == 0u);
    pawl::record expected;
    expected.id = request.id;
    expected.workflow = "orders";
    expected.foreign_id = "order-1";
    expected.version = 1;
    expected.state = run_state::initiated;
    expected.status = waiting;
    expected.visit = 1;
    expected.entered_at = expected.created_at = expected.updated_at = t0;
    expected.step_done = true; // it has none
    expected.deadlines = arm_at(t0)(waiting);
    expected.wake_at = t0 + 1h;
    expected.object = "new";
    expected.start_key = "key";
    expected.trace_parent = "trace";
    BOOST_TEST((first.next == expected));
}

BOOST_AUTO_TEST_SUITE_END()
