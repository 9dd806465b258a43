// What a failed operation tells its caller besides the code.
#include "engine/support.hpp"
#include "pawl/schedule.hpp"
#include "pawl/with_detail.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_future.hpp>

#include <array>
#include <future>
#include <utility>

BOOST_AUTO_TEST_SUITE(error_details)

namespace {

using namespace engine_test;
using enum light;

pawl::workflow<lamp, light> waiting()
{
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run&) -> pawl::step<green> { co_return pawl::skip(); });
    b.callback<red>("press", [](lamp_run&, int value) -> pawl::step<off> {
         if (value < 0)
             throw std::runtime_error("the switch is stuck");
         co_return pawl::to<off>;
     }).retry({.max_attempts = 1});
    b.step<green>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    return std::move(b).build();
}

/// The error that an operation throws under use_awaitable.
template <class T>
std::pair<pawl::errc, std::string> thrown_by(world& w, asio::awaitable<T> operation)
{
    try {
        w.wait_for(std::move(operation));
    } catch (const pawl::error& e) {
        return {static_cast<pawl::errc>(e.code().value()), e.detail()};
    }
    BOOST_FAIL("nothing was thrown, or no pawl::error");
    return {};
}

void check(const std::pair<pawl::errc, std::string>& thrown, pawl::errc code,
           const std::vector<std::string>& words)
{
    BOOST_TEST((thrown.first == code), make_error_code(thrown.first).message());
    for (const auto& word : words)
        BOOST_TEST((thrown.second.find(word) != std::string::npos),
                   "\"" << word << "\" is missing in: " << thrown.second);
}

BOOST_AUTO_TEST_CASE(an_exception_names_the_argument_and_the_limit)
{
    world w;
    w.options.max_object_size = 1000;
    auto lamps = w.start(waiting());
    using pawl::errc;
    const auto run = w.wait_for(lamps.async_trigger("desk", lamp{}));

    check(thrown_by(w, lamps.async_trigger("desk", lamp{})), errc::already_running,
          {"desk", "lamps", to_string(run)});
    check(thrown_by(w, lamps.async_trigger("", lamp{})), errc::invalid_argument,
          {"foreign id", "0 bytes"});
    check(
        thrown_by(w, lamps.async_trigger("a", lamp{}, {.idempotency_key = std::string(1025, 'k')})),
        errc::invalid_argument, {"idempotency key", "1025", "1024"});
    check(thrown_by(w, lamps.async_trigger("a", lamp{0, {std::string(2000, 'x')}})),
          errc::too_large, {"object", "max_object_size is 1000"});
    check(thrown_by(w, lamps.async_trigger("a", lamp{}, {.start = off})), errc::invalid_status,
          {"lamps", "off (4)"});
    check(thrown_by(w, lamps.async_call(run, "press", std::string(2000, 'x'))), errc::too_large,
          {"payload", "max_object_size is 1000"});
    check(thrown_by(w, lamps.async_call(run, "pull", 1)), errc::no_such_callback,
          {"lamps", "pull"});
    check(thrown_by(w, lamps.async_send("floor", "press", 1)), errc::not_found,
          {"lamps", "foreign id", "floor"});
    check(thrown_by(w, lamps.async_pause(pawl::run_id{}, "test")), errc::not_found,
          {"lamps", to_string(pawl::run_id{})});
    check(thrown_by(w, lamps.async_pause(run, {"test", std::string(1025, 'w')})),
          errc::invalid_argument, {"requester", "1025"});
    check(thrown_by(w, lamps.async_await(run, {})), errc::invalid_argument,
          {"statuses", "async_await_finished"});
    check(thrown_by(w, lamps.async_list({.limit = 0})), errc::invalid_argument,
          {"record_query::limit is 0", "1000"});
    check(thrown_by(w, lamps.async_history(run, 0, 1001)), errc::invalid_argument, {"1001"});
    check(thrown_by(w, lamps.async_call(run, "press", -1)), errc::callback_failed,
          {"the switch is stuck"});

    w.wait_for(lamps.async_call(run, "press", 1));
    check(thrown_by(w, lamps.async_send(run, "press", 1)), errc::already_finished,
          {to_string(run)});
    check(thrown_by(w, lamps.async_trigger("desk", lamp{},
                                           {.id_reuse = pawl::id_reuse_policy::reject_duplicate})),
          errc::already_ran, {"desk", to_string(run)});
    check(thrown_by(w, lamps.async_await(run, {green})), errc::finished_in_other_status,
          {to_string(run), "status 4"});

    pawl::schedules<lamp, light> schedules{lamps};
    check(thrown_by(w, schedules.async_set("daily", lamp{}, {.when = "at noon"})),
          errc::invalid_argument, {"at noon"});
    check(thrown_by(w, schedules.async_set("daily", lamp{}, {.when = "@daily", .start = off})),
          errc::invalid_status, {"off (4)"});
    check(thrown_by(w, schedules.async_pause("weekly")), errc::not_found, {"lamps", "weekly"});
    w.wait_for(schedules.async_set("daily", lamp{}, {.when = "@daily"}));
    check(thrown_by(w, schedules.async_resume("daily")), errc::not_paused, {"daily"});
}

