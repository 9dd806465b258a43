// What a handler sees of its run, and the promises of once(): an effect is made at least once,
// recorded once, together with the object, and read back instead of being made again.
#include "pawl/run.hpp"
#include "api/support.hpp"

#include <boost/describe.hpp>

#include <memory>
#include <stdexcept>

BOOST_AUTO_TEST_SUITE(runs)

using namespace api_test;
using boost::asio::awaitable;

namespace {

enum class phase { open = 2, paid = 3 };

struct order {
    std::string note;
};
BOOST_DESCRIBE_STRUCT(order, (), (note))

struct receipt {
    std::string number;
    std::string not_described;
};
BOOST_DESCRIBE_STRUCT(receipt, (), (number))

struct fixture {
    fixture()
    {
        context.state.id = *pawl::parse_run_id("018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d");
        context.state.foreign_id = "order-001";
        context.state.workflow = "orders";
        context.state.status = 2;
        context.state.visit = 4;
        context.state.attempt = 1;
    }

    order object;
    fake_context context;
    pawl::run<order> run{object, context};
    int calls = 0;
};

bool is(const pawl::error& failure, pawl::errc code)
{
    return failure.code() == code;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(run_api, fixture)

BOOST_AUTO_TEST_CASE(shows_the_record)
{
    context.time = pawl::time_point{std::chrono::hours{5}};
    BOOST_TEST(to_string(run.id()) == "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d");
    BOOST_TEST(run.foreign_id() == "order-001");
    BOOST_TEST(run.workflow() == "orders");
    BOOST_TEST((run.status<phase>() == phase::open));
    BOOST_TEST(run.attempt() == 2);
    BOOST_TEST(run.visit() == 4u);
    BOOST_TEST((run.now() == context.time));
    run.log(pawl::log_level::info, "hello");
    BOOST_TEST(context.lines == std::vector<std::string>{"hello"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_idempotency_key_names_run_visit_and_effect)
{
    BOOST_TEST(run.idempotency_key("charge") == "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d/2.4/charge");
    const auto before = run.idempotency_key("charge");
    context.state.attempt = 7;
    BOOST_TEST(run.idempotency_key("charge") == before);
    context.state.visit = 5;
    BOOST_TEST(run.idempotency_key("charge") != before);
}

BOOST_AUTO_TEST_CASE(once_calls_records_with_the_object_and_then_remembers)
{
    const auto charge = [this] {
        object.note = "charged";
        return ++calls;
    };
    BOOST_TEST(await(run.once("charge", charge)) == 1);
    BOOST_TEST(context.state.version == 1u);
    BOOST_TEST(context.state.object == R"({"note":"charged"})");
    BOOST_REQUIRE_EQUAL(context.state.effects.size(), 1u);
    BOOST_TEST((context.state.effects[0] == pawl::effect{"charge", "1", false}));

    BOOST_TEST(await(run.once("charge", charge)) == 1);
    BOOST_TEST(calls == 1);
    BOOST_TEST(context.state.version == 1u);
    BOOST_TEST(await(run.once("another", charge)) == 2);
}

BOOST_AUTO_TEST_CASE(once_takes_coroutines_also_lambdas_with_captures)
{
    const std::string text(64, 'x');
    BOOST_TEST(await(run.once("a", [text]() -> awaitable<std::string> { co_return text; })) ==
               text);
    await(run.once("b", [this]() -> awaitable<void> {
        ++calls;
        co_return;
    }));
    await(run.once("b", [this] { ++calls; }));
    BOOST_TEST(calls == 1);
    BOOST_TEST(context.state.effects[1].value == "");
}

BOOST_AUTO_TEST_CASE(once_takes_functions_that_cannot_be_copied)
{
    auto owned = std::make_unique<int>(7);
    BOOST_TEST(await(run.once("a", [owned = std::move(owned)] { return *owned; })) == 7);
}

BOOST_AUTO_TEST_CASE(an_effect_that_fails_is_not_recorded)
{
    const auto fail = [this]() -> int {
        ++calls;
        throw std::runtime_error{"declined"};
    };
    BOOST_CHECK_THROW(await(run.once("charge", fail)), std::runtime_error);
    BOOST_CHECK_THROW(await(run.once("charge", fail)), std::runtime_error);
    BOOST_TEST(calls == 2);
    BOOST_TEST(context.state.effects.empty());
    BOOST_TEST(context.state.version == 0u);
}

BOOST_AUTO_TEST_CASE(an_effect_whose_commit_fails_is_made_again)
{
    const auto charge = [this] {
        return ++calls;
    };
    context.fail_commits = true;
    BOOST_CHECK_EXCEPTION(await(run.once("charge", charge)), pawl::error,
                          [](const auto& e) { return is(e, pawl::errc::store_unavailable); });
    context.fail_commits = false;
    BOOST_TEST(await(run.once("charge", charge)) == 2);
}

BOOST_AUTO_TEST_CASE(the_first_result_is_the_one_that_will_be_read_later)
{
    const auto first = await(run.once("r", [] { return receipt{"n-1", "lost"}; }));
    const auto later = await(run.once("r", [] { return receipt{}; }));
    BOOST_TEST(first.number == "n-1");
    BOOST_TEST(first.not_described == "");
    BOOST_TEST(later.number == "n-1");
}

BOOST_AUTO_TEST_CASE(effects_of_the_run_are_apart_from_those_of_the_visit)
{
    const auto count = [this] {
        return ++calls;
    };
    BOOST_TEST(await(run.once("a", count)) == 1);
    BOOST_TEST(await(run.once_per_run("a", count)) == 2);
    BOOST_TEST(await(run.once_per_run("a", count)) == 2);
    BOOST_TEST(await(run.once("a", count)) == 1);
    BOOST_TEST(context.state.effects[1].for_run);
}

BOOST_AUTO_TEST_CASE(a_recorded_effect_that_no_longer_fits_is_an_error)
{
    context.state.effects.push_back({"r", "\"text\"", false});
    BOOST_CHECK_EXCEPTION(await(run.once("r", [] { return 1; })), pawl::error,
                          [](const auto& e) { return is(e, pawl::errc::decode_failed); });
}

BOOST_AUTO_TEST_CASE(an_effect_needs_a_name)
{
    const auto count = [this] {
        return ++calls;
    };
    BOOST_CHECK_EXCEPTION(await(run.once("", count)), pawl::error,
                          [](const auto& e) { return is(e, pawl::errc::invalid_argument); });
    BOOST_TEST(calls == 0);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_saves_the_object)
{
    object.note = "half way";
    await(run.checkpoint());
    BOOST_TEST(context.state.object == R"({"note":"half way"})");
    object.note = "\xff";
    BOOST_CHECK_EXCEPTION(await(run.checkpoint()), pawl::error,
                          [](const auto& e) { return is(e, pawl::errc::encode_failed); });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
