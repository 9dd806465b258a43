// Engines on one schema of the tests' server, each on a thread and with a store of its own; some of
// them behind a proxy.
#pragma once

#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/event_streamer.hpp"
#include "pawl/observer.hpp"
#include "postgres/proxy.hpp"
#include "postgres/support.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace postgres_test {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::uint32_t shard_count = 8;
constexpr auto lease_duration = 2s;

/// After this a test fails, whatever it waits for.
constexpr auto patience = 60s;

struct parcel {
    std::string packed_by;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (packed_by))

enum class place { shelf = 1, table, door };
BOOST_DESCRIBE_ENUM(place, shelf, table, door)

using parcels = pawl::client<parcel, place>;
using arrived = pawl::event_context<parcel, place>;

/// What a handler waits for, on the one thread of its engine.
class gate {
public:
    explicit gate(asio::io_context& of) : timer_(of, asio::steady_timer::time_point::max()) {}

    void open()
    {
        is_open_ = true;
        asio::post(timer_.get_executor(), [this] { timer_.cancel(); });
    }

    void close() { is_open_ = false; }

    asio::awaitable<void> pass()
    {
        while (!is_open_)
            co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }

private:
    std::atomic<bool> is_open_{true};
    asio::steady_timer timer_;
};

struct counter final : pawl::observer {
    std::atomic<int> late{0};
    std::atomic<int> interrupted{0};

    void discarded(std::string_view, std::string_view, pawl::discard_reason why) noexcept override
    {
        late += why == pawl::discard_reason::not_owner;
        interrupted += why == pawl::discard_reason::interrupted;
    }
};

/// What the handlers of all members did.
class notes {
public:
    void add(const std::string& what)
    {
        const std::lock_guard lock{mutex_};
        ++times_[what];
    }

    std::map<std::string, int> all()
    {
        const std::lock_guard lock{mutex_};
        return times_;
    }

private:
    std::mutex mutex_;
    std::map<std::string, int> times_;
};

struct member {
    member(std::string called, const std::string& uri, const std::string& schema,
           pawl::duration statement_timeout, pawl::duration lease)
        : name(std::move(called)),
          store(pawl::open_postgres(io.get_executor(), uri,
                                    {.schema = schema,
                                     .shards = shard_count,
                                     .statement_timeout = statement_timeout,
                                     .reconnect_backoff_initial = 10ms,
                                     .reconnect_backoff_max = 100ms}))
    {
        options.store = store;
        options.name = name;
        options.lease_duration = lease;
        options.poll_interval = 1s;
        options.observer = counted;
        options.roles = pawl::store_role_scheduler(store, {.owner = name, .lease_duration = lease});
    }

    ~member()
    {
        client.reset();
        engine.reset();
        options = {};
        busy.reset();
        if (thread.joinable())
            thread.join();
    }

    void run()
    {
        thread = std::thread{[this] {
            io.run();
        }};
    }

    /// Runs an operation on the member's thread to its end; throws what it throws.
    template <class T>
    T finish(asio::awaitable<T> operation)
    {
        auto result = asio::co_spawn(io, std::move(operation), asio::use_future);
        if (result.wait_for(patience) != std::future_status::ready)
            throw std::runtime_error("an operation did not end in time"); // on any thread
        return result.get();
    }

    std::vector<pawl::lease> leases()
    {
        return finish(engine->async_statistics(asio::use_awaitable)).leases;
    }

    const std::string name;
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> busy = asio::make_work_guard(io);
    std::shared_ptr<pawl::record_store> store;
    gate steps{io};
    gate events{io};
    std::atomic<int> events_begun{0};
    std::shared_ptr<counter> counted = std::make_shared<counter>();
    pawl::engine_options options;
    std::optional<pawl::engine> engine;
    std::optional<parcels> client;
    std::thread thread;
};

/// Packs a parcel: the tape is used once, then the gate is waited for.
struct pack_step {
    member* self;
    notes* used;

    pawl::step<place::table> operator()(pawl::run<parcel>& run) const
    {
        const auto use_tape = [this, of = run.foreign_id()] {
            used->add("tape for " + of);
        };
        co_await run.once("tape", use_tape);
        co_await self->steps.pass();
        run.object().packed_by = self->name;
        co_return pawl::to<place::table>;
    }
};

inline pawl::step<place::door> carry(pawl::run<parcel>&)
{
    co_return pawl::to<place::door>;
}

/// The hook.
struct note_end {
    notes* ended;

