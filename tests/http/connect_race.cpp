// Connecting to one of several addresses: one that does not answer holds nothing up.
#include "http/connect_race.hpp"

#include "support.hpp"

#include <deque>

#include <sys/socket.h>

using namespace http_test;
using pawl::http::detail::alternate_families;
using pawl::http::detail::connect_race;

BOOST_AUTO_TEST_SUITE(http_connect_race)

namespace {

const tcp::endpoint any_port(asio::ip::address_v4::loopback(), 0);

/// An address that takes no more connections, as one behind a firewall: its queue is full.
class silent_address {
public:
    explicit silent_address(asio::io_context& io) : acceptor_(io)
    {
        acceptor_.open(tcp::v4());
        acceptor_.bind(any_port);
        acceptor_.listen(0);
        for (int i = 0; i < 4; ++i) {
            auto& each = queued_.emplace_back(io, tcp::v4());
            each.non_blocking(true);
            const auto here = acceptor_.local_endpoint();
            ::connect(each.native_handle(), here.data(), static_cast<socklen_t>(here.size()));
        }
    }

    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

private:
    tcp::acceptor acceptor_;
    std::deque<tcp::socket> queued_;
};

tcp::endpoint refusing_address(asio::io_context& io)
{
    const tcp::acceptor closed(io, any_port);
    return closed.local_endpoint();
}

std::shared_ptr<connect_race> run_race(asio::io_context& io, std::vector<tcp::endpoint> endpoints,
                                       pawl::duration delay)
{
    auto race = std::make_shared<connect_race>(io.get_executor(), std::move(endpoints), delay);
    bool told = false;
    race->start([&told] { told = true; });
    io.restart();
    io.run_for(120s);
    BOOST_TEST_REQUIRE(told, "the test hangs");
    BOOST_TEST(race->done());
    return race;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_silent_address_does_not_hold_up_the_next)
{
    asio::io_context io;
    const silent_address silent(io);
    const tcp::acceptor good(io, any_port);
    const auto race = run_race(io, {silent.endpoint(), good.local_endpoint()}, 1ms);
    BOOST_TEST(!race->error());
    BOOST_TEST(race->winner() == good.local_endpoint());
    BOOST_TEST(race->take_socket().remote_endpoint() == good.local_endpoint());
}

BOOST_AUTO_TEST_CASE(a_refused_attempt_is_followed_at_once)
{
    asio::io_context io;
    const tcp::acceptor good(io, any_port);
    const auto race = run_race(io, {refusing_address(io), good.local_endpoint()}, 24h);
    BOOST_TEST(!race->error());
    BOOST_TEST(race->winner() == good.local_endpoint());
}

BOOST_AUTO_TEST_CASE(the_first_that_answers_wins)
{
    asio::io_context io;
    const tcp::acceptor first(io, any_port);
    const tcp::acceptor second(io, any_port);
    const auto race = run_race(io, {first.local_endpoint(), second.local_endpoint()}, 24h);
    BOOST_TEST(race->winner() == first.local_endpoint());
}

BOOST_AUTO_TEST_CASE(all_that_fail_are_an_error)
{
    asio::io_context io;
    const auto race = run_race(io, {refusing_address(io), refusing_address(io)}, 1ms);
    BOOST_TEST((race->error() == asio::error::connection_refused));
    const auto none = run_race(io, {}, 1ms);
    BOOST_TEST(static_cast<bool>(none->error()));
}

BOOST_AUTO_TEST_CASE(a_stopped_race_tells_nobody)
{
    asio::io_context io;
    const silent_address silent(io);
    const auto race = std::make_shared<connect_race>(
        io.get_executor(), std::vector{silent.endpoint(), silent.endpoint()}, 24h);
    bool told = false;
    race->start([&told] { told = true; });
    race->stop();
    io.run_for(120s);
    BOOST_TEST(io.stopped());
    BOOST_TEST(!told);
}

BOOST_AUTO_TEST_CASE(families_alternate)
{
    const auto at = [](const char* address) {
        return tcp::endpoint(asio::ip::make_address(address), 80);
    };
    const std::vector<tcp::endpoint> expected{at("::1"), at("1.1.1.1"), at("::2"), at("2.2.2.2"),
                                              at("::3")};
    BOOST_TEST(alternate_families(
                   {at("::1"), at("::2"), at("::3"), at("1.1.1.1"), at("2.2.2.2")}) == expected,
               boost::test_tools::per_element());
    BOOST_TEST(alternate_families({}).empty());
}

BOOST_AUTO_TEST_SUITE_END()
