// The waits of clients: told once, whenever they fail, and no log is read for nobody.
#include "engine/waits/watchers.hpp"

#include "engine/support.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(watching)

using namespace engine_test;
using namespace pawl::engine_detail;

namespace {

pawl::run_id run_number(std::uint8_t number)
{
    pawl::run_id id;
    id.bytes[15] = number;
    return id;
}

struct ending {
    int times = 0;
    pawl::error_code code;
};

std::shared_ptr<message_watcher> message_of(asio::io_context& io, pawl::run_id run, ending& end)
{
    const auto waiting = std::make_shared<message_watcher>(
        io.get_executor(), [&end](const pawl::detail::failure& result, const pawl::settlement&) {
            ++end.times;
            end.code = result.code;
        });
    waiting->wait_for(run, 1);
    return waiting;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_wait_that_fails_before_it_is_added_completes_then)
{
    asio::io_context io;
    const auto all = std::make_shared<watchers>();
    ending end;
    const auto waiting = message_of(io, run_number(1), end);
    all->fail(waiting, pawl::error_code{asio::error::operation_aborted});
    io.poll();
    BOOST_TEST(end.times == 0);
    all->add(waiting);
    io.restart();
    io.poll();
    BOOST_TEST(end.times == 1);
    BOOST_TEST(end.code == asio::error::operation_aborted);
    BOOST_TEST(all->find(run_number(1)).empty());
}

BOOST_AUTO_TEST_CASE(a_log_is_followed_for_as_long_as_somebody_waits_in_it)
{
    asio::io_context io;
    const auto all = std::make_shared<watchers>();
    ending ends[2];
    const auto first = message_of(io, run_number(1), ends[0]);
    const auto second = message_of(io, run_number(2), ends[1]);
    for (const auto& each : {first, second}) {
        all->add(each);
        all->follow_log(*each, 7, 40);
    }
    all->note_log_read(7, 50);
    BOOST_REQUIRE(all->followed_logs().size() == 1u);
    BOOST_TEST(all->followed_logs().at(7) == 50u);
    const pawl::settlement handled{1, pawl::message_outcome::handled, {}};
    all->offer_read(*first, handled);
    BOOST_TEST(all->followed_logs().size() == 1u);
    all->fail(second, pawl::error_code{asio::error::operation_aborted});
    BOOST_TEST(all->followed_logs().empty());
    io.poll();
    BOOST_TEST(ends[0].times == 1);
    BOOST_TEST(ends[1].times == 1);
}

BOOST_AUTO_TEST_CASE(another_workflows_run_is_one_that_is_not_there)
{
    asio::io_context io;
    pawl::error_code told;
    status_watcher waiting{io.get_executor(), "orders", run_number(1), std::nullopt,
                           [&](const pawl::detail::failure& result, const pawl::record&) {
                               told = result.code;
                           }};
    pawl::record run;
    run.id = run_number(1);
    run.workflow = "invoices";
    BOOST_TEST(waiting.offer_record(run));
    io.poll();
    BOOST_TEST(told == pawl::errc::not_found);
}

BOOST_AUTO_TEST_SUITE_END()
