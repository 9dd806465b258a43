// Runs are found by values of their objects: as the last commit of each run has stored them.
#include "core/attribute_changes.hpp"
#include "engine/support.hpp"
#include "pawl/attribute.hpp"
#include "pawl/error.hpp"
#include "pawl/forwarding_store.hpp"
#include "printing.hpp"

#include <algorithm>

BOOST_AUTO_TEST_SUITE(attributes)

using namespace engine_test;
using enum light;

namespace {

constexpr pawl::attribute<int> value{"value"};
constexpr pawl::attribute<std::string> last{"last"};
constexpr pawl::attribute<bool> lit{"lit"};
constexpr pawl::attribute<light> color{"color"};
constexpr pawl::attribute<std::chrono::sys_seconds> since{"since"};

std::optional<std::string> last_of(const lamp& object)
{
    return object.trail.empty() ? std::nullopt : std::optional{object.trail.back()};
}

std::chrono::sys_seconds since_of(const lamp& object)
{
    return std::chrono::sys_seconds{std::chrono::seconds{object.value}};
}

/// The object gets the number, and the text unless it is "-"; "clear" empties its trail.
void change(lamp& object, int number, const std::string& text)
{
    object.value = number;
    if (text == "clear")
        object.trail.clear();
    else if (text != "-")
        object.trail.push_back(text);
}

struct order_to_lamp {
    int number = 0;
    std::string text;
};
BOOST_DESCRIBE_STRUCT(order_to_lamp, (), (number, text))

pawl::step<yellow> keep(lamp_run& run, order_to_lamp order)
{
    change(run.object(), order.number, order.text);
    co_return pawl::to<yellow>;
}

pawl::step<off> finish(lamp_run& run, order_to_lamp order)
{
    change(run.object(), order.number, order.text);
    co_return pawl::to<off>;
}

/// A workflow without attributes, whose runs wait in yellow.
lamp_builder plain()
{
    lamp_builder b{"lamps"};
    b.callback<yellow>("keep", keep).retry({.max_attempts = 1});
    b.callback<yellow>("finish", finish);
    b.start<yellow>();
    b.end<off>();
    return b;
}

lamp_builder searchable()
{
    auto b = plain();
    b.attribute(value, &lamp::value);
    b.attribute(last, last_of);
    return b;
}

/// Counts the changes of attributes that it stores.
struct counting_store : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    std::optional<pawl::apply_result> try_apply(const pawl::change& only) override
    {
        note(only);
        return inner().try_apply(only);
    }

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        for (const auto& each : batch)
            note(each);
        if (before_update && std::holds_alternative<pawl::attribute_update>(batch.front())) {
            const auto hook = std::exchange(before_update, nullptr);
            hook(inner());
        }
        auto results = co_await inner().apply(batch);
        co_return results;
    }

    void note(const pawl::change& one)
    {
        if (const auto* step = std::get_if<pawl::transition>(&one))
            values += step->attributes.values.size() + (step->attributes.replaces_all ? 1 : 0);
        else if (std::holds_alternative<pawl::attribute_update>(one))
            ++updates;
    }

    std::size_t values = 0;
    std::size_t updates = 0;
    std::function<void(pawl::record_store&)> before_update;
};

struct attribute_world : world {
    std::vector<std::string> found(lamps& client, std::vector<pawl::attribute_filter> filters)
    {
        std::vector<std::string> names;
        for (const auto& run : wait_for(client.async_list({.attributes = std::move(filters)})).runs)
            names.push_back(run.foreign_id);
        return names;
    }

    /// What the store finds, whatever the program declares.
    std::size_t stored(pawl::attribute_filter filter)
    {
        const auto page =
            wait_for(store->list({.workflow = "lamps", .attributes = {std::move(filter)}}));
        return page.runs.size();
    }

    void call(lamps& client, const char* run, const char* name, int number, std::string text)
    {
        wait_for(client.async_call(run, name, order_to_lamp{number, std::move(text)}));
    }

    std::string refusal(lamps& client, std::vector<pawl::attribute_filter> filters)
    {
        try {
            found(client, std::move(filters));
        } catch (const pawl::error& refused) {
            BOOST_TEST(refused.code() == pawl::errc::invalid_argument);
            return refused.detail();
        }
        return "not refused";
    }

