// What build() makes of a declaration: the graph that the handlers' types spell, starts, ends,
// labels, and options that overlay the workflow's.
#include "api/orders.hpp"
#include "api/support.hpp"

BOOST_AUTO_TEST_SUITE(builder_api)

using namespace api_test;
using namespace std::chrono_literals;
using pawl::edge;
using pawl::edge_cause;

namespace {

enum class bare : int { first = -3, second = 12 };

const pawl::status_rules& rules_of(const pawl::definition& all, order_status status)
{
    const auto* rules = all.find(static_cast<int>(status));
    BOOST_REQUIRE(rules);
    return *rules;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_graph_is_read_off_the_types)
{
    order_builder b{"orders"};
    b.step<created>(go<validated, cancelled, validated>).on_exhausted<failed>();
    b.callback<created, validated>("cancel", go<cancelled>);
    b.callback<validated>("stop", go<cancelled>);
    b.step<validated>(go<paying>);
    b.step<paying>(go<shipped, failed>);
    b.timeout<paying>("warn", 5min, go<failed>);
    b.timeout<paying>("give up", 9min, go<failed>);
    b.end<shipped, failed, cancelled>();
    const auto flow = std::move(b).build();

    BOOST_TEST(flow.name() == "orders");
    const auto& all = flow.rules();
    BOOST_TEST(all.statuses.size() == 6u);
    using edges = std::vector<edge>;
    BOOST_TEST((rules_of(all, created).edges == edges{{2, edge_cause::step, ""},
                                                      {6, edge_cause::step, ""},
                                                      {4, edge_cause::step, ""},
                                                      {6, edge_cause::callback, "cancel"}}));
    BOOST_TEST((rules_of(all, validated).edges == edges{{3, edge_cause::step, ""},
                                                        {6, edge_cause::callback, "cancel"},
                                                        {6, edge_cause::callback, "stop"}}));
    BOOST_TEST((rules_of(all, paying).edges == edges{{5, edge_cause::step, ""},
                                                     {4, edge_cause::step, ""},
                                                     {4, edge_cause::timeout, ""}}));
    BOOST_TEST((rules_of(all, created).step->exhausted == 4));
    BOOST_TEST(rules_of(all, paying).timeouts.size() == 2u);
    BOOST_TEST(rules_of(all, validated).callbacks == (std::vector<std::string>{"cancel", "stop"}),
               boost::test_tools::per_element());

    for (const auto& status : all.statuses) {
        BOOST_TEST(status.start == (status.id == 1));
        BOOST_TEST(status.end == (status.id >= 4));
        const auto& handlers = flow.impl()->handlers.at(status.id);
        BOOST_TEST(static_cast<bool>(handlers.step) == status.step.has_value());
        BOOST_TEST(handlers.callbacks.size() == status.callbacks.size());
        BOOST_TEST(handlers.timeouts.size() == status.timeouts.size());
    }
    BOOST_TEST(all.default_start == 1);
    BOOST_TEST(all.label(3) == "paying");
}

BOOST_AUTO_TEST_CASE(steps_overlay_the_defaults_in_any_order_of_declaration)
{
    order_builder b{"orders"};
    b.step<created>(go<validated>).retry({.max_attempts = 3}).attempt_timeout(7s);
    b.defaults(
        {.retry = {.initial = 9s}, .attempt_timeout = 2s, .max_concurrency = 5, .start_delay = 1s});
    b.step<validated>(go<shipped>).max_concurrency(0).start_delay(0s);
    b.timeout<validated>("warn", 1min, go<shipped>).attempt_timeout(3s);
    b.timeout<validated>("give up", 2min, go<shipped>).retry({.max_attempts = 4});
    b.end<shipped>();
    b.auto_resume(20min, 2);
    const auto flow = std::move(b).build();

    const auto& first = *rules_of(flow.rules(), created).step;
    BOOST_TEST(first.retry.max_attempts == 3);
    BOOST_TEST((first.retry.initial == pawl::retry_policy{}.initial));
    BOOST_TEST((first.attempt_timeout == 7s));
    BOOST_TEST(first.max_concurrency == 5u);
    BOOST_TEST((first.start_delay == 1s));
    BOOST_TEST(!first.exhausted.has_value());

    const auto& second = rules_of(flow.rules(), validated);
    BOOST_TEST((second.step->retry.initial == 9s));
    BOOST_TEST((second.step->attempt_timeout == 2s));
    BOOST_TEST(second.step->max_concurrency == 0u);
    BOOST_TEST((second.step->start_delay == 0s));
    BOOST_TEST((second.timeouts[0].attempt_timeout == 3s));
    BOOST_TEST((second.timeouts[0].retry.initial == 9s));
    BOOST_TEST((second.timeouts[1].attempt_timeout == 2s));
    BOOST_TEST(second.timeouts[1].retry.max_attempts == 4);
    BOOST_TEST((flow.rules().resume_after == 20min));
    BOOST_TEST(flow.rules().max_auto_resumes == 2);
}

BOOST_AUTO_TEST_CASE(runs_start_where_no_other_status_leads)
{
    order_builder b{"orders"};
    b.step<validated>(go<paying, validated>); // leads to itself, which does not count
    b.callback<created>("go", go<paying>);
    b.step<paying>(go<shipped>);
    b.end<shipped>();
    const auto flow = std::move(b).build();
    BOOST_TEST(rules_of(flow.rules(), created).start);
    BOOST_TEST(rules_of(flow.rules(), validated).start);
    BOOST_TEST(!rules_of(flow.rules(), paying).start);
    BOOST_TEST(flow.rules().default_start == 2); // declared first
}

BOOST_AUTO_TEST_CASE(a_declared_start_is_the_default_one)
{
    order_builder b{"orders"};
    b.step<created>(go<validated>);
    b.step<validated>(go<paying>);
    b.step<paying>(go<shipped>);
    b.end<shipped>();
    b.start<paying, validated>();
    const auto flow = std::move(b).build();
    BOOST_TEST(flow.rules().default_start == 3);
    BOOST_TEST(rules_of(flow.rules(), created).start);
    BOOST_TEST(rules_of(flow.rules(), validated).start);
    BOOST_TEST(rules_of(flow.rules(), paying).start);
}

BOOST_AUTO_TEST_CASE(statuses_without_names_are_labelled_by_number)
{
    pawl::builder<order, bare> b{"orders"};
    b.step<bare::first>(
        [](order_run&) -> pawl::step<bare::second> { co_return pawl::to<bare::second>; });
    b.end<bare::second>();
    const auto flow = std::move(b).build();
    BOOST_TEST(flow.rules().label(-3) == "-3");
    BOOST_TEST(flow.rules().label(12) == "12");
    BOOST_TEST(flow.rules().statuses.front().id == -3);
}

BOOST_AUTO_TEST_CASE(copies_of_a_workflow_share_it)
{
    order_builder b{"orders"};
    b.step<created>(go<shipped>);
    b.end<shipped>();
    const auto flow = std::move(b).build();
    const auto copy = flow;
    BOOST_TEST(copy.impl() == flow.impl());
}

BOOST_AUTO_TEST_SUITE_END()
