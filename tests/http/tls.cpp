// Client and server over TLS: certificates that are accepted and refused, time limits, peers that
// are silent, speak something else, or leave.
#include "certificates.hpp"
#include "pawl/error.hpp"
#include "pawl/http/client.hpp"
#include "stage.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include <algorithm>
#include <fstream>

BOOST_AUTO_TEST_SUITE(http_tls)

using namespace http_test;
namespace http = pawl::http;

namespace {

struct certificates {
    temporary_folder folder;
    certificate_authority ca{folder.file("ca")};
    certificate_authority other_ca{folder.file("other")};
};

http::server_options with_certificate(const identity& shown)
{
    http::server_options options;
    options.certificate_chain_file = shown.chain_file;
    options.private_key_file = shown.key_file;
    return options;
}

http::client_options trusting(const certificate_authority& ca)
{
    http::client_options options;
    options.ca_file = ca.file();
    return options;
}

/// Tells what it was sent.
asio::awaitable<http::response> mirror(const http::request& asked)
{
    http::response out;
    out.body = asked.path + " " + std::string{asked.header("authorization")} + " " + asked.body;
    co_return out;
}

std::vector<http::route> mirror_routes()
{
    return {{.method = "GET", .pattern = "/v2/{any}", .answer = mirror},
            {.method = "POST", .pattern = "/v2/{any}", .answer = mirror}};
}

asio::awaitable<fate> request_once(std::string url, http::client_options options)
{
    http::client client(co_await asio::this_coro::executor, std::move(url), std::move(options));
    auto got = co_await ask(client, {.target = "/a"});
    co_return got;
}

asio::awaitable<void> turn()
{
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

std::string at_localhost(const http::server& server, const std::string& path = "")
{
    return "https://localhost:" + std::to_string(server.port()) + path;
}

/// A client of its own, which says what it is told to within TLS.
class tls_peer {
public:
    explicit tls_peer(asio::any_io_executor executor)
        : context_(asio::ssl::context::tls_client), stream_(executor, context_)
    {
    }

    asio::awaitable<void> connect(std::uint16_t port)
    {
        const tcp::endpoint there(asio::ip::address_v4::loopback(), port);
        co_await stream_.next_layer().async_connect(there, asio::use_awaitable);
        co_await stream_.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
    }

    asio::awaitable<void> send(std::string bytes)
    {
        co_await asio::async_write(stream_, asio::buffer(bytes), asio::use_awaitable);
    }

    /// All until the other side ends; `clean` tells whether it said so within TLS.
    asio::awaitable<std::string> rest(bool& clean)
    {
        std::string text;
        const auto result =
            co_await asio::async_read(stream_, asio::dynamic_buffer(text), asio::transfer_all(),
                                      asio::as_tuple(asio::use_awaitable));
        clean = std::get<0>(result) == asio::error::eof;
        co_return text;
    }

    void close() { stream_.next_layer().close(); }

private:
    asio::ssl::context context_;
    asio::ssl::stream<tcp::socket> stream_;
};

} // namespace

BOOST_FIXTURE_TEST_CASE(requests_share_connections, certificates)
{
    const auto options = with_certificate(ca.issue("DNS:localhost,IP:127.0.0.1"));
    std::size_t most = 0;
    serve(mirror_routes(), options, [&](http::server& server) -> asio::awaitable<void> {
        BOOST_TEST(server.url().starts_with("https://127.0.0.1:"));
        auto trust = trusting(ca);
        trust.headers = {{"Authorization", "Bearer secret"}};
        trust.max_connections = 2;
        http::client client(co_await asio::this_coro::executor, server.url() + "/v2/", trust);
        asker asks(co_await asio::this_coro::executor, client);
        const std::string large(700'000, 'x');
        std::vector<fate> fates(20);
        for (auto& each : fates)
            asks.begin(each, {.method = "POST", .target = "/a", .body = large});
        for (auto& each : fates) {
            co_await asks.wait_for(each);
            most = std::max(most, server.connections());
            BOOST_TEST(each.status == 200);
            BOOST_TEST((each.body == "/v2/a Bearer secret " + large));
        }
        const auto own =
            co_await ask(client, {.target = "/b", .headers = {{"authorization", "Basic own"}}});
        BOOST_TEST(own.body == "/v2/b Basic own ");
    });
    BOOST_TEST(most == 2u);
}

BOOST_FIXTURE_TEST_CASE(several_threads_serve, certificates)
{
    serve(
        echo_routes(), with_certificate(ca.issue("DNS:localhost")),
        [&](http::server& server) -> asio::awaitable<void> {
            http::client client(co_await asio::this_coro::executor, at_localhost(server),
                                trusting(ca));
            for (int i = 0; i < 200; ++i) {
                const auto got = co_await ask(client, {.method = "POST", .target = "/a"});
                BOOST_TEST(got.status == 200);
            }
        },
        3);
}

BOOST_FIXTURE_TEST_CASE(certificate_of_another_host_is_refused, certificates)
{
    serve(echo_routes(), with_certificate(ca.issue("DNS:pay.example,IP:127.0.0.2")),
          [&](http::server& server) -> asio::awaitable<void> {
              for (const auto& url : {at_localhost(server), server.url()}) {
                  const auto got = co_await request_once(url, trusting(ca));
                  BOOST_TEST((got.failure == http::failure::not_sent));
                  BOOST_TEST(got.text.find("GET https://") == 0u);
                  BOOST_TEST(got.text.find("certificate is not accepted") != std::string::npos,
                             got.text);
                  BOOST_TEST(got.text.find("mismatch") != std::string::npos, got.text);
              }
          });
}

BOOST_FIXTURE_TEST_CASE(expired_certificate_is_refused, certificates)
{
    serve(echo_routes(), with_certificate(ca.issue("DNS:localhost", -1)),
          [&](http::server& server) -> asio::awaitable<void> {
              const auto got = co_await request_once(at_localhost(server), trusting(ca));
              BOOST_TEST((got.failure == http::failure::not_sent));
              BOOST_TEST(got.text.find("expired") != std::string::npos, got.text);
          });
}

BOOST_FIXTURE_TEST_CASE(certificate_of_unknown_authority_is_refused, certificates)
{
    serve(echo_routes(), with_certificate(other_ca.issue("DNS:localhost")),
          [&](http::server& server) -> asio::awaitable<void> {
              for (const auto& options : {trusting(ca), http::client_options{}}) {
                  const auto got = co_await request_once(at_localhost(server), options);
                  BOOST_TEST((got.failure == http::failure::not_sent));
                  BOOST_TEST(got.text.find("certificate is not accepted") != std::string::npos,
                             got.text);
              }
          });
}

BOOST_FIXTURE_TEST_CASE(plain_and_secure_do_not_mix, certificates)
{
    serve(echo_routes(), with_certificate(ca.issue("DNS:localhost")),
          [&](http::server& server) -> asio::awaitable<void> {
              const auto got =
                  co_await request_once("http://localhost:" + std::to_string(server.port()), {});
              BOOST_TEST((got.failure == http::failure::ambiguous));
          });
    serve(echo_routes(), {}, [&](http::server& server) -> asio::awaitable<void> {
        const auto got = co_await request_once(at_localhost(server), trusting(ca));
        BOOST_TEST((got.failure == http::failure::not_sent));
        BOOST_TEST(got.text.find("TLS failed") != std::string::npos, got.text);
    });
}

BOOST_FIXTURE_TEST_CASE(silent_peers_are_given_up, certificates)
{
    auto options = with_certificate(ca.issue("DNS:localhost"));
    options.read_timeout = 50ms;
    serve(echo_routes(), options, [&](http::server& server) -> asio::awaitable<void> {
        auto silent = co_await peer::connect(server.port());
        const auto got = co_await silent.rest();
        BOOST_TEST(got == "");
        while (server.connections() > 0)
            co_await turn();
    });

    asio::io_context io;
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    auto client = trusting(ca);
    client.timeout = 50ms;
    const auto url = "https://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    run(io, [](std::string where, http::client_options with) -> asio::awaitable<void> {
        const auto got = co_await request_once(where, with);
        BOOST_TEST((got.failure == http::failure::not_sent));
        BOOST_TEST(got.text.find("it took too long") != std::string::npos, got.text);
    }(url, client));
}