    pawl::attribute_fill fill(lamps& client, std::size_t limit = 256)
    {
        pawl::attribute_fill all;
        do {
            const auto page = wait_for(client.async_fill_attributes(all.next, limit));
            BOOST_TEST(page.runs <= limit);
            all.next = page.next;
            all.runs += page.runs;
            all.updated += page.updated;
            all.failed += page.failed;
        } while (all.next);
        return all;
    }
};

using names = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_CASE(runs_are_found_by_attributes_of_each_type)
{
    attribute_world w;
    auto b = searchable();
    b.attribute(lit, [](const lamp& object) { return object.value > 100; });
    b.attribute(color, [](const lamp& object) { return object.value > 100 ? green : red; });
    b.attribute(since, since_of);
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("a", lamp{40, {"x", "y"}}));
    w.wait_for(client.async_trigger("b", lamp{400, {"y"}}));
    w.wait_for(client.async_trigger("c", lamp{-4, {}}));
    BOOST_TEST(w.found(client, {last == "y"}) == (names{"a", "b"}));
    BOOST_TEST(w.found(client, {last == std::string{"x"}}) == names{});
    BOOST_TEST(w.found(client, {value == 40}) == names{"a"});
    BOOST_TEST(w.found(client, {value < 40}) == names{"c"});
    BOOST_TEST(w.found(client, {value >= 40, value <= std::int64_t{400}}) == (names{"a", "b"}));
    BOOST_TEST(w.found(client, {value > 40}) == names{"b"});
    BOOST_TEST(w.found(client, {lit == true}) == names{"b"});
    BOOST_TEST(w.found(client, {color == red}) == (names{"a", "c"}));
    BOOST_TEST(w.found(client, {{"color", "red"}}) == (names{"a", "c"}));
    BOOST_TEST(w.found(client, {since > pawl::time_point{40s}}) == names{"b"});
    BOOST_TEST(w.found(client, {since == std::chrono::sys_seconds{40s}, last == "y"}) ==
               names{"a"});
}

BOOST_AUTO_TEST_CASE(attributes_follow_each_commit_that_saves_the_object)
{
    attribute_world w;
    auto b = searchable();
    bool fails = true;
    b.step<red>([&](lamp_run& run) -> pawl::step<yellow> {
        change(run.object(), 1, "checkpoint");
        co_await run.checkpoint();
        BOOST_TEST(w.stored({"last", "checkpoint"}) == 1u);
        change(run.object(), 2, "once");
        co_await run.once("effect", [] {});
        if (run.attempt() == 1) // later attempts have its result, and save nothing
            BOOST_TEST(w.stored({"last", "once"}) == 1u);
        change(run.object(), 3, "step");
        if (fails)
            throw std::runtime_error("not yet");
        co_return pawl::to<yellow>;
    });
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{0, {"new"}}, {.start = red}));
    w.settle();
    BOOST_TEST(w.found(client, {last == "once", value == 2}) == names{"a"});
    BOOST_TEST(w.found(client, {last == "step"}) == names{});
    fails = false;
    w.wait_for(client.async_await(run, {yellow}));
    BOOST_TEST(w.found(client, {last == "step", value == 3}) == names{"a"});
    w.call(client, "a", "keep", 4, "clear");
    BOOST_TEST(w.found(client, {last == "step"}) == names{});
    BOOST_TEST(w.found(client, {value == 4}) == names{"a"});
}

BOOST_AUTO_TEST_CASE(values_that_have_not_changed_are_not_stored_again)
{
    const auto counted = std::make_shared<counting_store>(pawl::open_memory());
    attribute_world w;
    w.store = counted;
    auto client = w.start(searchable().build());
    w.wait_for(client.async_trigger("a", lamp{1, {"x"}}));
    BOOST_TEST(counted->values == 2u);
    w.call(client, "a", "keep", 1, "-");
    w.wait_for(client.async_pause("a", "later"));
    w.wait_for(client.async_resume("a"));
    BOOST_TEST(counted->values == 2u);
    w.call(client, "a", "keep", 2, "-");
    BOOST_TEST(counted->values == 3u);
    w.call(client, "a", "finish", 2, "y");
    BOOST_TEST(counted->values == 4u);
}

