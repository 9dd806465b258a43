// What an observer is told, and when: nothing before it is committed.
#include "pawl/observer.hpp"
#include "engine/faulty_store.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(observers)

using namespace engine_test;
using enum light;

namespace {

class notes final : public pawl::observer {
public:
    std::vector<std::string> commits, handlers, skips, messages, states;
    std::size_t batches = 0;
    std::size_t failed_batches = 0;

    void committed(const pawl::transition& change) noexcept override
    {
        commits.push_back(to_string(change.kind) + " " + to_string(change.state_before) + ">" +
                          to_string(change.next.state));
    }

    void handler_ended(const pawl::handler_report& report) noexcept override
    {
        const char* const results[] = {"returned", "skipped", "failed", "interrupted", "given up"};
        handlers.push_back(std::string{report.process} + " " +
                           results[static_cast<int>(report.result)] + " " +
                           std::to_string(report.attempt) + " " + std::string{report.error});
    }

    void discarded(std::string_view, std::string_view process,
                   pawl::discard_reason reason) noexcept override
    {
        skips.push_back(std::string{process} + ": " + std::string{to_string(reason)});
    }

    void message_settled(std::string_view, pawl::message_kind, pawl::message_outcome outcome,
                         pawl::duration age) noexcept override
    {
        messages.push_back(std::to_string(static_cast<int>(outcome)) + " after " +
                           std::to_string(age / 1s));
    }

    void batch_applied(std::size_t changes, pawl::duration, bool failed) noexcept override
    {
        batches += changes > 0;
        failed_batches += failed;
    }

    void engine_changed(std::string_view workflow, pawl::engine_state state) noexcept override
    {
        if (workflow == "lamps")
            states.push_back(std::to_string(static_cast<int>(state)));
    }
};

template <class World>
struct watched : World {
    std::shared_ptr<notes> seen = std::make_shared<notes>();

    watched() { this->options.observer = seen; }
};

pawl::step<yellow> first(lamp_run& run)
{
    if (run.attempt() < 2)
        throw std::runtime_error("no bulb");
    co_return pawl::to<yellow>;
}

pawl::step<off> last(lamp_run&)
{
    co_return pawl::to<off>;
}

pawl::step<off> wait_for_others(lamp_run&)
{
    co_return pawl::skip();
}

lamp_builder lamps_with_all()
{
    lamp_builder b{"lamps"};
    b.step<red>(first).retry({.initial = 1s, .jitter = 0});
    b.step<yellow>(wait_for_others);
    b.callback<yellow>("end", last);
    b.timeout<yellow>(1h, last);
    b.end<off>();
    return b;
}

bool contains(const std::vector<std::string>& all, const std::string& one)
{
    return std::ranges::find(all, one) != all.end();
}

} // namespace

BOOST_AUTO_TEST_CASE(every_turn_of_a_run_is_told)
{
    watched<world> w;
    auto b = lamps_with_all();
    b.on_complete([](const pawl::snapshot<lamp, light>&) -> asio::awaitable<void> {
        throw std::runtime_error("cannot report");
    });
    w.options.hook_retry = {.initial = 1s, .max_attempts = 1};
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    w.advance(2s);
    w.wait_for(client.async_pause(run, ""));
    w.wait_for(client.async_resume(run));
    w.wait_for(client.async_call(run, "end", 0));
    w.settle();
    const std::vector<std::string> commits{
        "started Initiated>Initiated", "attempt_failed Initiated>Running",
        "moved Running>Running",       "repeated Running>Running",
        "paused Running>Paused",       "resumed Paused>Running",
        "completed Running>Completed"};
    BOOST_TEST(w.seen->commits == commits, boost::test_tools::per_element());
    const std::vector<std::string> handlers{
        "red-step failed 1 no bulb", "red-step returned 2 ", "yellow-step skipped 1 ",
        "yellow-callback-end returned 1 ", "completed-hook given up 1 cannot report"};
    BOOST_TEST(w.seen->handlers == handlers, boost::test_tools::per_element());
    BOOST_TEST(contains(w.seen->skips, "yellow-step: skip returned"));
    BOOST_TEST(w.seen->messages.size() == 3u);
    w.stop();
    BOOST_TEST(w.seen->states == (std::vector<std::string>{"3", "2", "1"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_commit_is_told_only_when_it_was_accepted)
{
    watched<faulty_world> w;
    auto client = w.start(lamps_with_all().build());
    w.faults->next_applies = {fault::refused};
    BOOST_TEST(w.error_of(client.async_trigger("a", lamp{})) == pawl::errc::store_unavailable);
    BOOST_TEST(w.seen->commits.empty());
    BOOST_TEST(w.seen->failed_batches == 1u);
    w.wait_for(client.async_trigger("a", lamp{}));
    BOOST_TEST(w.seen->commits.front() == "started Initiated>Initiated");
}

BOOST_AUTO_TEST_CASE(refused_and_expired_messages_are_told_with_their_age)
{
    watched<world> w;
    lamp_builder b{"lamps"};
    b.callback<red>("go on", [](lamp_run&) -> pawl::step<yellow> { co_return pawl::to<yellow>; });
    b.callback<yellow>("end", last);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_send(run, "end", 0, {.expires_after = 10s}));
    w.advance(10s);
    BOOST_TEST(contains(w.seen->messages, "4 after 10"));
    BOOST_TEST(contains(w.seen->skips, "red-inbox: message expired"));
}

BOOST_AUTO_TEST_CASE(statistics_show_the_run_that_nobody_takes_up)
{
    world w;
    w.options.max_active_runs = 1;
    lamp_builder b{"lamps"};
    b.step<red>([&w](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*w.clock, 100h);
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    auto now = w.wait_for(w.engine->async_statistics());
    BOOST_TEST(now.active_runs == 0u);
    BOOST_TEST((now.due_lag == 0s));
    BOOST_TEST(now.leases.size() == 1u);
    w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_trigger("b", lamp{}));
    w.settle();
    w.advance(1h);
    now = w.wait_for(w.engine->async_statistics());
    BOOST_TEST(now.active_runs == 1u);
    BOOST_TEST((now.due_lag == 1h));
    BOOST_TEST(now.due_workflow == "lamps");
}

BOOST_AUTO_TEST_SUITE_END()
