// The ready server: where it may listen, and that it answers over a socket.
#include "pawl/admin/server.hpp"

#include "pawl/http/client.hpp"
#include "support.hpp"
#include "temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(admin_server)

using namespace admin_test;

namespace {

asio::awaitable<int> ask(std::string url, std::string target)
{
    http::client client(co_await asio::this_coro::executor, std::move(url));
    http::client_request request{.target = std::move(target)};
    const auto got = co_await client.request(std::move(request));
    co_return got.status;
}

asio::awaitable<int> ask_server(pawl::admin::server& server, std::string target)
{
    server.start();
    const auto status = co_await ask(server.url(), std::move(target));
    co_await server.async_stop(0s);
    co_return status;
}

std::string refusal_of(std::string address, std::shared_ptr<pawl::admin::authenticator> by)
{
    pawl::testing::harness<order, stage> bench(orders());
    pawl::admin::api_options options;
    options.authenticator = std::move(by);
    try {
        const pawl::admin::server refused(bench.context().get_executor(),
                                          bench.engine().operations(), std::move(options),
                                          {.address = std::move(address)});
    } catch (const pawl::definition_error& error) {
        return error.what();
    }
    return "";
}

} // namespace

BOOST_AUTO_TEST_CASE(an_exposed_address_needs_an_authenticator_of_remote_users)
{
    for (const char* address : {"0.0.0.0", "::"}) {
        const auto text = refusal_of(address, pawl::admin::loopback_only());
        BOOST_TEST(text.find("other machines can reach the address " + std::string{address}) == 0u,
                   text);
        BOOST_TEST(refusal_of(address, std::make_shared<fixed_authenticator>(role::viewer)) == "");
    }
    BOOST_TEST(refusal_of("127.0.0.1", pawl::admin::loopback_only()) == "");
    BOOST_TEST(refusal_of("127.0.0.1", nullptr).find("api_options::authenticator") == 0u);
}

BOOST_AUTO_TEST_CASE(it_answers_below_its_prefix)
{
    pawl::testing::harness<order, stage> bench(orders(), {.real_time_timeout = 30s});
    pawl::admin::api_options options;
    options.authenticator = pawl::admin::loopback_only();
    options.prefix = "/admin";
    pawl::admin::server server(bench.context().get_executor(), bench.engine().operations(),
                               std::move(options));
    BOOST_TEST(server.url().ends_with("/admin"), server.url());
    BOOST_TEST(bench.wait_for(ask_server(server, "/api/v1/overview")) == 200);
}

BOOST_AUTO_TEST_CASE(it_answers_on_a_unix_socket)
{
    const temporary_folder folder;
    pawl::testing::harness<order, stage> bench(orders(), {.real_time_timeout = 30s});
    pawl::admin::api_options options;
    options.authenticator = pawl::admin::loopback_only();
    pawl::admin::server server(bench.context().get_executor(), bench.engine().operations(),
                               std::move(options), {.socket_path = folder.file("admin.sock")});
    BOOST_TEST(server.url() == "unix:" + folder.file("admin.sock"));
    BOOST_TEST(bench.wait_for(ask_server(server, "/api/v1/overview")) == 200);
}

BOOST_AUTO_TEST_SUITE_END()
