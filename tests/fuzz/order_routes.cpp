// The order server's REST interface without sockets: any bytes are read as requests, found their
// routes, and answered by the handlers over an engine in memory. None is answered 500.
#include "api.hpp"
#include "fuzz/fuzz.hpp"
#include "http/request_reader.hpp"
#include "http/routes.hpp"
#include "order.hpp"
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/memory.hpp"
#include "pawl/testing/manual_clock.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>

#include <exception>
#include <memory>
#include <string>

namespace {

namespace asio = boost::asio;
using namespace order_processing;
using enum OrderStatus;
using pawl::http::detail::request_reader;
using namespace std::chrono_literals;

pawl::step<Validated> validate(pawl::run<Order>&)
{
    co_return pawl::to<Validated>;
}

pawl::step<Cancelled> cancel(pawl::run<Order>&, cancel_request)
{
    co_return pawl::to<Cancelled>;
}

/// The statuses of an order, without services behind them.
pawl::workflow<Order, OrderStatus> small_workflow()
{
    pawl::builder<Order, OrderStatus> b{"order-processing"};
    b.step<Created>(validate);
    b.callback<Validated>("cancel", cancel);
    b.end<Cancelled>();
    b.scrub(scrub_personal_data);
    return std::move(b).build();
}

class world {
public:
    world()
        : engine_(io_.get_executor(),
                  {.store = pawl::open_memory(), .clock = clock_, .log = quiet}),
          orders_(engine_.add(small_workflow())), routes_(order_routes(context()))
    {
        wait_for(engine_.async_start(asio::use_awaitable));
    }
    ~world() { wait_for(engine_.async_stop(0s, asio::use_awaitable)); }

    pawl::http::response answer(const pawl::http::handler& handler,
                                const pawl::http::request& asked)
    {
        pawl::http::response answered;
        wait_for(store(handler(asked), answered));
        return answered;
    }

    const pawl::http::detail::route_table& routes() const { return routes_; }

private:
    static void quiet(const pawl::log_entry&) {}

    static asio::awaitable<void> store(asio::awaitable<pawl::http::response> from,
                                       pawl::http::response& into)
    {
        into = co_await std::move(from);
    }

    api_context context()
    {
        api_context made{.orders = orders_, .counters = counters_};
        made.readiness = [] {
            return pawl::error_code{};
        };
        made.clock = clock_;
        made.cancel_wait = made.max_wait = 1ms;
        return made;
    }

    void wait_for(asio::awaitable<void> operation)
    {
        std::exception_ptr failure;
        bool done = false;
        asio::co_spawn(io_, std::move(operation), [&](std::exception_ptr thrown) {
            failure = std::move(thrown);
            done = true;
        });
        io_.restart();
        while (!done)
            fuzz::require(io_.run_one() > 0, "a request is answered");
        if (failure)
            std::rethrow_exception(failure);
    }

    asio::io_context io_{1};
    std::shared_ptr<pawl::testing::manual_clock> clock_ =
        std::make_shared<pawl::testing::manual_clock>();
    metrics counters_;
    pawl::engine engine_;
    orders_client orders_;
    pawl::http::detail::route_table routes_;
};

void check(const pawl::http::response& answered)
{
    fuzz::require(answered.status >= 200 && answered.status < 600 && answered.status != 500,
                  "a request is answered, and not 500");
    if (answered.content_type.find("json") == std::string::npos)
        return;
    boost::system::error_code failure;
    boost::json::parse(answered.body, failure);
    fuzz::require(!failure, "what says that it is JSON is");
}

void talk(world& with, std::string_view bytes)
{
    request_reader reader{16 * 1024, 64 * 1024};
    for (;;) {
        std::size_t consumed = 0;
        if (reader.read(bytes, consumed) != request_reader::result::complete)
            return;
        bytes.remove_prefix(consumed);
        auto& message = reader.message();
        const auto match = with.routes().find(message.method, reader.segments());
        if (match.answer) {
            message.captures = match.captures;
            // Else most inputs would end there.
            message.headers.try_emplace("content-type", "application/json");
            check(with.answer(*match.answer, message));
        }
        if (!reader.keep_alive())
            return;
        reader.next();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    // A world of its own for each input, so that an input alone shows what it found.
    world fresh;
    talk(fresh, fuzz::text(data, size));
    return 0;
}
