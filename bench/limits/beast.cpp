#include "limits/beast.hpp"

#include "host.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <atomic>
#include <vector>

namespace pawl_bench {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

struct bare_connection::impl {
    tcp::socket socket;
    boost::beast::flat_buffer buffer{};
};

bare_connection::bare_connection(asio::any_io_executor executor)
    : impl_(new impl{tcp::socket{std::move(executor)}})
{
}

bare_connection::~bare_connection() = default;
bare_connection::bare_connection(bare_connection&&) noexcept = default;

asio::awaitable<void> bare_connection::connect(std::uint16_t port)
{
    const tcp::endpoint to{asio::ip::address_v4::loopback(), port};
    co_await impl_->socket.async_connect(to, asio::use_awaitable);
    impl_->socket.set_option(tcp::no_delay{true});
}

asio::awaitable<int> bare_connection::exchange(std::string method, std::string target,
                                               std::string body)
{
    http::request<http::string_body> sent;
    sent.method_string(method);
    sent.target(target);
    sent.set(http::field::host, "127.0.0.1");
    if (!body.empty())
        sent.set(http::field::content_type, "application/json");
    sent.body() = std::move(body);
    sent.prepare_payload();
    co_await http::async_write(impl_->socket, sent, asio::use_awaitable);
    http::response<http::string_body> answer;
    co_await http::async_read(impl_->socket, impl_->buffer, answer, asio::use_awaitable);
    co_return answer.result_int();
}

namespace {

asio::awaitable<void> answer_all(tcp::socket socket)
{
    boost::beast::flat_buffer buffer;
    try {
        for (;;) {
            http::request<http::string_body> asked;
            co_await http::async_read(socket, buffer, asked, asio::use_awaitable);
            http::response<http::string_body> answer{http::status::ok, 11};
            answer.set(http::field::content_type, "application/json");
            answer.body() = std::move(asked.body());
            answer.prepare_payload();
            co_await http::async_write(socket, answer, asio::use_awaitable);
        }
    } catch (const boost::system::system_error&) {
        // The client has gone.
    }
}

asio::awaitable<void> accept(tcp::acceptor& acceptor, std::size_t clients)
{
    const auto executor = acceptor.get_executor();
    for (std::size_t i = 0; i < clients; ++i) {
        auto socket = co_await acceptor.async_accept(asio::use_awaitable);
        socket.set_option(tcp::no_delay{true});
        asio::co_spawn(executor, answer_all(std::move(socket)), [](const std::exception_ptr&) {});
    }
}

struct shared_requests {
    std::uint64_t exchanges = 0;
    std::size_t left = 0;
    bool ending = false;
};

asio::awaitable<void> ask(asio::any_io_executor executor, std::uint16_t port, shared_requests& all)
{
    bare_connection connection{executor};
    co_await connection.connect(port);
    while (!all.ending) {
        co_await connection.exchange("POST", "/orders", std::string(400, 'x'));
        ++all.exchanges;
    }
}

asio::awaitable<void> measure(asio::any_io_executor executor, std::uint16_t port,
                              std::size_t clients, const options& given, double& per_second)
{
    shared_requests all;
    all.left = clients;
    for (std::size_t i = 0; i < clients; ++i)
        asio::co_spawn(executor, ask(executor, port, all),
                       [&all](const std::exception_ptr&) { --all.left; });
    co_await sleep_for(given.warm_up);
    const auto begin = steady::now();
    const auto before = all.exchanges;
    co_await sleep_for(given.duration);
    per_second = static_cast<double>(all.exchanges - before) /
                 std::chrono::duration<double>(steady::now() - begin).count();
    all.ending = true;
    while (all.left > 0)
        co_await sleep_for(1ms);
}

} // namespace

double drive_beast(std::size_t clients, std::size_t server_threads, const options& given)
{
    background_host server{server_threads};
    tcp::acceptor acceptor{server.executor(), {asio::ip::address_v4::loopback(), 0}};
    const auto port = acceptor.local_endpoint().port();
    asio::co_spawn(server.executor(), accept(acceptor, clients), [](const std::exception_ptr&) {});
    host load{1};
    double per_second = 0;
    load.run(measure(load.executor(), port, clients, given, per_second));
    return per_second;
}

} // namespace pawl_bench
