#pragma once

#include "pawl/record_store.hpp"

#include <memory>
#include <utility>

namespace pawl {

/// A store that forwards each call to another store. Derive from it to change one thing: to encrypt
/// objects, to count calls, to inject faults.
///
/// Three functions keep their defaults: apply_apart(), try_apply() and try_find(). So each change
/// goes through apply() or make_transaction(), and each run that is asked for by its id goes
/// through find().
///
/// A store that changes records overrides each function that takes or returns them: apply() and
/// make_transaction(); find(), latest(), list(), due(), finished_before() and finished_behind(). If
/// it changes messages, also inbox(); events, also events() and history(); topics, also
/// topic_events().
///
/// @par Thread Safety
/// As the inner store.
class forwarding_store : public record_store {
public:
    explicit forwarding_store(std::shared_ptr<record_store> inner) : inner_(std::move(inner)) {}

    std::uint32_t shards() const noexcept override { return inner_->shards(); }
    bool shared() const noexcept override { return inner_->shared(); }

    boost::asio::awaitable<std::vector<std::uint32_t>>
    first_shards(std::vector<std::string> workflows) override
    {
        return inner_->first_shards(std::move(workflows));
    }

    boost::asio::awaitable<std::optional<time_point>> now() override { return inner_->now(); }

    boost::asio::awaitable<std::vector<apply_result>> apply(std::span<const change> batch) override
    {
        return inner_->apply(batch);
    }

    std::unique_ptr<store_transaction> make_transaction(transaction_work work) override
    {
        return inner_->make_transaction(std::move(work));
    }

    boost::asio::awaitable<std::optional<record>> find(run_id id) override
    {
        return inner_->find(id);
    }

    boost::asio::awaitable<std::optional<record>> latest(std::string_view workflow,
                                                         std::string_view foreign_id) override
    {
        return inner_->latest(workflow, foreign_id);
    }

    boost::asio::awaitable<record_page> list(const record_query& query) override
    {
        return inner_->list(query);
    }

    boost::asio::awaitable<std::vector<status_count>> count(std::string_view workflow,
                                                            bool unfinished_only) override
    {
        return inner_->count(workflow, unfinished_only);
    }

    boost::asio::awaitable<child_counts> count_children(run_id parent) override
    {
        return inner_->count_children(parent);
    }

    boost::asio::awaitable<due_page> due(std::uint32_t shard, due_position first, time_point latest,
                                         std::size_t limit) override
    {
        return inner_->due(shard, first, latest, limit);
    }

    boost::asio::awaitable<std::vector<event>>
    events(std::uint32_t shard, std::uint64_t after_sequence, std::size_t limit) override
    {
        return inner_->events(shard, after_sequence, limit);
    }

    boost::asio::awaitable<std::vector<event>> history(run_id run, std::uint64_t after_version,
                                                       std::size_t limit) override
    {
        return inner_->history(run, after_version, limit);
    }

    boost::asio::awaitable<std::vector<message>> inbox(run_id run, std::uint64_t after_sequence,
                                                       std::size_t limit) override
    {
        return inner_->inbox(run, after_sequence, limit);
    }

    boost::asio::awaitable<std::optional<settlement>> outcome(run_id run,
                                                              std::uint64_t sequence) override
    {
        return inner_->outcome(run, sequence);
    }

    boost::asio::awaitable<std::uint64_t> cursor(std::string_view name,
                                                 std::uint32_t shard) override
    {
        return inner_->cursor(name, shard);
    }

    boost::asio::awaitable<std::vector<lease>> claim(std::vector<std::uint32_t> shards,
                                                     std::string_view owner,
                                                     duration lease_duration) override
    {
        return inner_->claim(std::move(shards), owner, lease_duration);
    }

    boost::asio::awaitable<void> release(std::vector<lease> held_leases) override
    {
        return inner_->release(std::move(held_leases));
    }

    boost::asio::awaitable<std::vector<lease>> leases() override { return inner_->leases(); }

    boost::asio::awaitable<std::vector<record>> finished_before(std::uint32_t shard,
                                                                std::string_view workflow,
                                                                time_point cutoff,
                                                                std::size_t limit) override
    {
        return inner_->finished_before(shard, workflow, cutoff, limit);
    }

    boost::asio::awaitable<std::vector<record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, finished_position position,
                    time_point cutoff, std::size_t limit) override
    {
        return inner_->finished_behind(shard, workflow, position, cutoff, limit);
    }

    boost::asio::awaitable<std::uint64_t> log_end(std::uint32_t shard) override
    {
        return inner_->log_end(shard);
    }

    boost::asio::awaitable<std::vector<stream_event>>
    topic_events(std::string_view topic, std::uint64_t after_position, std::size_t limit) override
    {
        return inner_->topic_events(topic, after_position, limit);
    }

    boost::asio::awaitable<std::uint64_t> topic_end(std::string_view topic) override
    {
        return inner_->topic_end(topic);
    }

    boost::asio::awaitable<std::optional<role_lease>>
    claim_role(std::string_view role, std::string_view owner, duration lease_duration) override
    {
        return inner_->claim_role(role, owner, lease_duration);
    }

    boost::asio::awaitable<void> release_role(role_lease held_lease) override
    {
        return inner_->release_role(std::move(held_lease));
    }

    boost::asio::awaitable<std::vector<role_lease>> roles(std::string_view prefix) override
    {
        return inner_->roles(prefix);
    }

    boost::asio::awaitable<void> forget_roles(std::string_view prefix) override
    {
        return inner_->forget_roles(prefix);
    }

    std::shared_ptr<void> subscribe(change_handler handler) override
    {
        return inner_->subscribe(std::move(handler));
    }

    request_queue* requests() noexcept override { return inner_->requests(); }

protected:
    record_store& inner() const noexcept { return *inner_; }

private:
    std::shared_ptr<record_store> inner_;
};

} // namespace pawl
