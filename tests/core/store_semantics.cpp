// The rules that all stores share: which text an event carries, when a run is due, which messages
// it takes, and when it may start.
#include "stores/common/store_semantics.hpp"
#include "core/record_at.hpp"
#include "core/text.hpp"
#include "pawl/error.hpp"
#include "printing.hpp"
#include "stores/common/change_size.hpp"

#include <boost/test/unit_test.hpp>

#include <map>

BOOST_AUTO_TEST_SUITE(store_semantics)

namespace {

using namespace std::chrono_literals;
using pawl::apply_status;
using pawl::event_kind;
using pawl::id_reuse_policy;
using pawl::run_state;

pawl::transition make_transition(event_kind kind)
{
    pawl::transition change;
    change.next.id.bytes.fill(7);
    change.next.version = 4;
    change.expected_version = 3;
    change.next.status = 20;
    change.next.state = run_state::running;
    change.next.attempt = 2;
    change.next.updated_at = pawl::time_point{9s};
    change.next.last_error = "the error";
    change.next.reason = "the reason";
    change.kind = kind;
    change.from = 10;
    return change;
}

} // namespace

BOOST_AUTO_TEST_CASE(an_event_carries_the_text_of_its_kind)
{
    const std::map<event_kind, std::string> texts{
        {event_kind::started, ""},
        {event_kind::moved, "the error"},
        {event_kind::repeated, ""},
        {event_kind::attempt_failed, "the error"},
        {event_kind::paused, "the reason"},
        {event_kind::resumed, "the reason"},
        {event_kind::cancelled, "the reason"},
        {event_kind::completed, "the reason"},
        {event_kind::checkpointed, ""},
        {event_kind::message_settled, ""},
        {event_kind::data_deletion_requested, "the reason"},
        {event_kind::data_deleted, "the reason"},
    };
    for (const auto& [kind, text] : texts) {
        const auto entry = pawl::core::make_event(make_transition(kind));
        BOOST_TEST(entry.error == text, to_string(kind));
        BOOST_TEST((entry.kind == kind));
    }
}

BOOST_AUTO_TEST_CASE(an_event_tells_the_transition)
{
    const auto change = make_transition(event_kind::moved);
    const auto made = pawl::core::complete_event(pawl::core::make_event(change), 3, 12,
                                                 change.next.id, "orders", "o-1");
    const pawl::event expected{.shard = 3,
                               .sequence = 12,
                               .kind = event_kind::moved,
                               .run = change.next.id,
                               .workflow = "orders",
                               .foreign_id = "o-1",
                               .version = 4,
                               .from = 10,
                               .to = 20,
                               .state = run_state::running,
                               .attempt = 2,
                               .error = "the error",
                               .at = pawl::time_point{9s}};
    BOOST_TEST((made == expected));
}

BOOST_AUTO_TEST_CASE(a_message_that_nobody_saw_keeps_the_run_due)
{
    auto change = make_transition(event_kind::moved);
    change.inbox_seen = 2;
    BOOST_TEST(pawl::core::wake_after(change, 2, false) == std::nullopt);
    BOOST_TEST((pawl::core::wake_after(change, 3, false) == pawl::time_point{9s}));
    change.next.wake_at = pawl::time_point{5s};
    BOOST_TEST((pawl::core::wake_after(change, 3, false) == pawl::time_point{5s}));
    change.next.wake_at = pawl::time_point{15s};
    BOOST_TEST((pawl::core::wake_after(change, 2, false) == pawl::time_point{15s}));
    BOOST_TEST((pawl::core::wake_after(change, 3, false) == pawl::time_point{9s}));
    BOOST_TEST((pawl::core::wake_after(change, 3, true) == pawl::time_point{15s}));
}

BOOST_AUTO_TEST_CASE(only_the_first_final_state_finishes_a_run)
{
    auto change = make_transition(event_kind::completed);
    BOOST_TEST(!pawl::core::finishes(change, run_state::running));
    change.next.state = run_state::completed;
    BOOST_TEST(pawl::core::finishes(change, run_state::running));
    BOOST_TEST(pawl::core::finishes(change, run_state::paused));
    BOOST_TEST(!pawl::core::finishes(change, run_state::completed));
    BOOST_TEST(!pawl::core::finishes(change, run_state::cancelled));
}

BOOST_AUTO_TEST_CASE(a_message_makes_its_run_due_when_it_was_sent)
{
    pawl::message sent;
    sent.sent_at = pawl::time_point{9s};
    BOOST_TEST((pawl::core::wake_after(sent, {}) == pawl::time_point{9s}));
    BOOST_TEST((pawl::core::wake_after(sent, pawl::time_point{10s}) == pawl::time_point{9s}));
    BOOST_TEST((pawl::core::wake_after(sent, pawl::time_point{8s}) == pawl::time_point{8s}));
}

BOOST_AUTO_TEST_CASE(a_finished_run_takes_only_the_order_to_delete_its_data)
{
    using pawl::message_kind;
    for (int number = 1; number <= 7; ++number) {
        const auto state = static_cast<run_state>(number);
        for (const auto kind : {message_kind::callback, message_kind::pause, message_kind::resume,
                                message_kind::cancel})
            BOOST_TEST(pawl::core::accepts_message(state, kind) == !is_finished(state),
                       to_string(state));
        BOOST_TEST(pawl::core::accepts_message(state, message_kind::delete_data), to_string(state));
    }
}

