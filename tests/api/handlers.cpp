// How the typed layer calls handlers: every kind of callable, payloads in and outcomes out,
// timeouts' times, hooks, and the object's way in and out of bytes.
#include "api/orders.hpp"
#include "api/support.hpp"
#include "printing.hpp"

#include <memory>
#include <stdexcept>

BOOST_AUTO_TEST_SUITE(handlers)

using namespace api_test;
using namespace std::chrono_literals;
using boost::asio::awaitable;
using pawl::detail::next_kind;
using pawl::detail::next_value;

namespace {

struct moved_by_functor {
    std::string mark;
    pawl::step<shipped> operator()(order_run& run) const
    {
        run.object().id = mark;
        co_return pawl::to<shipped>;
    }
};

struct cancelled_by_functor {
    pawl::step<cancelled> operator()(order_run& run, cancellation why) const noexcept
    {
        run.object().id = why.reason;
        co_return pawl::to<cancelled>;
    }
};

pawl::step<cancelled> cancelled_by_function(order_run& run, const cancellation& why)
{
    run.object().id = why.reason;
    co_return pawl::to<cancelled>;
}

pawl::step<cancelled> counted(order_run& run, int lines) noexcept
{
    run.object().lines = lines;
    co_return pawl::to<cancelled>;
}

pawl::step<shipped> by_constant_service(std::shared_ptr<const int> service, order_run& run)
{
    run.object().lines = *service;
    co_return pawl::to<shipped>;
}

/// A workflow of one status, and one run that stands in it.
struct fixture {
    fixture() { b.end<shipped, cancelled>(); }

    void build()
    {
        // Whatever the test declares, both ends are reached.
        b.callback<created>("reach", go<shipped, cancelled>);
        impl = std::move(b).build().impl();
    }

    const pawl::detail::status_handlers& handlers() const { return impl->handlers.at(1); }

    next_value run_step() { return await(handlers().step(subject, context)); }

    next_value call(const std::string& payload)
    {
        return await(handlers().callbacks.at(0)(subject, context, payload));
    }