BOOST_AUTO_TEST_CASE(a_text_that_is_too_long_is_refused)
{
    attribute_world w;
    auto client = w.start(searchable().build());
    const std::string longest(pawl::max_attribute_size, 'x');
    try {
        w.wait_for(client.async_trigger("long", lamp{0, {longest + "x"}}));
        BOOST_ERROR("it was started");
    } catch (const pawl::error& refused) {
        BOOST_TEST(refused.code() == pawl::errc::too_large);
        BOOST_TEST(refused.detail() ==
                   "attribute \"last\" has 1025 bytes; it must have at most 1024");
    }
    w.wait_for(client.async_trigger("a", lamp{0, {longest}}));
    BOOST_TEST(w.found(client, {last == longest}) == names{"a"});
    BOOST_TEST(w.error_of(client.async_call("a", "keep", order_to_lamp{1, longest + "x"})) ==
               make_error_code(pawl::errc::callback_failed));
    BOOST_TEST(w.found(client, {last == longest, value == 0}) == names{"a"});
}

BOOST_AUTO_TEST_CASE(queries_that_cannot_be_answered_are_refused)
{
    attribute_world w;
    auto client = w.start(searchable().build());
    BOOST_TEST(w.refusal(client, {{"customer", "c-7"}}) ==
               "workflow \"lamps\" has no attribute \"customer\"; it has \"last\", \"value\"");
    BOOST_TEST(w.refusal(client, {{"last", 7}}) == "attribute \"last\" is text; 7 is an integer");
    BOOST_TEST(w.refusal(client, {{"value", "7"}}) ==
               "attribute \"value\" is an integer; \"7\" is text");
    BOOST_TEST(w.refusal(client, {{"value", true}}) ==
               "attribute \"value\" is an integer; true is a boolean");
    BOOST_TEST(w.refusal(client, {{"value", pawl::time_point{}}}) ==
               "attribute \"value\" is an integer; \"1970-01-01T00:00:00Z\" is a time");
    BOOST_TEST(w.refusal(client, {{"last", "x", pawl::attribute_comparison::less}}) ==
               "attribute \"last\" is text, which has no order: it can only be compared with =");
    w.stop();
    auto bare = w.start(plain().build());
    BOOST_TEST(w.refusal(bare, {value == 1}) ==
               "workflow \"lamps\" has no attribute \"value\"; it has none");
}

BOOST_AUTO_TEST_CASE(runs_under_way_get_attributes_with_their_next_commit)
{
    attribute_world w;
    auto before = w.start(plain().build());
    w.wait_for(before.async_trigger("a", lamp{1, {"x"}}));
    w.wait_for(before.async_trigger("b", lamp{2, {"y"}}));
    w.stop();
    auto client = w.start(searchable().build());
    BOOST_TEST(w.found(client, {last == "x"}) == names{});
    w.wait_for(client.async_pause("a", "later"));
    BOOST_TEST(w.found(client, {last == "x", value == 1}) == names{"a"});
    w.call(client, "b", "keep", 3, "clear");
    BOOST_TEST(w.found(client, {value == 3}) == names{"b"});
}

BOOST_AUTO_TEST_CASE(attributes_of_a_former_program_are_removed_with_the_next_commit)
{
    attribute_world w;
    auto before = w.start(searchable().build());
    w.wait_for(before.async_trigger("a", lamp{1, {"x"}}));
    w.wait_for(before.async_trigger("b", lamp{1, {"x"}}));
    w.stop();
    auto b = plain();
    b.attribute(last, last_of);
    auto client = w.start(std::move(b).build());
    BOOST_TEST(w.stored({"value", 1}) == 2u);
    w.wait_for(client.async_pause("a", "later"));
    BOOST_TEST(w.stored({"value", 1}) == 1u);
    BOOST_TEST(w.found(client, {last == "x"}) == (names{"a", "b"}));
    w.stop();
    auto bare = w.start(plain().build());
    w.call(bare, "b", "finish", 1, "z");
    BOOST_TEST(w.stored({"value", 1}) == 0u);
    BOOST_TEST(w.stored({"last", "x"}) == 1u);
    BOOST_TEST(w.stored({"last", "z"}) == 0u);
}

