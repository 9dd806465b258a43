// A workflow with connectors, on memory or SQLite, on time that the test moves.
#pragma once

#include "pawl/builder.hpp"
#include "pawl/event_streamer.hpp"
#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"
#include "pawl/testing/harness.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace connector_test {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::awaitable;

struct parcel {
    int weight = 0;
    std::vector<std::string> trail;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (weight, trail))

enum class place { here = 1, truck, door };
BOOST_DESCRIBE_ENUM(place, here, truck, door)

/// What events carry.
struct order {
    std::string number;
    int weight = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (number, weight))

using arrived = pawl::event_context<parcel, place>;
using parcels = pawl::client<parcel, place>;

inline pawl::step<place::door> carry(pawl::run<parcel>& run)
{
    run.object().trail.push_back("carried");
    co_return pawl::to<place::door>;
}

/// From here to the door at once.
inline pawl::workflow<parcel, place> carrying(std::string name = "parcels")
{
    pawl::builder<parcel, place> b{std::move(name)};
    b.step<place::here>(carry);
    b.end<place::door>();
    return std::move(b).build();
}

inline pawl::step<place::here, place::door> weigh(pawl::run<parcel>& run, order told)
{
    run.object().weight += told.weight;
    run.object().trail.push_back(told.number);
    if (told.weight < 0)
        co_return pawl::to<place::door>;
    co_return pawl::to<place::here>;
}

inline constexpr pawl::callback<order> weighed{"weighed"};

/// Waits here for callbacks; a negative weight is the last.
inline pawl::workflow<parcel, place> weighing()
{
    pawl::builder<parcel, place> b{"scales"};
    b.start<place::here>();
    b.callback<place::here>(weighed, weigh);
    b.end<place::door>();
    return std::move(b).build();
}

inline pawl::stream_event event_of(std::string id, std::string key, int weight = 1)
{
    pawl::stream_event made;
    made.id = std::move(id);
    made.key = key;
    pawl::codec<order>::encode({std::move(key), weight}, made.payload);
    return made;
}

/// Where runs, topics and roles are kept.
enum class backend { memory, sqlite };

inline std::ostream& operator<<(std::ostream& out, backend which)
{
    return out << (which == backend::memory ? "memory" : "sqlite");
}

inline const auto backends = boost::unit_test::data::make({backend::memory, backend::sqlite});

inline std::shared_ptr<pawl::record_store> open(backend which, std::uint32_t shards = 1)
{
    if (which == backend::memory)
        return pawl::open_memory({.shards = shards});
    return pawl::open_sqlite(":memory:", {.shards = shards});
}

/// A harness whose connectors read topics of its own store.
struct bench {
    using prepare_function = std::function<void(pawl::engine&, bench&)>;

    explicit bench(pawl::workflow<parcel, place> flow, backend which, prepare_function prepare,
                   std::uint32_t shards = 1)
        : workflow(flow), store(open(which, shards)), streamer(pawl::store_streamer(store))
    {
        pawl::testing::harness_options options;
        options.engine.store = store;
        options.engine.clock = clock;
        if (which == backend::sqlite)
            options.real_time_timeout = 5s;
        options.configure = [this, prepare = std::move(prepare)](pawl::engine& to) {
            prepare(to, *this);
        };
        test.emplace(std::move(flow), std::move(options));
    }

    std::shared_ptr<pawl::event_source> topic(std::string name)
    {
        return pawl::from_topic(streamer, std::move(name));
    }

    void send(std::string name, std::vector<pawl::stream_event> events)
    {
        test->wait_for(streamer->send(std::move(name), std::move(events)));
        test->run_until_idle();
    }

    std::vector<pawl::stream_event> events_in(const std::string& name)
    {
        return test->wait_for(store->topic_events(name, 0, 1000));
    }

    std::vector<pawl::snapshot<parcel, place>> runs_of(std::string foreign_id)
    {
        pawl::record_query query;
        query.workflow = workflow.name();
        query.foreign_ids = {std::move(foreign_id)};
        std::vector<pawl::snapshot<parcel, place>> runs;
        for (const auto& each : test->wait_for(store->list(query)).runs)
            runs.push_back(test->find(each.id));
        return runs;
    }

    bool logged(const std::string& part) const
    {
        for (const auto& line : test->log())
            if (line.find(part) != std::string::npos)
                return true;
        return false;
    }

    pawl::workflow<parcel, place> workflow;
    std::shared_ptr<pawl::testing::manual_clock> clock =
        std::make_shared<pawl::testing::manual_clock>();
    std::shared_ptr<pawl::record_store> store;
    std::shared_ptr<pawl::event_streamer> streamer;
    std::optional<pawl::testing::harness<parcel, place>> test;
};

/// Waits on the test's time; throws when it is cancelled.
inline awaitable<void> wait_on(std::shared_ptr<pawl::clock> clock, pawl::duration span)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto timer = clock->make_timer(executor);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, pawl::timer* t, pawl::duration s) {
            asio::any_completion_handler<void()> erased{std::move(handler)};
            if (auto slot = erased.get_cancellation_slot(); slot.is_connected())
                slot.assign([t](asio::cancellation_type) { t->cancel(); });
            t->wait(s, std::move(erased));
        },
        asio::use_awaitable, timer.get(), span);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none)
        throw pawl::system_error(asio::error::operation_aborted);
}

} // namespace connector_test
