// Pawl inside a service that is there already: the host has an io_context and a Beast server of its
// own; the engine runs on the same context, and takes no thread.
#include "jobs.hpp"

#include <pawl/engine.hpp>
#include <pawl/memory.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <exception>
#include <iostream>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;
using asio::ip::tcp;

using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

/// POST /jobs/NAME starts one, GET /jobs/NAME waits for its end.
asio::awaitable<response> answer(jobs_client jobs, request asked)
{
    constexpr std::string_view prefix = "/jobs/";
    response made{http::status::not_found, asked.version()};
    const std::string target{asked.target()};
    if (target.starts_with(prefix)) {
        const auto name = target.substr(prefix.size());
        if (asked.method() == http::verb::post) {
            co_await jobs.async_trigger(name, {asked.body(), {}});
            made.result(http::status::accepted);
        } else if (const auto found = co_await jobs.async_latest(name)) {
            const auto end = co_await jobs.async_await_finished(found->id);
            made.result(http::status::ok);
            made.body() = end.object.result + "\n";
        }
    }
    made.keep_alive(false);
    made.prepare_payload();
    co_return made;
}

asio::awaitable<void> serve(tcp::socket socket, jobs_client jobs)
{
    beast::flat_buffer buffer;
    request asked;
    co_await http::async_read(socket, buffer, asked, use_awaitable);
    const auto made = co_await answer(std::move(jobs), std::move(asked));
    co_await http::async_write(socket, made, use_awaitable);
}

asio::awaitable<void> accept(tcp::acceptor& acceptor, jobs_client jobs)
{
    for (;;) {
        auto socket = co_await acceptor.async_accept(use_awaitable);
        asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), jobs),
                       [](const std::exception_ptr&) {
                           // a connection that broke: its client's business
                       });
    }
}

/// The life of the service: start, serve until SIGTERM, stop without leaving anything behind.
asio::awaitable<void> run_service(pawl::engine& engine, tcp::acceptor& acceptor, jobs_client jobs)
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
}

int main()
{
    asio::io_context io;
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory()}};
    auto jobs = engine.add(job_workflow());
    tcp::acceptor acceptor{io, {asio::ip::make_address("127.0.0.1"), 0}};
    int result = 0;
    asio::co_spawn(io, run_service(engine, acceptor, std::move(jobs)), [&](std::exception_ptr e) {
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
