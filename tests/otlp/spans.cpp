// The spans of runs: what is made, what each belongs to, and what it says.
#include "otlp/support.hpp"
#include "pawl/error.hpp"

#include <fstream>
#include <map>
#include <sstream>

BOOST_AUTO_TEST_SUITE(spans)

using namespace otlp_test;

namespace {

const std::string parent_header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A job with a child, a retry, a callback, a hook, and an event that starts another one.
void run_everything(traced& t, const std::string& trace_parent = {})
{
    const auto run = t.test->trigger("ada", job{}, {.trace_parent = trace_parent});
    t.test->advance(2s);
    t.test->callback(run, "go", pawl::bytes{});
    t.test->run_until_idle();
    pawl::stream_event event;
    event.id = "event-1";
    event.key = "grace";
    event.trace_parent = trace_parent;
    t.publish(std::move(event));
    t.test->advance(2s);
}

/// The names in the tables of the page.
std::set<std::string> documented_names()
{
    std::ifstream page{PAWL_OTLP_PAGE};
    std::set<std::string> names;
    for (std::string line; std::getline(page, line);)
        if (line.starts_with("| `pawl.") || line.starts_with("| `messaging.") ||
            line.starts_with("| `error.") || line.starts_with("| `http.") ||
            line.starts_with("| `url.") || line.starts_with("| `server."))
            names.insert(line.substr(3, line.find('`', 3) - 3));
    return names;
}

void collect_names(const std::vector<pawl::span_attribute>& from, std::set<std::string>& names)
{
    for (const auto& attribute : from)
        names.emplace(attribute.name);
}

} // namespace

BOOST_AUTO_TEST_CASE(each_span_has_a_parent_or_begins_a_trace)
{
    traced t;
    run_everything(t);
    BOOST_TEST(t.sink->orphans().empty());
    std::set<std::array<std::uint8_t, 8>> ids;
    for (const auto& made : t.sink->spans)
        BOOST_TEST(ids.insert(made.context.span_id).second, made.name);
    for (const char* name : {"jobs start", "jobs fresh-step", "jobs waiting-callback-part-ended",
                             "jobs waiting-callback-go", "jobs end", "jobs completed-hook",
                             "jobs connector-shop", "parts start", "parts fresh-step", "parts end"})
        BOOST_TEST(!t.sink->named(name).empty(), name);
    for (const auto& made : t.sink->spans)
        BOOST_TEST((made.ended_at >= made.began_at), made.name);
}

BOOST_AUTO_TEST_CASE(all_spans_belong_to_the_trace_of_the_trigger)
{
    traced t;
    run_everything(t, parent_header);
    const auto parent = *pawl::trace_context::parse(parent_header);
    BOOST_TEST(t.sink->orphans({parent.span_id}).empty());
    BOOST_TEST(!t.sink->orphans().empty()); // the trigger's own span is not ours
    for (const auto& made : t.sink->spans)
        BOOST_TEST((made.context.trace_id == parent.trace_id), made.name);
    for (const auto* start : t.sink->named("jobs start"))
        BOOST_TEST((start->parent_id == parent.span_id));
}

BOOST_AUTO_TEST_CASE(a_child_is_a_child_of_the_attempt_that_started_it)
{
    traced t;
    run_everything(t);
    const auto attempts = t.sink->named("jobs fresh-step");
    const auto child = t.sink->named("parts start").front();
    BOOST_TEST((child->parent_id == attempts[1]->context.span_id));
    BOOST_TEST(text_of(*child, "pawl.parent_run.id") == text_of(*attempts[1], "pawl.run.id"));
}

BOOST_AUTO_TEST_CASE(a_retry_has_a_link_to_the_failed_attempt)
{
    traced t;
    run_everything(t);
    const auto attempts = t.sink->named("jobs fresh-step");
    BOOST_TEST_REQUIRE(attempts.size() == 4u); // of two jobs
    BOOST_TEST(attempts[0]->failed);
    BOOST_TEST(attempts[0]->error.starts_with("no \"bulb\""));
    BOOST_TEST(text_of(*attempts[0], "error.type") == "_OTHER");
    BOOST_TEST(attempts[0]->links.empty());
    BOOST_TEST(!attempts[1]->failed);
    BOOST_TEST_REQUIRE(attempts[1]->links.size() == 1u);
    BOOST_TEST((attempts[1]->links[0].target == attempts[0]->context));
}

BOOST_AUTO_TEST_CASE(effects_and_checkpoints_are_events)
{
    traced t;
    run_everything(t);
    const auto attempts = t.sink->named("jobs fresh-step");
    BOOST_TEST_REQUIRE(attempts[0]->events.size() == 2u);
    BOOST_TEST(attempts[0]->events[0].name == "pawl.effect");
    BOOST_TEST(std::get<std::string>(attempts[0]->events[0].attributes[0].value) == "charge");
    BOOST_TEST(attempts[0]->events[1].name == "pawl.checkpoint");
    BOOST_TEST(attempts[1]->events.size() == 1u); // the effect is there already
}

