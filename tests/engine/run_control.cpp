// Control of runs from outside, at the edges: before a run has begun, when its data cannot be read,
// and callbacks by names that carry their payload's type.
#include "engine/support.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(run_control)

using namespace engine_test;
using enum light;

namespace {

struct one_time_password {
    std::string digits;
};
BOOST_DESCRIBE_STRUCT(one_time_password, (), (digits))

constexpr pawl::callback<one_time_password> verify{"verify"};
constexpr pawl::callback<pawl::bytes> amend{"amend"};
constexpr pawl::callback<void> give_up{"give up"};

pawl::step<off> on_verify(lamp_run& run, one_time_password password)
{
    run.object().trail.push_back("verify " + password.digits);
    co_return pawl::repeat_after(0s);
}

pawl::step<off> on_amend(lamp_run& run, pawl::bytes body)
{
    run.object().trail.push_back("amend " + body.data);
    co_return pawl::repeat_after(0s);
}

pawl::step<off> on_give_up(lamp_run&)
{
    co_return pawl::to<off>;
}

pawl::step<off> count_and_end(lamp_run& run)
{
    ++run.object().value;
    co_return pawl::to<off>;
}

/// A lamp whose only step begins after an hour.
pawl::workflow<lamp, light> late()
{
    lamp_builder b{"lamps"};
    b.step<red>(count_and_end).start_delay(1h);
    b.end<off>();
    return std::move(b).build();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_that_has_not_begun_can_be_cancelled)
{
    world w;
    auto client = w.start(late());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::initiated);
    w.wait_for(client.async_cancel(run, {"not needed", "ada"}));
    w.advance(2h);
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.state == pawl::run_state::cancelled);
    BOOST_TEST(now.object.value == 0);
    BOOST_TEST(now.reason == "not needed");
    w.wait_for(client.async_trigger("a", lamp{})); // the foreign id is free again
}

BOOST_AUTO_TEST_CASE(a_run_that_has_not_begun_can_be_paused_and_goes_on_when_resumed)
{
    world w;
    auto client = w.start(late());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_pause(run, {"hold on", "ada"}));
    w.advance(2h);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
    w.wait_for(client.async_resume(run));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(data_goes_even_if_the_scrubber_fails)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(count_and_end);
    b.end<off>();
    b.scrub([](lamp&) { throw std::runtime_error("no such member"); });
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{7, {"a name"}}));
    w.settle();
    w.wait_for(client.async_delete_data(run, "asked"));
    w.settle();
    const auto now = w.state_of(client, run); // can be read
    BOOST_TEST(now.state == pawl::run_state::data_deleted);
    BOOST_TEST(now.object.value == 0);
    BOOST_TEST(now.object.trail.empty());
    BOOST_TEST(std::ranges::any_of(w.log, [](const std::string& line) {
        return line.find("no such member") != std::string::npos;
    }));
}

BOOST_AUTO_TEST_CASE(callbacks_of_one_status_each_get_their_own_whole_payload)
{
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>(verify, on_verify);
    b.callback<red>(amend, on_amend);
    b.callback<red>(give_up, on_give_up);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_call(run, verify, {"123456"}));
    w.wait_for(client.async_call("a", amend, {"whole body"}));
    const auto sent = w.wait_for(client.async_send(run, amend, {"and another"}));
    w.settle();
    BOOST_TEST((w.wait_for(w.store->outcome(run, sent.sequence))->outcome ==
                pawl::message_outcome::handled));
    // The name is what is stored, so a plain one is the same callback.
    w.wait_for(client.async_call(run, "verify", one_time_password{"654321"}));
    w.wait_for(client.async_call(run, give_up, {.idempotency_key = "once"}));
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.status == off);
    const std::vector<std::string> trail{"verify 123456", "amend whole body", "amend and another",
                                         "verify 654321"};
    BOOST_TEST(now.object.trail == trail, boost::test_tools::per_element());
    const auto next = w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_send(next, give_up));
    w.settle();
    BOOST_TEST(w.state_of(client, next).status == off);
}

BOOST_AUTO_TEST_SUITE_END()
