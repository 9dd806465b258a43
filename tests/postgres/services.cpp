// Services with different workflows on one PostgreSQL, each engine on a thread and with a store of
// its own: whatever a workflow has is driven by an engine that has it, in time.
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/schedule.hpp"
#include "pawl/testing/manual_clock.hpp"
#include "postgres/support.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

BOOST_AUTO_TEST_SUITE(postgres_services)

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// After this a test fails, whatever it waits for.
constexpr auto patience = 60s;

constexpr std::uint32_t slices = 8;

struct parcel {
    int value = 0;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (value))

enum class place { shelf = 1, table, door };
BOOST_DESCRIBE_ENUM(place, shelf, table, door)

using parcels = pawl::client<parcel, place>;

/// What the handlers of all engines did, and who waits for it.
class notes {
public:
    void step(const std::string& workflow, const std::string& engine)
    {
        const std::lock_guard lock{mutex_};
        ++steps_;
        drivers_[workflow].insert(engine);
        changed_.notify_all();
    }

    void hook()
    {
        const std::lock_guard lock{mutex_};
        ++hooks_;
        changed_.notify_all();
    }

    void line(std::string text)
    {
        const std::lock_guard lock{mutex_};
        log_.push_back(std::move(text));
    }

    bool wait_for(std::size_t steps, std::size_t hooks)
    {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, patience,
                                 [&] { return steps_ >= steps && hooks_ >= hooks; });
    }

    std::size_t steps()
    {
        const std::lock_guard lock{mutex_};
        return steps_;
    }

    std::set<std::string> drivers(const std::string& workflow)
    {
        const std::lock_guard lock{mutex_};
        return drivers_[workflow];
    }

    std::size_t logged(std::string_view text)
    {
        const std::lock_guard lock{mutex_};
        return static_cast<std::size_t>(std::ranges::count_if(
            log_, [&](const std::string& line) { return line.find(text) != std::string::npos; }));
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t steps_ = 0;
    std::size_t hooks_ = 0;
    std::map<std::string, std::set<std::string>> drivers_;
    std::vector<std::string> log_;
};

struct service {
    service(notes& shared, std::string called, const std::string& schema,
            const std::vector<std::string>& workflows, bool drive = true,
            std::shared_ptr<pawl::clock> clock = pawl::default_clock())
        : name(std::move(called)), store(pawl::open_postgres(io.get_executor(), server().uri(),
                                                             {.schema = schema, .shards = slices}))
    {
        pawl::engine_options options;
        options.store = store;
        options.clock = std::move(clock);
        options.name = name;
        options.client_only = !drive;
        options.lease_duration = 2s;
        options.log = [&shared](const pawl::log_entry& entry) {
            shared.line(to_string(entry));
        };
        engine.emplace(io.get_executor(), options);
        for (const auto& each : workflows)
            clients.emplace(each, engine->add(flow_of(each, shared)));
        thread = std::thread{[this] {
            io.run();
        }};
        finish(engine->async_start(asio::use_awaitable));
    }

    ~service()
    {
        if (engine)
            finish(engine->async_stop(5s, asio::use_awaitable));
        clients.clear();
        engine.reset();
        busy.reset();
        thread.join();
    }

    pawl::workflow<parcel, place> flow_of(const std::string& workflow, notes& shared)
    {
        pawl::builder<parcel, place> b{workflow};
        b.step<place::shelf>(
            [this, &shared, workflow](pawl::run<parcel>&) -> pawl::step<place::door> {
                shared.step(workflow, name);
                co_return pawl::to<place::door>;
            });
        b.callback<place::table>("carry",
                                 [](pawl::run<parcel>& run, int value) -> pawl::step<place::door> {
                                     run.object().value = value;
                                     co_return pawl::to<place::door>;
                                 });
        b.start<place::shelf>().start<place::table>();
        b.end<place::door>();
        b.on_complete([&shared](const pawl::snapshot<parcel, place>&) -> asio::awaitable<void> {
            shared.hook();
            co_return;
        });
        return std::move(b).build();
    }