BOOST_FIXTURE_TEST_CASE(late_request_is_answered_408, certificates)
{
    auto options = with_certificate(ca.issue("DNS:localhost"));
    options.read_timeout = 2s; // the handshake has to be done in it too
    serve(echo_routes(), options, [&](http::server& server) -> asio::awaitable<void> {
        tls_peer slow(co_await asio::this_coro::executor);
        co_await slow.connect(server.port());
        co_await slow.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
        bool clean = false;
        const auto got = co_await slow.rest(clean);
        BOOST_TEST(got.find("HTTP/1.1 408 ") == 0u, got);
        BOOST_TEST(clean);
    });
}

BOOST_FIXTURE_TEST_CASE(pipelined_requests_and_end_arrive, certificates)
{
    serve(echo_routes(), with_certificate(ca.issue("DNS:localhost")),
          [&](http::server& server) -> asio::awaitable<void> {
              tls_peer client(co_await asio::this_coro::executor);
              co_await client.connect(server.port());
              co_await client.send(get("/a") + get("/b", "Connection: close\r\n"));
              bool clean = false;
              const auto got = co_await client.rest(clean);
              BOOST_TEST(got.find("GET /a any=a") != std::string::npos);
              BOOST_TEST(got.find("GET /b any=b") != std::string::npos);
              BOOST_TEST(clean);
          });
}

