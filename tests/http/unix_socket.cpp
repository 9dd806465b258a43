// Servers and clients on Unix sockets.
#include "support.hpp"

#include "pawl/error.hpp"
#include "pawl/http/client.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>
#include <fstream>
#include <optional>

BOOST_AUTO_TEST_SUITE(http_unix_socket)

using namespace http_test;
namespace http = pawl::http;

namespace {

asio::awaitable<http::response> name_peer(const http::request& request)
{
    co_return http::response{.body = std::string{request.header("host")} + " " + request.peer};
}

std::vector<http::route> routes()
{
    return {{.method = "GET", .pattern = "/peer", .answer = name_peer}};
}

asio::awaitable<std::string> ask(std::string url)
{
    http::client client(co_await asio::this_coro::executor, std::move(url));
    http::client_request request{.target = "/peer"};
    const auto got = co_await client.request(std::move(request));
    co_return got.body;
}

asio::awaitable<std::string> failure_of(std::string url)
{
    try {
        co_await ask(std::move(url));
    } catch (const http::client_error& error) {
        BOOST_TEST((error.kind() == http::failure::not_sent));
        co_return error.what();
    }
    co_return "";
}

asio::awaitable<void> exchange(http::server& server, std::string path)
{
    BOOST_TEST(server.port() == 0);
    BOOST_TEST(server.url() == "unix:" + path);
    const auto body = co_await ask(server.url());
    BOOST_TEST(body == "localhost unix");
    const auto mode = std::filesystem::status(path).permissions();
    using std::filesystem::perms;
    BOOST_TEST((mode == (perms::owner_read | perms::owner_write)));
}

asio::awaitable<void> connect_to_nobody(std::string path)
{
    const auto missing = co_await failure_of("unix:" + path);
    BOOST_TEST(missing.find("GET unix:" + path + " /peer: cannot connect") == 0u, missing);
    const auto long_path = co_await failure_of("unix:/" + std::string(200, 'x'));
    BOOST_TEST(long_path.find("name too long") != std::string::npos, long_path);
}

std::string refusal_of(const std::string& path)
{
    asio::io_context io;
    try {
        const http::server refused(io.get_executor(), routes(), {.socket_path = path});
    } catch (const boost::system::system_error& error) {
        return error.what();
    }
    return "";
}

} // namespace

BOOST_AUTO_TEST_CASE(a_client_reaches_a_server_by_its_path)
{
    const temporary_folder folder;
    const auto path = folder.file("pawl.sock");
    serve(routes(), {.socket_path = path},
          [&](http::server& server) { return exchange(server, path); });
    BOOST_TEST(!std::filesystem::exists(path));
}

BOOST_AUTO_TEST_CASE(a_client_says_that_nobody_listens)
{
    const temporary_folder folder;
    asio::io_context io;
    run(io, connect_to_nobody(folder.file("pawl.sock")));
}

BOOST_AUTO_TEST_CASE(the_socket_of_an_ended_process_is_replaced)
{
    const temporary_folder folder;
    const auto path = folder.file("pawl.sock");
    {
        asio::io_context io;
        const asio::local::stream_protocol::acceptor killed(
            io, asio::local::stream_protocol::endpoint(path));
    }
    BOOST_TEST(std::filesystem::exists(path));
    serve(routes(), {.socket_path = path},
          [&](http::server& server) { return exchange(server, path); });
}

BOOST_AUTO_TEST_CASE(a_path_in_use_is_refused)
{
    const temporary_folder folder;
    const auto path = folder.file("pawl.sock");
    asio::io_context io;
    const asio::local::stream_protocol::acceptor other(
        io, asio::local::stream_protocol::endpoint(path));
    BOOST_TEST(refusal_of(path).find("cannot listen on the Unix socket '" + path + "'") == 0u,
               refusal_of(path));

    const auto file = folder.file("data");
    std::ofstream(file) << "precious";
    BOOST_TEST(refusal_of(file).find(file) != std::string::npos, refusal_of(file));
    BOOST_TEST(std::filesystem::file_size(file) == 8u);
    BOOST_TEST(refusal_of("/" + std::string(200, 'x')).find("name too long") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_url_needs_an_absolute_path)
{
    asio::io_context io;
    BOOST_CHECK_THROW(http::client(io.get_executor(), "unix:pawl.sock"), pawl::definition_error);
    BOOST_CHECK_THROW(http::client(io.get_executor(), "unix:"), pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