    template <class T>
    T finish(asio::awaitable<T> operation)
    {
        auto result = asio::co_spawn(io, std::move(operation), asio::use_future);
        BOOST_REQUIRE((result.wait_for(patience) == std::future_status::ready));
        return result.get();
    }

    std::size_t owned()
    {
        return finish(engine->async_statistics(asio::use_awaitable)).leases.size();
    }

    void trigger(const std::string& workflow, const std::string& prefix, int count)
    {
        finish(trigger_all(clients.at(workflow), prefix, count));
    }

    static asio::awaitable<void> trigger_all(parcels by, std::string prefix, int count)
    {
        for (int i = 0; i < count; ++i)
            co_await by.async_trigger(prefix + std::to_string(i), parcel{}, {},
                                      asio::use_awaitable);
    }

    const std::string name;
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> busy = asio::make_work_guard(io);
    std::shared_ptr<pawl::record_store> store;
    std::optional<pawl::engine> engine;
    std::map<std::string, parcels> clients;
    std::thread thread;
};

void wait_until(const std::function<bool()>& holds)
{
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!holds())
        BOOST_REQUIRE(std::chrono::steady_clock::now() < end);
}

} // namespace

BOOST_AUTO_TEST_CASE(runs_schedules_and_hooks_of_two_services_are_in_time_through_a_deployment)
{
    const auto schema = fresh_schema();
    notes all;
    service tool{all, "tool", schema, {}};
    std::deque<service> bills;
    std::deque<service> post;
    bills.emplace_back(all, "bills-1", schema, std::vector<std::string>{"invoices"});
    bills.emplace_back(all, "bills-2", schema, std::vector<std::string>{"invoices"});
    post.emplace_back(all, "post-1", schema, std::vector<std::string>{"mails"});
    wait_until([&] {
        return bills[0].owned() == slices / 2 && bills[1].owned() == slices / 2 &&
               post[0].owned() == slices;
    });
    BOOST_TEST(tool.owned() == 0u);
    bills[0].trigger("invoices", "i", 500);
    post[0].trigger("mails", "m", 500);
    BOOST_TEST(all.wait_for(1'000, 1'000));
    BOOST_TEST(all.drivers("invoices") == (std::set<std::string>{"bills-1", "bills-2"}),
               boost::test_tools::per_element());
    BOOST_TEST(all.drivers("mails") == std::set<std::string>{"post-1"},
               boost::test_tools::per_element());

    {
        pawl::schedules slots{post[0].clients.at("mails")};
        for (int i = 0; i < 12; ++i)
            post[0].finish(slots.async_set("slot " + std::to_string(i), parcel{},
                                           {.when = "@every 1s"}, asio::use_awaitable));
    }

    // A deployment that adds a workflow: the new engine comes before the old one goes.
    post.emplace_back(all, "post-2", schema, std::vector<std::string>{"mails", "letters"});
    post[1].trigger("letters", "l", 500);
    bills[1].trigger("invoices", "more", 500);
    post.pop_front();
    wait_until([&] { return post[0].owned() == 2 * slices; });
    BOOST_TEST(all.wait_for(2'000, 2'000));
    BOOST_TEST(all.drivers("letters") == std::set<std::string>{"post-2"},
               boost::test_tools::per_element());
    const auto before = all.steps();
    BOOST_TEST(all.wait_for(before + 24, 0)); // two slots of each schedule
    {
        pawl::schedules slots{post[0].clients.at("mails")};
        for (const auto& each : post[0].finish(slots.async_list(asio::use_awaitable)))
            BOOST_TEST(each.fired >= 1u);
    }
    BOOST_TEST(tool.owned() == 0u);
    BOOST_TEST(all.logged("does not have") == 0u);
}

