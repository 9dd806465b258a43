// The Mermaid diagram of a workflow, character by character, and what is escaped in it.
#include "pawl/diagram.hpp"
#include "api/orders.hpp"
#include "api/support.hpp"

BOOST_AUTO_TEST_SUITE(diagram_api)

using namespace api_test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(shows_starts_ends_and_causes)
{
    order_builder b{"orders"};
    b.step<created>(go<paying, cancelled>);
    b.callback<created, paying>("cancel order", go<cancelled>);
    b.step<paying>(go<shipped, cancelled>);
    b.timeout<paying>("warn", 5min, go<cancelled>);
    b.timeout<paying>("give up", 9min, go<cancelled>);
    b.end<shipped, cancelled>();
    const auto flow = std::move(b).build();
    BOOST_TEST(pawl::diagram(flow) == R"(---
title: "orders"
---
stateDiagram-v2
    direction LR
    state "created" as s1
    state "paying" as s3
    state "shipped" as s5
    state "cancelled" as s6
    [*] --> s1
    s1 --> s3
    s1 --> s6
    s1 --> s6: cancel order
    s3 --> s5
    s3 --> s6
    s3 --> s6: cancel order
    s3 --> s6: timeout
    s5 --> [*]
    s6 --> [*]
)");
}

BOOST_AUTO_TEST_CASE(points_where_it_is_told)
{
    const pawl::definition rules;
    using enum pawl::diagram_direction;
    BOOST_TEST(contains(pawl::diagram(rules), "direction LR"));
    BOOST_TEST(contains(pawl::diagram(rules, {.direction = TB}), "direction TB"));
    BOOST_TEST(contains(pawl::diagram(rules, {.direction = RL}), "direction RL"));
    BOOST_TEST(contains(pawl::diagram(rules, {.direction = BT}), "direction BT"));
}

BOOST_AUTO_TEST_CASE(escapes_what_would_end_a_label)
{
    pawl::definition rules;
    rules.name = "a \"b\"\\\n: c";
    pawl::status_rules status;
    status.id = -7;
    status.label = "x\"y:z;#é\n";
    const pawl::edge self{-7, pawl::edge_cause::callback, "a:b\n--> c"};
    status.edges = {self, self};
    rules.statuses = {status};
    const auto text = pawl::diagram(rules);
    BOOST_TEST(contains(text, R"(title: "a \"b\"\\ : c")"));
    BOOST_TEST(contains(text, "state \"x#34;y#58;z#59;#35;é#10;\" as sm7\n"));
    const std::string arrow = "sm7 --> sm7: a#58;b#10;--#62; c\n";
    BOOST_TEST(contains(text, arrow));
    BOOST_TEST(text.find(arrow) == text.rfind(arrow));
}

BOOST_AUTO_TEST_SUITE_END()
