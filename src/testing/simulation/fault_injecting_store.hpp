#pragma once

#include "pawl/forwarding_store.hpp"
#include "testing/simulation/process.hpp"

#include <memory>
#include <utility>

namespace pawl::testing::detail {

/// The store as one process sees it: calls are delayed, rejected or lose their answers.
class fault_injecting_store final : public forwarding_store {
public:
    /// @param in_place whether try_apply() is supported.
    fault_injecting_store(std::shared_ptr<record_store> inner, process& owner, bool in_place)
        : forwarding_store(std::move(inner)), process_(owner), in_place_(in_place)
    {
    }

    std::optional<apply_result> try_apply(const change& only) override;
    boost::asio::awaitable<std::vector<apply_result>> apply(std::span<const change> batch) override;
    boost::asio::awaitable<std::optional<record>> find(run_id id) override;
    boost::asio::awaitable<due_page> due(std::uint32_t shard, due_position from, time_point until,
                                         std::size_t limit) override;
    boost::asio::awaitable<std::vector<lease>> claim(std::vector<std::uint32_t> shards,
                                                     std::string_view owner,
                                                     duration lease_duration) override;
    boost::asio::awaitable<void> release(std::vector<lease> held) override;
    boost::asio::awaitable<void> release_role(role_lease held) override;
    std::shared_ptr<void> subscribe(change_handler handler) override;
    boost::asio::awaitable<std::vector<std::uint32_t>>
    first_shards(std::vector<std::string> workflows) override;
    boost::asio::awaitable<void> forget_roles(std::string_view prefix) override;

    boost::asio::awaitable<std::optional<time_point>> now() override
    {
        return reading("now", inner().now());
    }

    boost::asio::awaitable<std::optional<record>> latest(std::string_view workflow,
                                                         std::string_view foreign_id) override
    {
        return reading("latest", inner().latest(workflow, foreign_id));
    }
    boost::asio::awaitable<record_page> list(const record_query& query) override
    {
        return reading("list", inner().list(query));
    }
    boost::asio::awaitable<std::vector<status_count>> count(std::string_view workflow,
                                                            bool unfinished_only) override
    {
        return reading("count", inner().count(workflow, unfinished_only));
    }
    boost::asio::awaitable<std::vector<event>> events(std::uint32_t shard, std::uint64_t after,
                                                      std::size_t limit) override
    {
        return reading("events", inner().events(shard, after, limit));
    }
    boost::asio::awaitable<std::vector<event>> history(run_id run, std::uint64_t after,
                                                       std::size_t limit) override
    {
        return reading("history", inner().history(run, after, limit));
    }
    boost::asio::awaitable<std::vector<message>> inbox(run_id run, std::uint64_t after,
                                                       std::size_t limit) override
    {
        return reading("inbox", inner().inbox(run, after, limit));
    }
    boost::asio::awaitable<std::optional<settlement>> outcome(run_id run,
                                                              std::uint64_t sequence) override
    {
        return reading("outcome", inner().outcome(run, sequence));
    }
    boost::asio::awaitable<std::uint64_t> cursor(std::string_view name,
                                                 std::uint32_t shard) override;
    boost::asio::awaitable<std::vector<record>> finished_before(std::uint32_t shard,
                                                                std::string_view workflow,
                                                                time_point before,
                                                                std::size_t limit) override
    {
        return reading("finished_before", inner().finished_before(shard, workflow, before, limit));
    }
    boost::asio::awaitable<std::vector<record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, finished_position after,
                    time_point before, std::size_t limit) override
    {
        return reading("finished_behind",
                       inner().finished_behind(shard, workflow, after, before, limit));
    }
    boost::asio::awaitable<std::uint64_t> log_end(std::uint32_t shard) override
    {
        return reading("log_end", inner().log_end(shard));
    }
    boost::asio::awaitable<std::optional<role_lease>>
    claim_role(std::string_view role, std::string_view owner, duration lease_duration) override
    {
        return reading("claim_role", inner().claim_role(role, owner, lease_duration));
    }
    boost::asio::awaitable<std::vector<role_lease>> roles(std::string_view prefix) override
    {
        return reading("roles", inner().roles(prefix));
    }
    boost::asio::awaitable<std::vector<lease>> leases() override;

private:
    template <class T>
    boost::asio::awaitable<T> reading(const char* name, boost::asio::awaitable<T> call)
    {
        const auto drawn = co_await process_.begin_store_call(name, false);
        auto result = co_await std::move(call);
        co_await process_.end_store_call(name, drawn);
        co_return result;
    }

    void record_results(std::span<const change> batch, const std::vector<apply_result>& results);

    process& process_;
    const bool in_place_;
};

} // namespace pawl::testing::detail
