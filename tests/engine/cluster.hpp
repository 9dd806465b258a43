// Engines on one store that is shared, each with a context and a door to the store of its own.
#pragma once

#include "engine/faulty_store.hpp"

#include "pawl/observer.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace engine_test {

constexpr std::uint32_t shard_count = 8;
constexpr auto lease_duration = 10s;

struct late_counter : pawl::observer {
    int late = 0;

    void discarded(std::string_view, std::string_view, pawl::discard_reason why) noexcept override
    {
        if (why == pawl::discard_reason::not_owner)
            ++late;
    }
};

/// An engine with a thread of its own, as it were: its context runs only when the test lets it.
struct member {
    asio::io_context io;
    std::shared_ptr<faulty_store> door;
    std::shared_ptr<late_counter> counter = std::make_shared<late_counter>();
    std::shared_ptr<pawl::testing::manual_clock> clock;
    pawl::engine_options options;
    std::optional<pawl::engine> engine;
    std::optional<lamps> client;
    bool frozen = false;
};

struct cluster {
    std::shared_ptr<pawl::testing::manual_clock> clock =
        std::make_shared<pawl::testing::manual_clock>();
    std::shared_ptr<pawl::record_store> store =
        pawl::open_memory({.shards = shard_count, .shared = true, .clock = clock});
    std::deque<member> members;
    std::vector<std::string> log;

    ~cluster()
    {
        for (auto& each : members)
            if (each.engine)
                stop(each);
    }

    /// An engine that has not been started.
    member& add(std::shared_ptr<pawl::testing::manual_clock> own_clock = nullptr)
    {
        auto& added = members.emplace_back();
        added.clock = own_clock ? own_clock : clock;
        added.door = std::make_shared<faulty_store>(store);
        added.options.store = added.door;
        added.options.clock = added.clock;
        added.options.name = std::string(1, static_cast<char>('a' + (members.size() - 1) % 26));
        added.options.lease_duration = lease_duration;
        added.options.observer = added.counter;
        added.options.log = [this](const pawl::log_entry& entry) {
            log.push_back(to_string(entry));
        };
        return added;
    }

    void start(member& added, const std::function<void(member&)>& prepare)
    {
        added.engine.emplace(added.io.get_executor(), added.options);
        prepare(added);
        wait_for(added, added.engine->async_start(asio::use_awaitable));
    }

    member& start(const std::function<pawl::workflow<lamp, light>(member&)>& make,
                  bool drive = true)
    {
        auto& added = add();
        added.options.client_only = !drive;
        start(added, [&make](member& self) { self.client = self.engine->add(make(self)); });
        return added;
    }

    bool has_logged(std::string_view text) const { return times_logged(text) > 0; }

    long times_logged(std::string_view text) const
    {
        return std::ranges::count_if(
            log, [text](const std::string& line) { return line.find(text) != std::string::npos; });
    }

    void stop(member& leaving, pawl::duration drain = 0s)
    {
        leaving.frozen = false;
        leaving.door->fails = [](const std::string&) {
            return fault::none;
        };
        bool stopped = false;
        leaving.engine->async_stop(drain, [&](pawl::error_code) { stopped = true; });
        advance_until([&] { return stopped; });
        leaving.engine.reset();
    }

    /// From now on nothing that it does reaches the store.
    static void cut_off(member& dead)
    {
        dead.door->fails = [](const std::string&) {
            return fault::refused;
        };
    }

    static void reconnect(member& back)
    {
        back.door->fails = [](const std::string&) {
            return fault::none;
        };
    }

    void settle()
    {
        std::size_t ran = 1;
        while (ran > 0) {
            ran = 0;
            for (auto& each : members) {
                if (each.frozen)
                    continue;
                each.io.restart();
                ran += each.io.poll();
            }
        }
    }

    /// All clocks go on alike, whatever they say.
    void advance(pawl::duration span)
    {
        std::set<std::shared_ptr<pawl::testing::manual_clock>> clocks{clock};
        for (const auto& each : members)
            clocks.insert(each.clock);
        settle();
        while (span > 0us) {
            auto part = span;
            for (const auto& each : clocks)
                if (const auto next = each->next_wait())
                    part = std::min(part, std::max<pawl::duration>(*next - each->now(), 1us));
            for (const auto& each : clocks)
                each->advance(part);
            span -= part;
            settle();
        }
    }

    void advance_until(const std::function<bool()>& done, pawl::duration limit = 1h)
    {
        const auto end = clock->now() + limit;
        settle();
        while (!done()) {
            BOOST_REQUIRE(clock->now() < end);
            advance(100ms);
        }
    }

    template <class T>
    T wait_for(member& of, asio::awaitable<T> operation)
    {
        std::optional<T> result;
        std::exception_ptr failure;
        asio::co_spawn(of.io, std::move(operation), [&](std::exception_ptr e, T value) {
            failure = e;
            result.emplace(std::move(value));
        });
        advance_until([&] { return result.has_value(); });
        if (failure)
            std::rethrow_exception(failure);
        return std::move(*result);
    }

    void wait_for(member& of, asio::awaitable<void> operation)
    {
        std::optional<std::exception_ptr> result;
        asio::co_spawn(of.io, std::move(operation), [&](std::exception_ptr e) { result = e; });
        advance_until([&] { return result.has_value(); });
        if (*result)
            std::rethrow_exception(*result);
    }

    std::size_t owned_by(const member& of)
    {
        return wait_for(const_cast<member&>(of), of.engine ? statistics(of) : none()).leases.size();
    }

    static asio::awaitable<pawl::engine_statistics> statistics(const member& of)
    {
        auto now = co_await const_cast<pawl::engine&>(*of.engine).async_statistics();
        co_return now;
    }

    static asio::awaitable<pawl::engine_statistics> none() { co_return pawl::engine_statistics{}; }

    /// A foreign id in a shard that `owner` has.
    std::string id_of(member& owner)
    {
        const auto leases = wait_for(owner, statistics(owner)).leases;
        BOOST_REQUIRE(!leases.empty());
        for (int i = 0;; ++i) {
            const auto id = "id-" + std::to_string(i);
            const auto shard = pawl::shard_of(id, shard_count);
            if (std::ranges::any_of(leases, [&](const auto& l) { return l.shard == shard; }) &&
                used.insert(id).second)
                return id;
        }
    }

    pawl::run_id trigger(member& by, const std::string& id)
    {
        return wait_for(by, by.client->async_trigger(id, lamp{}, {}, asio::use_awaitable));
    }

    pawl::snapshot<lamp, light> state_of(member& by, pawl::run_id run)
    {
        return wait_for(by, by.client->async_find(run, asio::use_awaitable)).value();
    }

    std::vector<pawl::event> history(member& by, pawl::run_id run)
    {
        return wait_for(by, by.client->async_history(run, 0, 1000, asio::use_awaitable));
    }

    std::set<std::string> used;
};

} // namespace engine_test