BOOST_AUTO_TEST_CASE(when_a_run_may_start)
{
    using pawl::core::start_refusal;
    BOOST_TEST(start_refusal(id_reuse_policy::allow_after_finish, false, false) == std::nullopt);
    BOOST_TEST(start_refusal(id_reuse_policy::allow_after_finish, false, true) == std::nullopt);
    BOOST_TEST((start_refusal(id_reuse_policy::allow_after_finish, true, true) ==
                apply_status::already_running));
    BOOST_TEST(start_refusal(id_reuse_policy::reject_duplicate, false, false) == std::nullopt);
    BOOST_TEST((start_refusal(id_reuse_policy::reject_duplicate, false, true) ==
                apply_status::already_ran));
    BOOST_TEST((start_refusal(id_reuse_policy::reject_duplicate, true, false) ==
                apply_status::already_running));
}

BOOST_AUTO_TEST_CASE(arguments_out_of_range_are_named)
{
    const auto says = [](std::string word) {
        return [word](const std::exception& thrown) {
            return std::string{thrown.what()}.find(word) != std::string::npos;
        };
    };
    BOOST_CHECK_EXCEPTION(pawl::core::check_shard_count("memory_options", 0),
                          pawl::definition_error, says("shards"));
    BOOST_CHECK_EXCEPTION(pawl::core::check_shard_count("memory_options", 4097),
                          pawl::definition_error, says("4,097"));
    BOOST_CHECK_EXCEPTION(pawl::core::check_shard(4, 4), pawl::error, says("shard is 4"));
    pawl::record_query query;
    query.limit = 0;
    BOOST_CHECK_EXCEPTION(pawl::core::check_query(query), pawl::error, says("limit"));
    query.limit = 1001;
    BOOST_CHECK_EXCEPTION(pawl::core::check_query(query), pawl::error, says("1001"));
    std::vector<pawl::change> batch{make_transition(event_kind::moved)};
    BOOST_CHECK_NO_THROW(pawl::core::check_batch(batch, 1));
    std::get<pawl::transition>(batch[0]).expected_version = 7;
    BOOST_CHECK_EXCEPTION(pawl::core::check_batch(batch, 1), pawl::error, says("version 4"));
    batch[0] = pawl::cursor_move{.name = "hooks", .shard = 1};
    BOOST_CHECK_EXCEPTION(pawl::core::check_batch(batch, 1), pawl::error, says("shard is 1"));
}

BOOST_AUTO_TEST_CASE(the_size_of_a_change_counts_all_that_its_maker_may_make_large)
{
    const std::string large(10'000, 'x');
    pawl::transition object;
    object.next.object = large;
    pawl::transition effects;
    effects.next.effects = {{"name", large, false}};
    pawl::transition error;
    error.next.last_error = large;
    pawl::transition settled;
    settled.settled = {{1, pawl::message_outcome::failed, large}};
    pawl::delivery payload;
    payload.content.payload = large;
    pawl::publication event;
    event.content.payload = large;
    pawl::publication headers;
    headers.content.headers = {{"name", large}};
    const std::vector<pawl::change> changes{object,  effects, error,  settled,
                                            payload, event,   headers};
    for (const auto& each : changes) {
        BOOST_TEST(pawl::core::change_size(each) >= large.size());
        BOOST_TEST(pawl::core::change_size(each) <= large.size() + 500);
    }
    BOOST_TEST(pawl::core::change_size(pawl::cursor_move{}) <= 500u);
}

BOOST_AUTO_TEST_CASE(a_text_is_cut_at_a_character)
{
    using pawl::core::truncate_utf8;
    BOOST_TEST(truncate_utf8("abc", 3) == "abc");
    BOOST_TEST(truncate_utf8("abcd", 3) == "abc");
    BOOST_TEST(truncate_utf8("ab€", 4) == "ab");
    BOOST_TEST(truncate_utf8("ab€", 5) == "ab€");
    BOOST_TEST(truncate_utf8("a\xf0\x9f\x93\xa6", 4) == "a");
    BOOST_TEST(truncate_utf8(std::string(9, '\x80'), 4) == std::string(4, '\x80')); // no UTF-8
    BOOST_TEST(truncate_utf8("€", 0) == "");
}

BOOST_AUTO_TEST_CASE(an_event_that_is_seen_late_tells_an_error_from_a_reason)
{
    pawl::record now;
    now.version = 9;
    now.reason = now.last_error = "of another event";
    struct expected {
        event_kind kind;
        int to;
        const char* reason;
        const char* last_error;
    };
    const expected all[] = {
        {event_kind::completed, 2, "", "text"}, // a move, after used-up attempts
        {event_kind::completed, 1, "text", ""}, // finish(reason)
        {event_kind::moved, 2, "", "text"},     // after used-up attempts
        {event_kind::attempt_failed, 1, "", "text"}, {event_kind::cancelled, 1, "text", ""},
        {event_kind::paused, 1, "text", ""},
    };
    for (const auto& [kind, to, reason, last_error] : all)
        BOOST_TEST_CONTEXT(pawl::to_string(kind) << " to " << to)
        {
            pawl::event what;
            what.kind = kind;
            what.version = 3;
            what.from = 1;
            what.to = to;
            what.error = "text";
            const auto then = pawl::core::record_at(what, now);
            BOOST_TEST(then.reason == reason);
            BOOST_TEST(then.last_error == last_error);
        }
}

BOOST_AUTO_TEST_SUITE_END()