BOOST_AUTO_TEST_CASE(roles_of_engines_that_ended_are_gone)
{
    const auto schema = fresh_schema();
    notes all;
    for (int i = 0; i < 20; ++i)
        service{all, "each", schema, {"invoices"}};
    // Of one that was killed.
    ask(fmt::format("INSERT INTO {}.roles VALUES ('pawl.engine/dead/0', 'dead', 1, 1)", schema));
    service last{all, "last", schema, {"invoices"}};
    BOOST_TEST(ask(fmt::format("SELECT count(*) FROM {}.roles", schema)) == "1");
}

BOOST_AUTO_TEST_CASE(a_client_with_a_wrong_clock_delays_and_expires_nothing)
{
    for (const auto wrong_by : {-1h, 1h}) {
        const auto schema = fresh_schema();
        notes all;
        service driver{all, "driver", schema, {"invoices"}};
        const auto now = std::chrono::floor<pawl::duration>(std::chrono::system_clock::now());
        const auto clock = std::make_shared<pawl::testing::manual_clock>(now + wrong_by);
        service client{all, "client", schema, {"invoices"}, false, clock};
        client.trigger("invoices", "i", 1);
        BOOST_TEST(all.wait_for(1, 1));
        auto& invoices = client.clients.at("invoices");
        const auto run = client.finish(invoices.async_trigger(
            "waits", parcel{}, {.start = place::table}, asio::use_awaitable));
        client.finish(
            invoices.async_send(run, "carry", 7, {.expires_after = 30s}, asio::use_awaitable));
        const auto ended = driver.finish(
            driver.clients.at("invoices").async_await_finished(run, asio::use_awaitable));
        BOOST_TEST(ended.object.value == 7);
        client.finish(client.engine->async_stop(0s, asio::use_awaitable));
    }
}

BOOST_AUTO_TEST_CASE(the_shards_of_an_older_schema_become_those_of_its_workflows)
{
    const auto schema = fresh_schema();
    notes all;
    {
        service before{all, "before", schema, {"invoices", "mails"}};
        for (const auto* workflow : {"invoices", "mails"})
            before.finish(before.clients.at(workflow).async_trigger(
                "waits", parcel{}, {.start = place::table}, asio::use_awaitable));
        pawl::schedules slots{before.clients.at("mails")};
        before.finish(
            slots.async_set("slot", parcel{}, {.when = "@every 1s"}, asio::use_awaitable));
        BOOST_TEST(all.wait_for(1, 1));
    }
    return_to_second_version(schema);
    // As the first version had it: all workflows share the shards of the first one.
    ask(fmt::format(
        "SET search_path = {0};"
        "UPDATE events SET position = (position & ((1::bigint << 48) - 1)) "
        "  + (((position >> 48) % {1}) << 48) + ((SELECT count(*) FROM events) << 20) "
        "  WHERE position >> 48 >= {1};"
        "UPDATE runs SET shard = shard % {1}; UPDATE due SET shard = shard % {1};"
        "DELETE FROM cursors WHERE shard >= {1}; DELETE FROM shards WHERE shard >= {1};"
        "UPDATE shards SET next_sequence = 1 + (SELECT coalesce(max(position & ((1::bigint << 48) "
        "  - 1)), 0) FROM events WHERE position >> 48 = shard);"
        "DROP FUNCTION add_workflow; ALTER TABLE workflows DROP COLUMN first_shard;"
        "UPDATE meta SET version = 1",
        schema, slices));
    service after{all, "after", schema, {"mails", "invoices"}};
    const auto steps = all.steps();
    BOOST_TEST(all.wait_for(steps + 2, 0));
    for (const auto* workflow : {"invoices", "mails"}) {
        auto& client = after.clients.at(workflow);
        after.finish(client.async_call(std::string{"waits"}, "carry", 3, {}, asio::use_awaitable));
        const auto ended =
            after.finish(client.async_find_latest("waits", asio::use_awaitable)).value();
        BOOST_TEST((ended.status == place::door));
        BOOST_TEST(
            after.finish(client.async_history(ended.id, 0, 100, asio::use_awaitable)).size() == 2u);
    }
}

BOOST_AUTO_TEST_SUITE_END()