    asio::awaitable<void> operator()(const pawl::snapshot<parcel, place>& run) const
    {
        ended->add(run.foreign_id);
        co_return;
    }
};

class cluster {
public:
    using prepare_function = std::function<void(member&, const pawl::workflow<parcel, place>&)>;

    ~cluster()
    {
        between.heal();
        for (auto& each : members)
            if (each.engine)
                each.finish(each.engine->async_stop(0s, asio::use_awaitable));
    }

    member& start(std::string name, const std::string& uri, const prepare_function& prepare = {})
    {
        auto& added = members.emplace_back(std::move(name), uri, schema, statement_timeout, lease);
        added.options.log = [this](const pawl::log_entry&) {
            news.notify_all();
        };
        added.engine.emplace(added.io.get_executor(), added.options);
        pawl::builder<parcel, place> b{"parcels"};
        b.step<place::shelf>(pack_step{&added, &used});
        b.step<place::table>(carry);
        b.end<place::door>();
        b.on_complete(note_end{&ended});
        const auto flow = std::move(b).build();
        added.client = added.engine->add(flow);
        if (prepare)
            prepare(added, flow);
        added.run();
        added.finish(added.engine->async_start(asio::use_awaitable));
        return added;
    }

    member& start_beside(std::string name, const prepare_function& prepare = {})
    {
        return start(std::move(name), server().uri(), prepare);
    }

    member& start_behind_proxy(std::string name, const prepare_function& prepare = {})
    {
        return start(std::move(name),
                     fmt::format("host=127.0.0.1 port={} user=postgres dbname=postgres "
                                 "gssencmode=disable",
                                 between.port()),
                     prepare);
    }

    /// Looks again and again, and whenever somebody has logged something.
    void wait_until(const std::function<bool()>& holds)
    {
        const auto end = std::chrono::steady_clock::now() + patience;
        while (!holds()) {
            BOOST_REQUIRE(std::chrono::steady_clock::now() < end);
            std::unique_lock lock{mutex};
            news.wait_for(lock, 10ms);
        }
    }

    void wait_for_shares(member& a, member& b)
    {
        wait_until([&] {
            return a.leases().size() == shard_count / 2 && b.leases().size() == shard_count / 2;
        });
    }

    /// Foreign ids in shards that `owner` has.
    std::vector<std::string> ids_of(member& owner, std::size_t count)
    {
        std::vector<std::string> ids;
        const auto leases = owner.leases();
        BOOST_REQUIRE(!leases.empty());
        while (ids.size() < count) {
            auto id = fmt::format("parcel-{}", ++last_id);
            const auto shard = pawl::shard_of(id, shard_count);
            if (std::ranges::find(leases, shard, &pawl::lease::shard) != leases.end())
                ids.push_back(std::move(id));
        }
        return ids;
    }

    std::vector<pawl::run_id> trigger(member& by, const std::vector<std::string>& ids)
    {
        std::vector<pawl::run_id> runs;
        for (const auto& id : ids)
            runs.push_back(
                by.finish(by.client->async_trigger(id, parcel{}, {}, asio::use_awaitable)));
        return runs;
    }

    pawl::snapshot<parcel, place> end_of(member& by, pawl::run_id run)
    {
        return by.finish(by.client->async_await_finished(run, asio::use_awaitable));
    }

    /// The life of a parcel, each version and each move once.
    void check_history(member& by, pawl::run_id run)
    {
        using enum pawl::event_kind;
        const auto all = by.finish(by.client->async_history(run, 0, 100, asio::use_awaitable));
        std::uint64_t version = 0;
        for (const auto& each : all)
            BOOST_TEST(each.version == ++version);
        for (const auto kind : {started, moved, completed})
            BOOST_TEST(std::ranges::count(all, kind, &pawl::event::kind) == 1);
        BOOST_TEST((all.back().kind == completed));
    }

    /// That whatever was used was used once.
    void check_used(std::size_t things)
    {
        const auto all = used.all();
        BOOST_TEST(all.size() == things);
        for (const auto& [what, times] : all)
            BOOST_TEST(times == 1, what);
    }

    pawl::duration statement_timeout = 30s; ///< of the members that start next
    pawl::duration lease = lease_duration;  ///< of those too
    const std::string schema = fresh_schema();
    proxy between{fmt::format("{}/.s.PGSQL.{}", server().folder(), server().port())};
    std::mutex mutex;
    std::condition_variable news;
    notes used;
    notes ended; ///< what the hooks were told
    int last_id = 0;
    std::deque<member> members;
};

} // namespace postgres_test