BOOST_AUTO_TEST_CASE(a_run_that_waits_a_day_continues_in_a_linked_trace)
{
    traced t;
    const auto run = t.test->trigger("ada");
    t.test->advance(25h);
    BOOST_TEST((t.test->find(run).status == stage::done));
    BOOST_TEST(t.sink->orphans().empty());
    const auto& start = t.sink->only("jobs start");
    const auto& late = t.sink->only("jobs waiting-timeout-late");
    const auto& end = t.sink->only("jobs end");
    BOOST_TEST((late.context.trace_id != start.context.trace_id));
    BOOST_TEST((late.context.trace_id == end.context.trace_id));
    for (const auto* made : {&late, &end}) {
        BOOST_TEST((made->parent_id == std::array<std::uint8_t, 8>{}));
        BOOST_TEST_REQUIRE(made->links.size() == 1u);
        BOOST_TEST((made->links[0].target == start.context));
    }
    BOOST_TEST(text_of(end, "pawl.run.duration_ms") == "86401000");
}

BOOST_AUTO_TEST_CASE(without_a_period_a_run_stays_in_its_trace)
{
    traced t{{.policy = {}}};
    t.test->trigger("ada");
    t.test->advance(25h);
    const auto& start = t.sink->only("jobs start");
    for (const auto& made : t.sink->spans)
        BOOST_TEST((made.context.trace_id == start.context.trace_id), made.name);
}

BOOST_AUTO_TEST_CASE(spans_have_exactly_the_documented_attributes)
{
    traced t{{.foreign_ids = true}};
    run_everything(t);
    std::set<std::string> names;
    for (const auto& made : t.sink->spans) {
        collect_names(made.attributes, names);
        for (const auto& event : made.events) {
            names.emplace(event.name);
            collect_names(event.attributes, names);
        }
        for (const auto& link : made.links)
            collect_names(link.attributes, names);
    }
    auto documented = documented_names();
    std::erase_if(documented, [](const std::string& name) {
        return name.starts_with("http.") || name.starts_with("url.") || name.starts_with("server.");
    });
    BOOST_TEST(names == documented, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(foreign_ids_are_exported_only_if_asked)
{
    for (const bool asked : {false, true}) {
        traced t{{.foreign_ids = asked}};
        run_everything(t);
        const auto* made = t.sink->named("jobs connector-shop").front();
        BOOST_TEST(text_of(*made, "pawl.foreign_id") == (asked ? "grace" : "absent"));
        BOOST_TEST(text_of(*made, "messaging.message.id") == (asked ? "event-1" : "absent"));
    }
}

BOOST_AUTO_TEST_CASE(error_texts_can_be_left_out)
{
    traced t{{.error_texts = false}};
    run_everything(t);
    const auto* attempt = t.sink->named("jobs fresh-step").front();
    BOOST_TEST(attempt->failed);
    BOOST_TEST(attempt->error == "");
}

BOOST_AUTO_TEST_CASE(a_trace_that_is_not_sampled_has_no_spans)
{
    traced off{{.policy = {.sampler = pawl::trace_sampler::always_off}}};
    run_everything(off);
    BOOST_TEST(off.sink->spans.empty());
    traced unsampled;
    run_everything(unsampled, parent_header.substr(0, 53) + "00");
    BOOST_TEST(unsampled.sink->spans.empty());
    traced forced{{.policy = {.parent_based = false}}};
    run_everything(forced, parent_header.substr(0, 53) + "00");
    BOOST_TEST(!forced.sink->spans.empty());
}

BOOST_AUTO_TEST_CASE(no_span_is_made_for_a_sink_without_room)
{
    traced t;
    t.sink->is_full = true;
    run_everything(t);
    BOOST_TEST(t.sink->spans.empty());
}

BOOST_AUTO_TEST_CASE(bad_options_are_named)
{
    const auto sink = std::make_shared<span_list>();
    BOOST_CHECK_THROW(pawl::make_span_observer(nullptr), pawl::definition_error);
    BOOST_CHECK_EXCEPTION(pawl::make_span_observer(sink, {.policy = {.ratio = 1.5}}),
                          pawl::definition_error, [](const auto& error) {
                              return std::string_view{error.what()}.find("policy.ratio is 1.5") !=
                                     std::string_view::npos;
                          });
    BOOST_CHECK_THROW(pawl::make_span_observer(sink, {.policy = {.new_trace_after = -1s}}),
                      pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
