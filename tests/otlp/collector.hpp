// A collector that answers as scripted, and an exporter that sends to it.
#pragma once

#include "otlp/support.hpp"
#include "pawl/http/server.hpp"
#include "pawl/otlp.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <deque>
#include <functional>

namespace otlp_test {

namespace http = pawl::http;
namespace json = boost::json;

inline asio::awaitable<void> write_part(http::body_writer& body)
{
    co_await body.write("{\"partial");
    throw std::runtime_error("the collector dies");
}

/// Answers requests as scripted, and then with 200. Keeps what it received.
class collector {
public:
    std::deque<std::function<http::response()>> script;
    std::vector<http::request> received;

    explicit collector(asio::io_context& io)
        : server_(io.get_executor(),
                  {{.method = "POST",
                    .pattern = "/v1/traces",
                    .answer =
                        [this](const http::request& message) {
                            return answer(message);
                        }}},
                  {.body_limit = 16 * 1024 * 1024, .log = [](const pawl::log_entry&) {
                   }})
    {
        server_.start();
    }

    std::string endpoint() const { return server_.url() + "/v1/traces"; }
    http::server& server() noexcept { return server_; }

    /// All spans, in the order in which they came.
    std::vector<json::object> spans() const
    {
        std::vector<json::object> all;
        for (const auto& message : received) {
            const auto body = json::parse(message.body);
            const auto& scope = body.at("resourceSpans").at(0).at("scopeSpans").at(0);
            for (const auto& made : scope.at("spans").as_array())
                all.push_back(made.as_object());
        }
        return all;
    }

private:
    asio::awaitable<http::response> answer(const http::request& message)
    {
        received.push_back(message);
        if (script.empty())
            co_return http::response{.body = "{}"};
        const auto next = std::move(script.front());
        script.pop_front();
        co_return next();
    }

    http::server server_;
};

inline http::response status(int code, std::string retry_after = {})
{
    http::response reply{.status = code};
    if (!retry_after.empty())
        reply.headers.emplace_back("Retry-After", std::move(retry_after));
    return reply;
}

inline http::response hang()
{
    throw http::drop_connection(http::drop_connection::when::peer_has_closed);
}

inline http::response die_in_the_middle()
{
    return {.stream = write_part};
}

inline pawl::span span_named(std::string name)
{
    pawl::span made;
    made.context = pawl::make_span(std::nullopt, {});
    made.name = std::move(name);
    made.began_at = made.ended_at = pawl::time_point{1'700'000'000s};
    return made;
}

struct exporter_fixture {
    asio::io_context io;
    collector target{io};
    std::vector<std::string> log;
    pawl::otlp_options options;
    std::shared_ptr<pawl::otlp_exporter> sink;

    exporter_fixture()
    {
        options.endpoint = target.endpoint();
        options.schedule_delay = 0s;
        options.retry = {.initial = 1ms, .max_interval = 2ms, .max_attempts = 4};
        options.log = [this](const pawl::log_entry& line) {
            log.push_back(to_string(line));
        };
    }

    ~exporter_fixture()
    {
        if (sink)
            stop(0s);
        sink.reset();
        run(target.server().async_stop(0s));
        io.run();
    }

    void open() { sink = std::make_shared<pawl::otlp_exporter>(io.get_executor(), options); }

    void add(int count)
    {
        for (int i = 0; i < count; ++i)
            sink->add(span_named("span " + std::to_string(i)));
    }

    void run(asio::awaitable<void> work)
    {
        bool done = false;
        asio::co_spawn(io, std::move(work), [&](std::exception_ptr failure) {
            done = true;
            if (failure)
                std::rethrow_exception(failure);
        });
        run_until([&] { return done; });
    }

    void run_until(const std::function<bool()>& done)
    {
        while (!done()) {
            io.restart();
            BOOST_REQUIRE(io.run_one() > 0);
        }
    }

    void stop(pawl::duration timeout) { run(sink->async_stop(timeout)); }

    /// Until nothing waits to be sent.
    pawl::otlp_statistics drain()
    {
        run_until([&] { return sink->statistics().queued == 0; });
        return sink->statistics();
    }
};

} // namespace otlp_test
