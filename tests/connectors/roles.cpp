// One engine at a time runs a connector; another goes on when it ends or is cut off.
#include "connectors/support.hpp"

#include "pawl/error.hpp"
#include "pawl/forwarding_store.hpp"
#include "pawl/role_scheduler.hpp"

#include <algorithm>

BOOST_AUTO_TEST_SUITE(connector_roles)

using namespace connector_test;
using pawl::testing::manual_clock;

namespace {

/// A way to the roles that can be cut.
struct cable final : pawl::forwarding_store {
    using forwarding_store::forwarding_store;

    awaitable<std::optional<pawl::role_lease>> claim_role(std::string_view role,
                                                          std::string_view owner,
                                                          pawl::duration lease_duration) override
    {
        if (cut)
            throw pawl::error(pawl::errc::store_unavailable, "the cable is cut");
        return forwarding_store::claim_role(role, owner, lease_duration);
    }

    bool cut = false;
};

/// Answers late.
struct slow_store final : pawl::forwarding_store {
    using forwarding_store::forwarding_store;

    awaitable<std::optional<pawl::role_lease>> claim_role(std::string_view role,
                                                          std::string_view owner,
                                                          pawl::duration lease_duration) override
    {
        auto held = co_await forwarding_store::claim_role(role, owner, lease_duration);
        if (delay > 0s)
            co_await wait_on(clock, delay);
        co_return held;
    }

    std::shared_ptr<manual_clock> clock;
    pawl::duration delay{};
};

/// Two engines with stores of their own, which read the same topic.
struct two_engines {
    struct side {
        std::shared_ptr<cable> way;
        std::vector<std::string> log;
        std::vector<std::string> seen;
        std::optional<pawl::engine> engine;
    };

    asio::io_context io;
    std::shared_ptr<manual_clock> clock = std::make_shared<manual_clock>();
    std::shared_ptr<pawl::record_store> common = pawl::open_memory({.clock = clock});
    std::shared_ptr<pawl::event_streamer> streamer = pawl::store_streamer(common);
    side sides[2];

    ~two_engines()
    {
        for (auto& each : sides)
            stop(each);
    }

    void start(side& which, pawl::duration takes)
    {
        which.way = std::make_shared<cable>(common);
        pawl::engine_options options{.store = pawl::open_memory(), .clock = clock};
        options.roles =
            pawl::store_role_scheduler(which.way, {.lease_duration = 12s, .clock = clock});
        options.log = [&which](const pawl::log_entry& entry) {
            which.log.push_back(to_string(entry));
        };
        which.engine.emplace(io.get_executor(), options);
        const auto flow = carrying();
        which.engine->add(flow);
        const auto see = [&which, takes, this](arrived& in) -> awaitable<void> {
            if (takes > 0s)
                co_await wait_on(clock, takes);
            which.seen.push_back(in.event().id);
        };
        which.engine->connect("orders", pawl::from_topic(streamer, "orders"), flow, see);
        bool started = false;
        which.engine->async_start([&](pawl::error_code problem) { started = !problem; });
        settle();
        BOOST_REQUIRE(started);
    }

    void stop(side& which)
    {
        if (!which.engine)
            return;
        bool stopped = false;
        which.engine->async_stop(0s, [&](pawl::error_code) { stopped = true; });
        for (int i = 0; i < 100 && !stopped; ++i)
            advance(1s);
        BOOST_REQUIRE(stopped);
        which.engine.reset();
    }

    void settle()
    {
        do
            io.restart();
        while (io.poll() > 0);
    }

    void advance(pawl::duration span)
    {
        settle();
        for (; span > 0s; span -= 500ms) {
            clock->advance(500ms);
            settle();
        }
    }

