// A store that fails when a test says so: before it does anything, or after.
#pragma once

#include "engine/support.hpp"
#include "pawl/error.hpp"
#include "pawl/forwarding_store.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace engine_test {

enum class fault {
    none,
    refused,     ///< nothing was done
    answer_lost, ///< it was done, and nobody knows
};

/// Asks `fails` before each call, with the call's name; hands the rest on.
class faulty_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    std::function<fault(const std::string& call)> fails = [](const std::string&) {
        return fault::none;
    };

    /// The error of what is refused.
    pawl::errc refusal = pawl::errc::store_unavailable;

    /// What the next applies see, the first first; then `fails` is asked again.
    std::vector<fault> next_applies;

    boost::asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        auto what = fault::none;
        if (next_applies.empty()) {
            what = fails("apply");
        } else {
            what = next_applies.front();
            next_applies.erase(next_applies.begin());
        }
        refuse_if(what == fault::refused);
        auto results = co_await inner().apply(batch);
        refuse_if(what == fault::answer_lost);
        co_return results;
    }

    boost::asio::awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        refuse("find");
        auto found = co_await inner().find(id);
        co_return found;
    }

    boost::asio::awaitable<std::optional<pawl::record>> latest(std::string_view workflow,
                                                               std::string_view id) override
    {
        refuse("latest");
        auto found = co_await inner().latest(workflow, id);
        co_return found;
    }

    boost::asio::awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        refuse("list");
        auto page = co_await inner().list(query);
        co_return page;
    }

    boost::asio::awaitable<std::vector<pawl::status_count>> count(std::string_view workflow,
                                                                  bool unfinished) override
    {
        refuse("count");
        auto counts = co_await inner().count(workflow, unfinished);
        co_return counts;
    }

    boost::asio::awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                               pawl::time_point until, std::size_t limit) override
    {
        refuse("due");
        auto page = co_await inner().due(shard, from, until, limit);
        co_return page;
    }

    boost::asio::awaitable<std::vector<pawl::event>>
    events(std::uint32_t shard, std::uint64_t after, std::size_t limit) override
    {
        refuse("events");
        auto found = co_await inner().events(shard, after, limit);
        co_return found;
    }

    boost::asio::awaitable<std::vector<pawl::event>> history(pawl::run_id run, std::uint64_t after,
                                                             std::size_t limit) override
    {
        refuse("history");
        auto found = co_await inner().history(run, after, limit);
        co_return found;
    }

    boost::asio::awaitable<std::vector<pawl::message>> inbox(pawl::run_id run, std::uint64_t after,
                                                             std::size_t limit) override
    {
        refuse("inbox");
        auto found = co_await inner().inbox(run, after, limit);
        co_return found;
    }

    boost::asio::awaitable<std::optional<pawl::settlement>> outcome(pawl::run_id run,
                                                                    std::uint64_t sequence) override
    {
        refuse("outcome");
        auto found = co_await inner().outcome(run, sequence);
        co_return found;
    }

    boost::asio::awaitable<std::uint64_t> cursor(std::string_view name,
                                                 std::uint32_t shard) override
    {
        refuse("cursor");
        auto found = co_await inner().cursor(name, shard);
        co_return found;
    }

    boost::asio::awaitable<std::vector<pawl::lease>> claim(std::vector<std::uint32_t> shards,
                                                           std::string_view owner,
                                                           pawl::duration lease_duration) override
    {
        const auto what = fails("claim");
        refuse_if(what == fault::refused);
        auto claimed = co_await inner().claim(std::move(shards), owner, lease_duration);
        refuse_if(what == fault::answer_lost);
        co_return claimed;
    }

    boost::asio::awaitable<std::vector<pawl::lease>> leases() override
    {
        refuse("leases");
        auto all = co_await inner().leases();
        co_return all;
    }

    boost::asio::awaitable<void> release(std::vector<pawl::lease> held) override
    {
        refuse("release");
        co_await inner().release(std::move(held));
    }

    boost::asio::awaitable<std::vector<pawl::record>> finished_before(std::uint32_t shard,
                                                                      std::string_view workflow,
                                                                      pawl::time_point before,
                                                                      std::size_t limit) override
    {
        refuse("finished_before");
        auto found = co_await inner().finished_before(shard, workflow, before, limit);
        co_return found;
    }

    boost::asio::awaitable<std::vector<pawl::record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, pawl::finished_position after,
                    pawl::time_point before, std::size_t limit) override
    {
        refuse("finished_behind");
        auto found = co_await inner().finished_behind(shard, workflow, after, before, limit);
        co_return found;
    }

    boost::asio::awaitable<std::uint64_t> log_end(std::uint32_t shard) override
    {
        refuse("log_end");
        const auto end = co_await inner().log_end(shard);
        co_return end;
    }

    boost::asio::awaitable<std::vector<pawl::stream_event>>
    topic_events(std::string_view topic, std::uint64_t after, std::size_t limit) override
    {
        refuse("topic_events");
        auto found = co_await inner().topic_events(topic, after, limit);
        co_return found;
    }

    boost::asio::awaitable<std::uint64_t> topic_end(std::string_view topic) override
    {
        refuse("topic_end");
        const auto end = co_await inner().topic_end(topic);
        co_return end;
    }

    boost::asio::awaitable<std::optional<pawl::role_lease>>
    claim_role(std::string_view role, std::string_view owner,
               pawl::duration lease_duration) override
    {
        refuse("claim_role");
        auto claimed = co_await inner().claim_role(role, owner, lease_duration);
        co_return claimed;
    }

    boost::asio::awaitable<void> release_role(pawl::role_lease held) override
    {
        refuse("release_role");
        co_await inner().release_role(std::move(held));
    }

    boost::asio::awaitable<void> forget_roles(std::string_view prefix) override
    {
        refuse("forget_roles");
        co_await inner().forget_roles(prefix);
    }

    boost::asio::awaitable<std::vector<std::uint32_t>>
    first_shards(std::vector<std::string> workflows) override
    {
        refuse("first_shards");
        auto first = co_await inner().first_shards(std::move(workflows));
        co_return first;
    }

    boost::asio::awaitable<std::optional<pawl::time_point>> now() override
    {
        refuse("now");
        const auto at = co_await inner().now();
        co_return at;
    }

    boost::asio::awaitable<std::vector<pawl::role_lease>> roles(std::string_view prefix) override
    {
        refuse("roles");
        auto held = co_await inner().roles(prefix);
        co_return held;
    }

private:
    void refuse_if(bool wanted) const
    {
        if (wanted)
            throw pawl::error(refusal, "the test's store is down");
    }

    void refuse(const std::string& call) { refuse_if(fails(call) != fault::none); }
};

/// A world whose store can be made to fail.
struct faulty_world : world {
    std::shared_ptr<faulty_store> faults = std::make_shared<faulty_store>(store);
    std::map<std::string, int> calls; ///< of handlers, by name

    faulty_world() { store = faults; }
    ~faulty_world()
    {
        repair();
        if (engine)
            stop();
    }

    void fail(std::set<std::string> calls_that_fail)
    {
        faults->fails = [down = std::move(calls_that_fail)](const std::string& call) {
            return down.contains(call) ? fault::refused : fault::none;
        };
    }

    void repair()
    {
        faults->next_applies.clear();
        faults->fails = [](const std::string&) {
            return fault::none;
        };
    }
};

} // namespace engine_test