BOOST_FIXTURE_TEST_CASE(request_of_peer_that_leaves_is_cancelled, certificates)
{
    bool entered = false;
    bool cancelled = false;
    const auto wait = [&](const http::request&) -> asio::awaitable<http::response> {
        entered = true;
        asio::steady_timer never(co_await asio::this_coro::executor,
                                 std::chrono::steady_clock::time_point::max());
        const auto ended = co_await never.async_wait(asio::as_tuple(asio::use_awaitable));
        cancelled = std::get<0>(ended) == asio::error::operation_aborted;
        co_return http::response{};
    };
    serve({{.method = "GET", .pattern = "/wait", .answer = wait}},
          with_certificate(ca.issue("DNS:localhost")),
          [&](http::server& server) -> asio::awaitable<void> {
              tls_peer leaving(co_await asio::this_coro::executor);
              co_await leaving.connect(server.port());
              co_await leaving.send(get("/wait"));
              while (!entered)
                  co_await turn();
              leaving.close();
              while (!cancelled || server.connections() > 0)
                  co_await turn();
          });
}

BOOST_FIXTURE_TEST_CASE(cut_answer_is_not_taken_for_whole, certificates)
{
    const auto shown = ca.issue("IP:127.0.0.1");
    asio::io_context io;
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    const auto url = "https://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    asio::ssl::context context(asio::ssl::context::tls_server);
    context.use_certificate_chain_file(shown.chain_file);
    context.use_private_key_file(shown.key_file, asio::ssl::context::pem);

    // An answer without a length ends with its connection, which anybody between can end.
    const auto answer_and_cut = [&](bool say_so) -> asio::awaitable<void> {
        asio::ssl::stream<tcp::socket> stream(co_await acceptor.async_accept(asio::use_awaitable),
                                              context);
        co_await stream.async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
        std::string unread;
        co_await asio::async_read_until(stream, asio::dynamic_buffer(unread), "\r\n\r\n",
                                        asio::use_awaitable);
        const std::string answer = "HTTP/1.1 200 OK\r\n\r\nhalf";
        co_await asio::async_write(stream, asio::buffer(answer), asio::use_awaitable);
        if (say_so)
            co_await stream.async_shutdown(asio::as_tuple(asio::use_awaitable));
        stream.next_layer().close();
    };
    const auto body = [&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        http::client client(executor, url, trusting(ca));
        asker asks(executor, client);
        for (const bool say_so : {true, false}) {
            fate got;
            asks.begin(got, {.method = "POST", .target = "/a"});
            co_await answer_and_cut(say_so);
            co_await asks.wait_for(got);
            BOOST_TEST(got.status == (say_so ? 200 : 0));
            BOOST_TEST((got.failure == http::failure::ambiguous) == !say_so);
        }
    };
    run(io, body());
}

BOOST_FIXTURE_TEST_CASE(unusable_files_are_named, certificates)
{
    const auto good = ca.issue("DNS:localhost");
    const auto other = ca.issue("DNS:localhost");
    const auto text = folder.file("text");
    std::ofstream{text} << "no certificate\n";
    const auto missing = folder.file("missing");

    asio::io_context io;
    const auto refusal = [&](const std::string& chain, const std::string& key) {
        try {
            http::server server(io.get_executor(), echo_routes(), with_certificate({chain, key}));
        } catch (const pawl::definition_error& error) {
            return std::string{error.what()};
        }
        return std::string{};
    };
    BOOST_TEST(refusal(good.chain_file, good.key_file) == "");
    BOOST_TEST(refusal(missing, good.key_file) ==
               "server_options::certificate_chain_file '" + missing + "' cannot be read");
    BOOST_TEST(refusal(good.chain_file, missing) ==
               "server_options::private_key_file '" + missing + "' cannot be read");
    BOOST_TEST(refusal(text, good.key_file).find("certificate_chain_file '" + text + "': ") !=
               std::string::npos);
    BOOST_TEST(refusal(good.chain_file, text).find("private_key_file '" + text + "': ") !=
               std::string::npos);
    BOOST_TEST(refusal(good.chain_file, other.key_file).find("key values mismatch") !=
               std::string::npos);
    BOOST_TEST(refusal(good.chain_file, "").find("must be set together") != std::string::npos);

    http::client_options client;
    client.ca_file = missing;
    BOOST_CHECK_THROW(http::client(io.get_executor(), "https://localhost", client),
                      pawl::definition_error);
    client.ca_file = text;
    BOOST_CHECK_THROW(http::client(io.get_executor(), "https://localhost", client),
                      pawl::definition_error);
    client.ca_file = ca.file();
    BOOST_CHECK_THROW(http::client(io.get_executor(), "http://localhost", client),
                      pawl::definition_error);
    client = {};
    client.headers = {{"Host", "other"}};
    BOOST_CHECK_THROW(http::client(io.get_executor(), "http://localhost", client),
                      pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