    void send(std::string id)
    {
        std::vector<pawl::stream_event> events{event_of(id, "key of " + id)};
        asio::co_spawn(io, streamer->send("orders", std::move(events)),
                       [](std::exception_ptr, std::vector<std::uint64_t>) {});
        settle();
    }
};

using list = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_CASE(one_engine_runs_it_and_another_goes_on_when_that_stops)
{
    two_engines at;
    at.start(at.sides[0], 0s);
    at.start(at.sides[1], 0s);
    at.send("1");
    at.advance(60s); // five times as long as a lease
    at.send("2");
    BOOST_TEST(at.sides[0].seen == (list{"1", "2"}), boost::test_tools::per_element());
    BOOST_TEST(at.sides[1].seen.empty());
    at.stop(at.sides[0]);
    at.send("3");
    at.advance(3s); // it was given back: not the whole lease is waited for
    BOOST_TEST(at.sides[1].seen == (list{"3"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(one_that_is_cut_off_stops_before_another_goes_on)
{
    two_engines at;
    at.start(at.sides[0], 1h);
    at.start(at.sides[1], 0s);
    at.send("1");
    at.advance(6s);
    BOOST_TEST(at.sides[0].seen.empty());
    at.sides[0].way->cut = true;
    const auto lost = [&] {
        return std::ranges::any_of(at.sides[0].log, [](const std::string& line) {
            return line.find("another engine may run the connector") != std::string::npos;
        });
    };
    while (!lost()) {
        at.advance(500ms);
        BOOST_REQUIRE(at.clock->now() < pawl::testing::manual_clock{}.now() + 1min);
        if (!lost())
            BOOST_TEST(at.sides[1].seen.empty());
    }
    at.advance(12s);
    BOOST_TEST(at.sides[1].seen == (list{"1"}), boost::test_tools::per_element());
    // Its function was cancelled, and it does not come back by itself.
    at.advance(2h);
    BOOST_TEST(at.sides[0].seen.empty());
    // Reachable again, it stands by.
    at.sides[0].way->cut = false;
    at.advance(2min);
    at.stop(at.sides[1]);
    at.send("2");
    at.advance(2h);
    BOOST_TEST(at.sides[0].seen == (list{"2"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_answer_that_came_after_the_lease_is_no_role)
{
    const auto clock = std::make_shared<manual_clock>();
    const auto store = std::make_shared<slow_store>(pawl::open_memory({.clock = clock}));
    store->clock = clock;
    store->delay = 12s;
    const auto roles = pawl::store_role_scheduler(store, {.lease_duration = 12s, .clock = clock});
    asio::io_context io;
    std::unique_ptr<pawl::held_role> role;
    asio::co_spawn(io, roles->acquire("role"),
                   [&](std::exception_ptr, std::unique_ptr<pawl::held_role> given) {
                       role = std::move(given);
                   });
    const auto pass = [&](pawl::duration span) {
        clock->advance(span);
        io.restart();
        io.poll();
    };
    pass(0s);
    pass(12s); // the answer is yes; but by now another one may have it
    BOOST_TEST(!role);
    store->delay = 0s;
    pass(3s); // it asks again
    BOOST_REQUIRE(role != nullptr);
    BOOST_TEST(role->held());
    role.reset();
    pass(0s);
}

BOOST_AUTO_TEST_CASE(a_wait_for_the_loss_ends_when_the_role_is_released_during_its_renewal)
{
    const auto clock = std::make_shared<manual_clock>();
    const auto store = std::make_shared<slow_store>(pawl::open_memory({.clock = clock}));
    store->clock = clock;
    const auto roles = pawl::store_role_scheduler(store, {.lease_duration = 12s, .clock = clock});
    asio::io_context io;
    const auto pass = [&](pawl::duration span) {
        clock->advance(span);
        io.restart();
        io.poll();
    };
    std::unique_ptr<pawl::held_role> role;
    asio::co_spawn(io, roles->acquire("role"),
                   [&](std::exception_ptr, std::unique_ptr<pawl::held_role> given) {
                       role = std::move(given);
                   });
    pass(0s);
    BOOST_REQUIRE(role != nullptr);
    bool lost = false;
    bool released = false;
    asio::co_spawn(io, role->lost(), [&](std::exception_ptr) { lost = true; });
    store->delay = 2s;
    pass(5s); // the role is being renewed
    asio::co_spawn(io, role->release(), [&](std::exception_ptr) { released = true; });
    pass(0s);
    BOOST_TEST(!released);
    pass(2s);
    BOOST_TEST(released);
    BOOST_TEST(lost);
    BOOST_TEST(!role->held());
    role.reset();
    pass(0s);
}

BOOST_AUTO_TEST_CASE(options_of_the_roles_are_checked)
{
    const auto store = pawl::open_memory();
    const auto refused = [&](pawl::role_scheduler_options options) {
        BOOST_CHECK_THROW(pawl::store_role_scheduler(store, std::move(options)),
                          pawl::definition_error);
    };
    refused({.lease_duration = 9ms});
    refused({.lease_duration = 24h + 1us});
    refused({.owner = std::string(901, 'x')});
    refused({.clock = nullptr});
    BOOST_CHECK_THROW(pawl::store_role_scheduler(nullptr), pawl::definition_error);
    BOOST_TEST(pawl::store_role_scheduler(store, {.lease_duration = 10ms}) != nullptr);
}

BOOST_AUTO_TEST_CASE(one_that_waits_for_the_role_stops_at_once)
{
    two_engines at;
    at.start(at.sides[0], 0s);
    at.start(at.sides[1], 0s);
    bool stopped = false;
    at.sides[1].engine->async_stop(1h, [&](pawl::error_code) { stopped = true; });
    at.settle(); // no time passes
    BOOST_TEST(stopped);
    at.sides[1].engine.reset();
}

BOOST_AUTO_TEST_CASE(a_role_of_ones_own_is_never_one_of_an_engines)
{
    for (const auto* role : {"my own", "connector/orders"})
        BOOST_TEST_CONTEXT(role)
        {
            asio::io_context io;
            const auto clock = std::make_shared<manual_clock>();
            const auto store = pawl::open_memory({.shared = true, .clock = clock});
            const auto streamer = pawl::store_streamer(store, {.clock = clock});
            const auto roles = pawl::store_role_scheduler(store, {.clock = clock});
            std::unique_ptr<pawl::held_role> held;
            asio::co_spawn(io, roles->acquire(role), [&](std::exception_ptr failure, auto taken) {
                BOOST_TEST(!failure);
                held = std::move(taken);
            });
            io.poll();
            BOOST_REQUIRE(held);
            int seen = 0;
            pawl::engine engine{io.get_executor(),
                                {.store = store, .clock = clock, .roles = roles}};
            const auto client = engine.add(carrying());
            engine.connect("orders", pawl::from_topic(streamer, "orders"), client,
                           [&seen](arrived&) -> awaitable<void> {
                               ++seen;
                               co_return;
                           });
            const auto run = [&] {
                io.restart();
                io.poll();
            };
            engine.async_start([](pawl::error_code code) { BOOST_TEST(!code); });
            run();
            asio::co_spawn(io, streamer->send("orders", {event_of("1", "a")}),
                           [](std::exception_ptr failure, const auto&) { BOOST_TEST(!failure); });
            for (int i = 0; i < 60; ++i) {
                run();
                clock->advance(1s);
            }
            run();
            BOOST_TEST(seen == 1);
            held.reset();
            bool stopped = false;
            engine.async_stop(0s, [&](pawl::error_code) { stopped = true; });
            for (int i = 0; i < 60 && !stopped; ++i) {
                run();
                clock->advance(1s);
            }
            BOOST_TEST(stopped);
            run();
        }
}

namespace {

/// A lock service whose connection breaks after a while.
class breaking_roles final : public pawl::role_scheduler {
public:
    explicit breaking_roles(std::shared_ptr<manual_clock> clock) : clock_(std::move(clock)) {}

    awaitable<std::unique_ptr<pawl::held_role>> acquire(std::string name) override
    {
        ++acquired;
        std::unique_ptr<pawl::held_role> taken =
            std::make_unique<breaking_role>(std::move(name), *this);
        co_return taken;
    }

    std::uint64_t acquired = 0;
    int released = 0;

private:
    class breaking_role final : public pawl::held_role {
    public:
        breaking_role(std::string name, breaking_roles& roles)
            : name_(std::move(name)), roles_(roles), epoch_(roles.acquired)
        {
        }

        const std::string& name() const noexcept override { return name_; }
        std::uint64_t epoch() const noexcept override { return epoch_; }
        bool held() const noexcept override { return true; }

        awaitable<void> lost() override
        {
            co_await wait_on(roles_.clock_, 1min);
            throw std::runtime_error("the connection broke");
        }

        awaitable<void> release() override
        {
            ++roles_.released;
            co_return;
        }

    private:
        const std::string name_;
        breaking_roles& roles_;
        const std::uint64_t epoch_;
    };

    const std::shared_ptr<manual_clock> clock_;
};

} // namespace

BOOST_AUTO_TEST_CASE(a_role_that_can_no_longer_be_watched_counts_as_lost)
{
    const auto clock = std::make_shared<manual_clock>();
    const auto roles = std::make_shared<breaking_roles>(clock);
    pawl::testing::harness_options options;
    options.engine.clock = clock;
    options.engine.store = pawl::open_memory();
    options.engine.roles = roles;
    const auto streamer = pawl::store_streamer(options.engine.store);
    int seen = 0;
    options.configure = [&](pawl::engine& to) {
        to.connect("orders", pawl::from_topic(streamer, "orders"), carrying(),
                   [&seen](arrived&) -> awaitable<void> {
                       ++seen;
                       co_return;
                   });
    };
    pawl::testing::harness<parcel, place> test{carrying(), std::move(options)};
    test.run_until_idle();
    BOOST_TEST(roles->acquired == 1u);
    test.advance(90s);
    BOOST_TEST(roles->acquired == 2u);
    BOOST_TEST(roles->released == 1);
    test.wait_for(streamer->send("orders", {event_of("1", "a")}));
    test.run_until_idle();
    BOOST_TEST(seen == 1);
}

BOOST_AUTO_TEST_CASE(names_of_roles_that_are_pawls_own_are_refused)
{
    asio::io_context io;
    const auto roles = pawl::store_role_scheduler(pawl::open_memory());
    for (const auto* role : {"pawl.connector/orders", "pawl.engine/x", "pawl."}) {
        std::exception_ptr thrown;
        asio::co_spawn(io, roles->acquire(role),
                       [&](std::exception_ptr failure, auto) { thrown = failure; });
        io.restart();
        io.poll();
        BOOST_REQUIRE(thrown);
        BOOST_CHECK_EXCEPTION(std::rethrow_exception(thrown), pawl::error,
                              [&](const pawl::error& e) {
                                  return e.code() == pawl::errc::invalid_argument &&
                                         e.detail().find(role) != std::string::npos;
                              });
    }
}

BOOST_AUTO_TEST_CASE(an_engine_that_drives_nothing_takes_no_connector)
{
    asio::io_context io;
    pawl::engine engine{io.get_executor(), {.store = pawl::open_memory(), .client_only = true}};
    const auto client = engine.add(carrying());
    const auto streamer = pawl::store_streamer(pawl::open_memory());
    BOOST_CHECK_EXCEPTION(engine.connect("orders", pawl::from_topic(streamer, "orders"), client,
                                         [](arrived&) -> awaitable<void> { co_return; }),
                          pawl::definition_error, [](const auto& e) {
                              return std::string{e.what()}.find(
                                         "connector \"orders\": engine_options::client_only is "
                                         "true") == 0;
                          });
}

BOOST_AUTO_TEST_SUITE_END()
