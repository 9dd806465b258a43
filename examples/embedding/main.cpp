// Pawl in an existing service: the application has an io_context and a Beast server. The engine
// runs on the same context and needs no thread of its own.
#include "jobs.hpp"

#include <pawl/engine.hpp>
#include <pawl/memory.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>

using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;
using asio::ip::tcp;

using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

/// For reading a request and for writing its answer.
constexpr auto socket_timeout = 30s;

response error_response(const request& req, const pawl::system_error& error)
{
    auto status = http::status::service_unavailable; // the client may retry
    if (error.code() == pawl::errc::already_running)
        status = http::status::conflict;
    else if (error.code() == pawl::errc::invalid_argument)
        status = http::status::bad_request;
    response answer{status, req.version()};
    answer.body() = error.what();
    answer.body() += "\n";
    return answer;
}

asio::awaitable<response> handle_request(jobs_client jobs, const request& req)
{
    constexpr std::string_view prefix = "/jobs/";
    response answer{http::status::not_found, req.version()};
    const std::string target{req.target()};
    if (!target.starts_with(prefix))
        co_return answer;
    const auto name = target.substr(prefix.size());
    if (req.method() == http::verb::post) {
        co_await jobs.async_trigger(name, {req.body(), {}});
        answer.result(http::status::accepted);
    } else if (const auto found = co_await jobs.async_find_latest(name)) {
        const auto end = co_await jobs.async_await_finished(found->id);
        answer.result(http::status::ok);
        answer.body() = end.object.result + "\n";
    }
    co_return answer;
}

/// POST /jobs/NAME starts a job, GET /jobs/NAME waits for its end.
asio::awaitable<response> make_answer(jobs_client jobs, const request& req)
{
    response answer;
    try {
        answer = co_await handle_request(std::move(jobs), req);
    } catch (const pawl::system_error& error) {
        answer = error_response(req, error);
    }
    answer.keep_alive(false);
    answer.prepare_payload();
    co_return answer;
}

asio::awaitable<void> serve(tcp::socket socket, jobs_client jobs)
{
    beast::tcp_stream stream{std::move(socket)};
    beast::flat_buffer buffer;
    request req;
    stream.expires_after(socket_timeout);
    co_await http::async_read(stream, buffer, req, use_awaitable);
    stream.expires_never(); // a job may take any time
    const auto answer = co_await make_answer(std::move(jobs), req);
    stream.expires_after(socket_timeout);
    co_await http::async_write(stream, answer, use_awaitable);
}

/// Accepts connections until the acceptor is closed. After another failure, for example a lack of
/// file descriptors, it tries again.
asio::awaitable<void> accept(tcp::acceptor& acceptor, jobs_client jobs)
{
    asio::steady_timer pause{acceptor.get_executor()};
    while (acceptor.is_open()) {
        boost::system::error_code failure;
        auto socket = co_await acceptor.async_accept(asio::redirect_error(use_awaitable, failure));
        if (!failure) {
            asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), jobs),
                           [](const std::exception_ptr&) {
                               // the connection broke; there is nobody to answer
                           });
        } else if (acceptor.is_open()) {
            pause.expires_after(100ms);
            co_await pause.async_wait(use_awaitable);
        }
    }
}

/// Starts the engine, serves until SIGTERM, and stops.
asio::awaitable<void> run_service(asio::io_context& io, pawl::engine& engine,
                                  tcp::acceptor& acceptor, jobs_client jobs)
{
    co_await engine.async_start();
    asio::co_spawn(acceptor.get_executor(), accept(acceptor, std::move(jobs)),
                   [](const std::exception_ptr&) {
                       // ends when the acceptor is closed
                   });
    std::cout << "listening on " << acceptor.local_endpoint().port() << std::endl;
    asio::signal_set signals{acceptor.get_executor(), SIGINT, SIGTERM};
    co_await signals.async_wait(use_awaitable);
    acceptor.close();
    co_await engine.async_stop(); // running handlers may finish first
    std::cout << "stopped" << std::endl;
    io.stop(); // open connections do not keep the process running
}

int main()
{
    std::signal(SIGPIPE, SIG_IGN); // the reader of the output may exit
    asio::io_context io;           // of the server and the engine
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory()}};
    auto jobs = engine.add(job_workflow()); // before the engine starts
    tcp::acceptor acceptor{io, {asio::ip::make_address("127.0.0.1"), 0}};
    int result = 0;
    asio::co_spawn(io, run_service(io, engine, acceptor, std::move(jobs)),
                   [&](std::exception_ptr e) {
                       try {
                           if (e)
                               std::rethrow_exception(e);
                       } catch (const std::exception& problem) {
                           std::cerr << problem.what() << "\n";
                           result = 1;
                       }
                   });
    io.run();
    return result;
}