    order_builder b{"orders"};
    std::shared_ptr<const pawl::detail::workflow_impl> impl;
    std::shared_ptr<order> subject = std::make_shared<order>();
    fake_context context;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(handlers_api, fixture)

BOOST_AUTO_TEST_CASE(a_step_may_be_a_functor)
{
    b.step<created>(moved_by_functor{"mark"});
    build();
    const auto outcome = run_step();
    BOOST_TEST((outcome.kind == next_kind::move));
    BOOST_TEST(outcome.status == 5);
    BOOST_TEST(subject->id == "mark");
}

BOOST_AUTO_TEST_CASE(a_step_may_be_a_lambda_that_calls_a_coroutine)
{
    const auto service = std::make_shared<const int>(42);
    b.step<created>([service](order_run& run) { return by_constant_service(service, run); });
    build();
    BOOST_TEST(run_step().status == 5);
    BOOST_TEST(subject->lines == 42);
}

BOOST_AUTO_TEST_CASE(a_lambda_that_is_a_coroutine_outlives_the_workflow)
{
    const std::string text(100, 'x');
    b.step<created>([text, owned = std::make_unique<int>(3)](auto& run) -> pawl::step<shipped> {
        co_await boost::asio::this_coro::executor;
        run.object().id = text;
        run.object().lines = *owned;
        co_return pawl::to<shipped>;
    });
    build();
    auto running = handlers().step(subject, context);
    impl.reset();
    BOOST_TEST(await(std::move(running)).status == 5);
    BOOST_TEST(subject->id == text);
    BOOST_TEST(subject->lines == 3);
}

BOOST_AUTO_TEST_CASE(every_outcome_comes_out_and_exceptions_go_through)
{
    const std::vector<std::pair<pawl::detail::outcome_tag, next_kind>> outcomes{
        {pawl::repeat_after(3s), next_kind::repeat}, {pawl::skip(), next_kind::skip},
        {pawl::pause("why"), next_kind::pause},      {pawl::cancel("why"), next_kind::cancel},
        {pawl::finish("why"), next_kind::finish},
    };
    b.step<created>([&](order_run& run) -> pawl::step<shipped> {
        const auto index = static_cast<std::size_t>(run.object().lines++);
        if (index == outcomes.size())
            throw std::runtime_error{"out of outcomes"};
        co_return outcomes[index].first;
    });
    build();
    for (const auto& [tag, kind] : outcomes) {
        const auto outcome = run_step();
        BOOST_TEST((outcome.kind == kind));
        BOOST_TEST(outcome.reason == tag.reason);
        BOOST_TEST((outcome.delay == tag.delay));
    }
    BOOST_CHECK_THROW(run_step(), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(a_payload_is_read_off_a_function)
{
    b.callback<created>("cancel", cancelled_by_function);
    build();
    BOOST_TEST(call(R"({"reason":"late"})").status == 6);
    BOOST_TEST(subject->id == "late");
    BOOST_CHECK_EXCEPTION(call("[]"), pawl::error, [](const pawl::error& refused) {
        return refused.code() == pawl::errc::decode_failed;
    });
}

BOOST_AUTO_TEST_CASE(a_payload_is_read_off_a_functor)
{
    b.callback<created>("cancel", cancelled_by_functor{});
    build();
    BOOST_TEST(call(R"({"reason":"late"})").status == 6);
    BOOST_TEST(subject->id == "late");
}

BOOST_AUTO_TEST_CASE(a_payload_is_read_off_a_noexcept_function)
{
    b.callback<created>("cancel", counted);
    build();
    BOOST_TEST(call("17").status == 6);
    BOOST_TEST(subject->lines == 17);
}

BOOST_AUTO_TEST_CASE(a_payload_is_read_off_a_lambda)
{
    b.callback<created>("cancel",
                        [](order_run& run, std::vector<int> all) -> pawl::step<cancelled> {
                            run.object().lines = all.at(1);
                            co_return pawl::to<cancelled>;
                        });
    build();
    call("[1,2]");
    BOOST_TEST(subject->lines == 2);
}

BOOST_AUTO_TEST_CASE(a_callback_may_take_no_payload)
{
    b.callback<created>("ship", go<shipped>);
    build();
    BOOST_TEST(call("anything").status == 5);
}

BOOST_AUTO_TEST_CASE(a_callback_keeps_its_payload_while_it_waits)
{
    b.callback<created>("cancel", cancelled_by_function);
    build();
    std::string bytes = R"({"reason":"a reason that is too long to stand in place"})";
    auto running = handlers().callbacks.at(0)(subject, context, bytes);
    bytes.assign(bytes.size(), '?');
    BOOST_TEST(await(std::move(running)).status == 6);
    BOOST_TEST(contains(subject->id, "too long"));
}

BOOST_AUTO_TEST_CASE(timeouts_are_due_after_a_span_at_a_time_or_as_a_function_says)
{
    const pawl::time_point fixed{77s};
    b.timeout<created>("span", 5min, go<shipped>);
    b.timeout<created>("time", fixed, go<shipped>);
    b.timeout<created>(
        "function",
        [](const order_run& run) -> std::optional<pawl::time_point> {
            if (run.object().lines == 0)
                return {};
            return run.now() + run.object().lines * 1s;
        },
        go<cancelled>);
    b.timeout<created>("never", pawl::duration::max(), go<shipped>);
    build();
    context.time = pawl::time_point{1000s};
    const auto due = [&](std::size_t i) {
        return handlers().timeouts.at(i).due(subject, context);
    };
    BOOST_TEST((due(0) == context.time + 5min));
    BOOST_TEST((due(1) == fixed));
    BOOST_TEST(!due(2).has_value());
    subject->lines = 3;
    BOOST_TEST((due(2) == context.time + 3s));
    BOOST_TEST((due(3) == pawl::time_point::max()));
    BOOST_TEST(await(handlers().timeouts.at(2).run(subject, context)).status == 6);
}

BOOST_AUTO_TEST_CASE(hooks_get_a_snapshot_in_order_of_declaration)
{
    std::vector<std::string> calls;
    using snapshot = order_builder::snapshot_type;
    const auto note = [&calls](std::string name) {
        return [&calls, name](const snapshot& at) -> awaitable<void> {
            calls.push_back(name + " " + at.foreign_id + " " + at.object.id + " " + at.reason);
            co_return;
        };
    };
    b.on_complete(note("first")).on_complete("second", note("second"));
    b.on_pause(note("paused")).on_cancel(note("cancelled"));
    b.step<created>(go<shipped>);
    build();
    pawl::record stored;
    stored.foreign_id = "o-1";
    stored.reason = "why";
    stored.object = R"({"id":"x"})";
    const auto fire = [&](pawl::event_kind kind) {
        for (const auto& hook : impl->hooks)
            if (hook.wants(kind, 0, 0))
                await(hook.run({}, stored));
    };
    fire(pawl::event_kind::completed);
    fire(pawl::event_kind::paused);
    fire(pawl::event_kind::cancelled);
    const std::vector<std::string> expected{"first o-1 x why", "second o-1 x why",
                                            "paused o-1 x why", "cancelled o-1 x why"};
    BOOST_TEST(calls == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_snapshot_shows_the_record)
{
    pawl::record stored;
    stored.id = *pawl::parse_run_id("018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d");
    stored.foreign_id = "o-1";
    stored.status = 3;
    stored.state = pawl::run_state::paused;
    stored.version = 9;
    stored.attempt = 2;
    stored.last_error = "declined";
    stored.reason = "no more attempts";
    stored.created_at = pawl::time_point{1s};
    stored.updated_at = pawl::time_point{2s};
    stored.wake_at = pawl::time_point{3s};
    stored.object = R"({"id":"x","lines":4})";
    b.step<created>(go<shipped>);
    build();
    const auto at = pawl::make_snapshot(pawl::workflow<order, order_status>{impl}, stored);
    BOOST_TEST((at.id == stored.id));
    BOOST_TEST(at.foreign_id == "o-1");
    BOOST_TEST((at.status == paying));
    BOOST_TEST(at.state == pawl::run_state::paused);
    BOOST_TEST(at.version == 9u);
    BOOST_TEST(at.attempt == 2);
    BOOST_TEST(at.last_error == "declined");
    BOOST_TEST(at.reason == "no more attempts");
    BOOST_TEST((at.created_at == stored.created_at));
    BOOST_TEST((at.updated_at == stored.updated_at));
    BOOST_TEST((at.wake_at == stored.wake_at));
    BOOST_TEST(at.object.lines == 4);
}

BOOST_AUTO_TEST_CASE(objects_go_in_and_out_of_bytes)
{
    b.step<created>(go<shipped>);
    build();
    const auto decoded = impl->decode(R"({"id":"x"})", nullptr);
    std::string bytes;
    impl->encode(decoded, bytes);
    BOOST_TEST(bytes == R"({"id":"x","lines":0})");
    BOOST_CHECK_THROW((void)impl->decode("{", nullptr), pawl::error);
    // Deleting data does not need to understand it.
    BOOST_TEST(!impl->scrub);
    BOOST_TEST(impl->blank() == R"({"id":"none","lines":0})");
}

BOOST_AUTO_TEST_CASE(a_workflow_may_say_what_deleting_data_means)
{
    b.scrub([](order& each) { each.id = "gone"; });
    b.step<created>(go<shipped>);
    build();
    BOOST_TEST(impl->scrub(R"({"id":"x","lines":8})") == R"({"id":"gone","lines":8})");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
