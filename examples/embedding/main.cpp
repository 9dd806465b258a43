// Pawl inside a service that is there already: the host has an io_context and a Beast server of its
// own; the engine runs on the same context, and takes no thread.
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

/// For a request to come, and for its answer to be taken.
constexpr auto patience = 30s;

response refusal(const request& asked, const pawl::system_error& error)
{
    auto status = http::status::service_unavailable; // worth asking again
    if (error.code() == pawl::errc::already_running)
        status = http::status::conflict;
    else if (error.code() == pawl::errc::invalid_argument)
        status = http::status::bad_request;
    response made{status, asked.version()};
    made.body() = error.what();
    made.body() += "\n";
    return made;
}

asio::awaitable<response> result_of(jobs_client jobs, const request& asked)
{
    constexpr std::string_view prefix = "/jobs/";
    response made{http::status::not_found, asked.version()};
    const std::string target{asked.target()};
    if (!target.starts_with(prefix))
        co_return made;
    const auto name = target.substr(prefix.size());
    if (asked.method() == http::verb::post) {
        co_await jobs.async_trigger(name, {asked.body(), {}});
        made.result(http::status::accepted);
    } else if (const auto found = co_await jobs.async_find_latest(name)) {
        const auto end = co_await jobs.async_await_finished(found->id);
        made.result(http::status::ok);
        made.body() = end.object.result + "\n";
    }
    co_return made;
}

/// POST /jobs/NAME starts one, GET /jobs/NAME waits for its end.
asio::awaitable<response> answer(jobs_client jobs, const request& asked)
{
    response made;
    try {
        made = co_await result_of(std::move(jobs), asked);
    } catch (const pawl::system_error& error) {
        made = refusal(asked, error);
    }
    made.keep_alive(false);
    made.prepare_payload();
    co_return made;
}

asio::awaitable<void> serve(tcp::socket socket, jobs_client jobs)
{
    beast::tcp_stream stream{std::move(socket)};
    beast::flat_buffer buffer;
    request asked;
    stream.expires_after(patience);
    co_await http::async_read(stream, buffer, asked, use_awaitable);
    stream.expires_never(); // the job takes as long as it takes
    const auto made = co_await answer(std::move(jobs), asked);
    stream.expires_after(patience);
    co_await http::async_write(stream, made, use_awaitable);
}

/// Until the acceptor is closed: whatever else fails, such as a lack of descriptors, passes.
asio::awaitable<void> accept(tcp::acceptor& acceptor, jobs_client jobs)
{
    asio::steady_timer pause{acceptor.get_executor()};
    while (acceptor.is_open()) {
        boost::system::error_code failure;
        auto socket = co_await acceptor.async_accept(asio::redirect_error(use_awaitable, failure));
        if (!failure) {
            asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), jobs),
                           [](const std::exception_ptr&) {
                               // a connection that broke: its client's business
                           });
        } else if (acceptor.is_open()) {
            pause.expires_after(100ms);
            co_await pause.async_wait(use_awaitable);
        }
    }
}

/// The life of the service: start, serve until SIGTERM, stop without leaving anything behind.
asio::awaitable<void> run_service(asio::io_context& io, pawl::engine& engine,
                                  tcp::acceptor& acceptor, jobs_client jobs)
{
    co_await engine.async_start();
    asio::co_spawn(acceptor.get_executor(), accept(acceptor, std::move(jobs)),
                   [](const std::exception_ptr&) {
                       // closed, for the stop
                   });
    std::cout << "listening on " << acceptor.local_endpoint().port() << std::endl;
    asio::signal_set signals{acceptor.get_executor(), SIGINT, SIGTERM};
    co_await signals.async_wait(use_awaitable);
    acceptor.close();
    co_await engine.async_stop();
    std::cout << "stopped" << std::endl;
    io.stop(); // connections that are still open do not keep the process
}

int main()
{
    std::signal(SIGPIPE, SIG_IGN); // whoever reads the output may go away
    asio::io_context io;
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory()}};
    auto jobs = engine.add(job_workflow());
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