BOOST_AUTO_TEST_CASE(other_tokens_get_the_code_and_the_detail_on_request)
{
    world w;
    auto lamps = w.start(waiting());
    const auto wanted = make_error_code(pawl::errc::invalid_argument);

    std::string detail = "old";
    pawl::error_code code;
    lamps.async_trigger("", lamp{}, {},
                        pawl::with_detail(detail, [&](pawl::error_code e, auto) { code = e; }));
    w.settle();
    BOOST_TEST(code == wanted);
    BOOST_TEST(detail.find("foreign id") != std::string::npos);

    lamps.async_trigger("desk", lamp{}, {},
                        pawl::with_detail(detail, [&](pawl::error_code e, auto) { code = e; }));
    w.settle();
    BOOST_TEST(!code);
    BOOST_TEST(detail == "");

    const auto answered = [&]() -> asio::awaitable<pawl::error_code> {
        const auto [result, run] = co_await lamps.async_trigger(
            "", lamp{}, {}, pawl::with_detail(detail, asio::as_tuple(asio::use_awaitable)));
        co_return result;
    };
    BOOST_TEST(w.wait_for(answered()) == wanted);
    BOOST_TEST(detail.find("foreign id") != std::string::npos);

    const auto redirected = [&]() -> asio::awaitable<pawl::error_code> {
        pawl::error_code result;
        co_await lamps.async_trigger("", lamp{}, {},
                                     asio::redirect_error(asio::use_awaitable, result));
        co_return result;
    };
    BOOST_TEST(w.wait_for(redirected()) == wanted);
}

BOOST_AUTO_TEST_CASE(a_future_and_a_bound_token_throw_the_detail)
{
    world w;
    auto lamps = w.start(waiting());
    auto future = lamps.async_trigger("", lamp{}, {}, asio::use_future);
    w.settle();
    BOOST_CHECK_EXCEPTION(future.get(), pawl::error, [](const pawl::error& e) {
        return e.code() == pawl::errc::invalid_argument &&
               e.detail().find("foreign id") != std::string::npos;
    });
    const auto bound = [&]() -> asio::awaitable<pawl::run_id> {
        const auto run = co_await lamps.async_trigger(
            "", lamp{}, {}, asio::bind_executor(w.io.get_executor(), asio::use_awaitable));
        co_return run;
    };
    check(thrown_by(w, bound()), pawl::errc::invalid_argument, {"foreign id"});
}

BOOST_AUTO_TEST_CASE(an_error_without_a_detail_has_the_sentence_of_its_code_alone)
{
    world w;
    auto lamps = w.start(waiting());
    w.stop();
    std::string text;
    try {
        w.wait_for(lamps.async_trigger("desk", lamp{}));
    } catch (const pawl::error& e) {
        BOOST_TEST(e.detail() == "");
        text = e.what();
    }
    BOOST_TEST(text == make_error_code(pawl::errc::not_running).what());
}

} // namespace

BOOST_AUTO_TEST_SUITE_END()