BOOST_AUTO_TEST_CASE(an_attribute_of_another_type_is_stored_again)
{
    attribute_world w;
    auto before = w.start(searchable().build());
    w.wait_for(before.async_trigger("a", lamp{7, {}}));
    w.stop();
    auto b = plain();
    b.attribute("value", [](const lamp& object) { return std::to_string(object.value); });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_pause("a", "later"));
    BOOST_TEST(w.found(client, {{"value", "7"}}) == names{"a"});
    BOOST_TEST(w.stored({"value", 7}) == 0u);
}

BOOST_AUTO_TEST_CASE(missing_attributes_are_filled_in_page_by_page)
{
    const auto counted = std::make_shared<counting_store>(pawl::open_memory());
    attribute_world w;
    w.store = counted;
    auto before = w.start(plain().build());
    for (const char* name : {"a", "b", "c", "d", "e"})
        w.wait_for(before.async_trigger(name, lamp{1, {"x"}}));
    w.call(before, "b", "finish", 2, "y");
    w.call(before, "c", "finish", 2, "y");
    w.wait_for(before.async_delete_data("c", "asked"));
    w.settle();
    const auto version = w.wait_for(before.async_find_latest("a"))->version;
    w.stop();

    auto client = w.start(searchable().build());
    w.wait_for(client.async_pause("d", "later")); // stores its attributes itself
    const auto filled = w.fill(client, 2);
    BOOST_TEST(filled.runs == 5u);
    BOOST_TEST(filled.updated == 3u);
    BOOST_TEST(filled.failed == 0u);
    BOOST_TEST(w.found(client, {last == "x"}) == (names{"a", "d", "e"}));
    BOOST_TEST(w.found(client, {last == "y", value == 2}) == names{"b"});
    BOOST_TEST(w.wait_for(client.async_find_latest("a"))->version == version);

    w.fill(client);
    BOOST_TEST(w.found(client, {last == "x"}) == (names{"a", "d", "e"}));
    w.call(client, "a", "keep", 3, "clear");
    BOOST_TEST(w.found(client, {last == "x"}) == (names{"d", "e"}));
    counted->updates = 0;
    w.fill(client);
    BOOST_TEST(counted->updates == 2u); // b and e, which have not committed since
    w.stop();

    auto bare = w.start(plain().build());
    BOOST_TEST(w.fill(bare).updated == 2u); // a and d: the others' commits had none
    BOOST_TEST(w.stored({"last", "x"}) == 1u);
    BOOST_TEST(w.error_of(bare.async_fill_attributes({}, 0)) ==
               make_error_code(pawl::errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(filling_in_disturbs_no_handler)
{
    attribute_world w;
    auto before = w.start(plain().build());
    const auto run = w.wait_for(before.async_trigger("a", lamp{1, {"x"}}));
    w.stop();
    auto b = plain();
    b.attribute(value, &lamp::value).attribute(last, last_of);
    int calls = 0;
    b.timeout<yellow>(1h, [](lamp_run&) -> pawl::step<> { co_return pawl::skip(); });
    b.callback<yellow>("slow", [&](lamp_run& slow) -> pawl::step<green> {
        ++calls;
        co_await wait_on(*w.clock, 1min);
        slow.object().trail.clear();
        co_return pawl::to<green>;
    });
    b.callback<green>("end", finish);
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_send("a", "slow", pawl::bytes{}));
    w.settle();
    BOOST_TEST(calls == 1);
    BOOST_TEST(w.fill(client).updated == 1u);
    BOOST_TEST(w.found(client, {last == "x"}) == names{"a"});
    w.advance(1min);
    BOOST_TEST(w.state_of(client, run).status == green);
    BOOST_TEST(calls == 1);
    // The run's own commit knew nothing of the values that were filled in.
    BOOST_TEST(w.found(client, {last == "x"}) == names{});
    BOOST_TEST(w.found(client, {value == 1}) == names{"a"});
}

BOOST_AUTO_TEST_CASE(filling_in_replaces_no_newer_value)
{
    const auto counted = std::make_shared<counting_store>(pawl::open_memory());
    attribute_world w;
    w.store = counted;
    auto before = w.start(plain().build());
    const auto run = w.wait_for(before.async_trigger("a", lamp{1, {"x"}}));
    w.stop();
    auto client = w.start(searchable().build());
    counted->before_update = [&](pawl::record_store& inner) {
        // A commit between the reading of the run and the update.
        auto next = *inner.try_find(run);
        ++next.version;
        next.object = R"({"value":2,"trail":["y"]})";
        next.attributes = {{"last", "y"}, {"value", 2}};
        pawl::transition step;
        step.next = next;
        step.expected_version = next.version - 1;
        step.attributes = pawl::core::changes_between({}, next.attributes);
        BOOST_TEST(inner.try_apply(step)->status == pawl::apply_status::accepted);
    };
    const auto filled = w.fill(client);
    BOOST_TEST(!counted->before_update);
    BOOST_TEST(filled.updated == 0u);
    BOOST_TEST(filled.failed == 0u);
    BOOST_TEST(w.found(client, {last == "x"}) == names{});
    BOOST_TEST(w.found(client, {last == "y"}) == names{"a"});
}

BOOST_AUTO_TEST_CASE(a_run_whose_attributes_cannot_be_computed_is_passed_over)
{
    attribute_world w;
    auto before = w.start(plain().build());
    w.wait_for(before.async_trigger("long", lamp{1, {std::string(2000, 'x')}}));
    w.wait_for(before.async_trigger("a", lamp{1, {"x"}}));
    w.stop();
    auto client = w.start(searchable().build());
    const auto filled = w.fill(client);
    BOOST_TEST(filled.updated == 1u);
    BOOST_TEST(filled.failed == 1u);
    w.wait_for(client.async_pause("long", "its attribute does not stop a command"));
    const auto told = std::ranges::count_if(w.log, [](const std::string& line) {
        return line.find("attribute \"last\" has 2000 bytes") != std::string::npos;
    });
    BOOST_TEST(told == 2);
    BOOST_TEST(w.found(client, {value == 1}) == names{"a"});
}

BOOST_AUTO_TEST_CASE(deleted_data_leaves_no_attributes)
{
    attribute_world w;
    auto before = w.start(plain().build());
    w.wait_for(before.async_trigger("filled", lamp{1, {"x"}}));
    w.call(before, "filled", "finish", 1, "x");
    w.stop();
    w.clock->advance(1s);
    auto b = searchable();
    b.scrub([](lamp& object) { object.trail = {"gone"}; });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("a", lamp{1, {"x"}}));
    w.call(client, "a", "finish", 1, "x");
    w.fill(client);
    BOOST_TEST(w.found(client, {last == "x"}) == (names{"filled", "a"}));
    for (const char* name : {"a", "filled"}) {
        w.wait_for(client.async_delete_data(name, "asked"));
        w.settle();
        BOOST_TEST(w.wait_for(client.async_find_latest(name))->state ==
                   pawl::run_state::data_deleted);
    }
    BOOST_TEST(w.fill(client).updated == 0u);
    BOOST_TEST(w.stored({"value", 1}) == 0u);
    BOOST_TEST(w.stored({"last", "x"}) == 0u);
    BOOST_TEST(w.stored({"last", "gone"}) == 0u);
}

BOOST_AUTO_TEST_CASE(attributes_are_those_of_the_object_as_it_is_stored)
{
    attribute_world w;
    auto b = searchable();
    // The former version cannot hold more than 99.
    const auto cap = [](boost::json::value& document) {
        auto& number = document.as_object()["value"];
        number = std::min<std::int64_t>(number.as_int64(), 99);
    };
    b.upgrade(1, [](boost::json::value&) {}, cap).write_version(1);
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("a", lamp{500, {}}));
    BOOST_TEST(w.found(client, {value == 99}) == names{"a"});
    w.call(client, "a", "keep", 98, "-");
    BOOST_TEST(w.found(client, {value == 98}) == names{"a"});
    w.call(client, "a", "finish", 700, "-");
    BOOST_TEST(w.found(client, {value == 99}) == names{"a"});
}

BOOST_AUTO_TEST_SUITE_END()
