// What a database holds after it was closed and opened again, and what closing waits for.
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/sqlite.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include "printing.hpp"
#include "sqlite/support.hpp"

#include <memory>
#include <optional>

BOOST_AUTO_TEST_SUITE(sqlite_lifetime)

namespace {

using namespace std::chrono_literals;

constexpr pawl::time_point now{1'000s};

} // namespace

BOOST_AUTO_TEST_CASE(everything_is_there_after_opening_again)
{
    const temporary_folder folder;
    const auto path = folder.file("orders.db");
    auto run = make_run(1, "order-1");
    run.effects = {{"charge", "{}", true}};
    run.start_key = "click";
    pawl::delivery paid;
    paid.content = {.run = run.id, .name = "paid", .payload = "{}", .key = "p", .sent_at = now};
    std::vector<pawl::event> log;
    {
        const auto store = pawl::open_sqlite(path, {.shards = 4});
        apply_one(*store, store_as(run));
        ++run.version;
        apply_one(*store, store_as(run));
        apply_one(*store, paid);
        apply_one(*store, paid);
        apply_one(*store, pawl::cursor_move{.name = "hooks", .shard = 2, .position = 7});
        log = finish(store->history(run.id, 0, 10));
        BOOST_REQUIRE(log.size() == 2u);
    }
    run.inbox_last = 1;
    run.inbox_pending = 1;

    // The option counts only when a database is made.
    const auto store = pawl::open_sqlite(path, {.shards = 9});
    BOOST_TEST(store->shards() == 4u);
    BOOST_TEST(!store->shared());
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST((finish(store->history(run.id, 0, 10)) == log));
    BOOST_TEST(finish(store->inbox(run.id, 0, 10)).size() == 1u);
    BOOST_TEST(finish(store->cursor("hooks", 2)) == 7u);
    BOOST_TEST(finish(store->count("orders", true)).size() == 1u);

    // And it goes on where it stopped.
    auto second = make_run(2, "order-1");
    BOOST_TEST(apply_one(*store, store_as(second)).status == pawl::apply_status::already_running);
    second.start_key = "click";
    BOOST_TEST(apply_one(*store, store_as(second)).status == pawl::apply_status::duplicate);
    BOOST_TEST(apply_one(*store, paid).status == pawl::apply_status::duplicate);
    ++run.version;
    BOOST_TEST(apply_one(*store, store_as(run)).sequence == 3u);
}

BOOST_AUTO_TEST_CASE(opening_again_ends_the_roles_of_a_dead_process)
{
    const temporary_folder folder;
    const auto path = folder.file("orders.db");
    {
        const auto store = pawl::open_sqlite(path);
        BOOST_REQUIRE(finish(store->claim_role("connector", "dead", 1h)));
    }
    const auto store = pawl::open_sqlite(path);
    BOOST_TEST(finish(store->roles("")).empty());
    const auto next = finish(store->claim_role("connector", "next", 1h));
    BOOST_REQUIRE(next);
    BOOST_TEST(next->epoch == 2u);
}

BOOST_AUTO_TEST_CASE(opening_again_ends_leases_and_keeps_epochs)
{
    const temporary_folder folder;
    const auto path = folder.file("orders.db");
    pawl::lease first;
    {
        const auto store = pawl::open_sqlite(path);
        first = finish(store->claim({0}, "first", 1h)).at(0);
        BOOST_TEST(first.epoch == 1u);
    }
    const auto store = pawl::open_sqlite(path);
    const auto second = finish(store->claim({0}, "second", 1h));
    BOOST_REQUIRE(second.size() == 1u);
    BOOST_TEST(second[0].epoch == 2u);
    auto late = store_as(make_run(1, "order-1"));
    late.epoch = first.epoch;
    BOOST_TEST(apply_one(*store, late).status == pawl::apply_status::fenced);
}

BOOST_AUTO_TEST_CASE(closing_finishes_what_was_asked)
{
    const temporary_folder folder;
    const auto path = folder.file("orders.db");
    std::vector<std::vector<pawl::change>> batches;
    for (std::uint8_t i = 1; i <= 50; ++i)
        batches.push_back({store_as(make_run(i, "order-" + std::to_string(i)))});
    int completed = 0;
    boost::asio::io_context context;
    {
        auto store = pawl::open_sqlite(path);
        for (const auto& batch : batches)
            boost::asio::co_spawn(context, store->apply(batch),
                                  [&](std::exception_ptr problem, const auto&) {
                                      if (!problem)
                                          ++completed;
                                  });
        // Hands all batches over; their results wait in the context.
        context.poll();
    }
    context.run();
    BOOST_TEST(completed == 50);
    const auto store = pawl::open_sqlite(path);
    BOOST_TEST(finish(store->events(0, 0, 100)).size() == 50u);
}

BOOST_AUTO_TEST_CASE(a_database_in_memory_is_its_own)
{
    const auto one = pawl::open_sqlite(":memory:");
    const auto two = pawl::open_sqlite(":memory:");
    apply_one(*one, store_as(make_run(1, "order-1")));
    BOOST_TEST(finish(one->find(make_run(1, "").id)).has_value());
    BOOST_TEST(!finish(two->find(make_run(1, "").id)).has_value());
}

BOOST_AUTO_TEST_CASE(both_ways_to_synchronize_work)
{
    const temporary_folder folder;
    for (const auto mode : {pawl::sqlite_synchronous::full, pawl::sqlite_synchronous::normal}) {
        const auto path = folder.file(std::to_string(static_cast<int>(mode)));
        apply_one(*pawl::open_sqlite(path, {.synchronous = mode}),
                  store_as(make_run(1, "order-1")));
        const auto store = pawl::open_sqlite(path, {.synchronous = mode});
        BOOST_TEST(finish(store->find(make_run(1, "").id)).has_value());
    }
}

BOOST_AUTO_TEST_CASE(an_engine_that_has_stopped_lets_go_of_the_file_whatever_its_handlers_hold)
{
    enum class light { red = 1, off };
    using lamps = pawl::client<int, light>;
    const temporary_folder folder;
    const auto path = folder.file("lamps.db");
    // A handler that can call its own workflow: a circle, until the engine stops.
    const auto own = std::make_shared<std::optional<lamps>>();
    boost::asio::io_context io;
    const auto run = [&](auto operation) {
        boost::asio::co_spawn(io, std::move(operation),
                              [](const std::exception_ptr& failure) { BOOST_TEST(!failure); });
        io.restart();
        io.run();
    };
    {
        pawl::engine_options options;
        options.store = pawl::open_sqlite(path);
        pawl::engine engine{io.get_executor(), std::move(options)};
        pawl::builder<int, light> b{"lamps"};
        b.step<light::red>([own](pawl::run<int>&) -> pawl::step<light::off> {
            BOOST_TEST(own->has_value());
            co_return pawl::to<light::off>;
        });
        b.end<light::off>();
        own->emplace(engine.add(std::move(b).build()));
        const auto live = [&]() -> boost::asio::awaitable<void> {
            co_await engine.async_start();
            const auto started = co_await (*own)->async_trigger("a", 1);
            co_await (*own)->async_await_finished(started);
            co_await engine.async_stop();
        };
        run(live());
    }
    BOOST_REQUIRE(own->has_value());
    BOOST_CHECK_NO_THROW(pawl::open_sqlite(path));
    own->reset();
}

BOOST_AUTO_TEST_SUITE_END()
