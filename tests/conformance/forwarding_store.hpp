#pragma once

#include "pawl/record_store.hpp"

#include <memory>
#include <utility>

/// A store that passes everything on, to be broken in one place.
class forwarding_store : public pawl::record_store {
public:
    explicit forwarding_store(std::shared_ptr<pawl::record_store> sound) : sound_(std::move(sound))
    {
    }

    std::uint32_t shards() const noexcept override { return sound_->shards(); }
    bool shared() const noexcept override { return sound_->shared(); }

    boost::asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        return sound_->apply(batch);
    }

    boost::asio::awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        return sound_->find(id);
    }

    boost::asio::awaitable<std::optional<pawl::record>> latest(std::string_view workflow,
                                                               std::string_view foreign_id) override
    {
        return sound_->latest(workflow, foreign_id);
    }

    boost::asio::awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        return sound_->list(query);
    }

    boost::asio::awaitable<std::vector<pawl::status_count>> count(std::string_view workflow,
                                                                  bool unfinished_only) override
    {
        return sound_->count(workflow, unfinished_only);
    }

    boost::asio::awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                               pawl::time_point until, std::size_t limit) override
    {
        return sound_->due(shard, from, until, limit);
    }

    boost::asio::awaitable<std::vector<pawl::event>>
    events(std::uint32_t shard, std::uint64_t after, std::size_t limit) override
    {
        return sound_->events(shard, after, limit);
    }

    boost::asio::awaitable<std::vector<pawl::event>> history(pawl::run_id run, std::uint64_t after,
                                                             std::size_t limit) override
    {
        return sound_->history(run, after, limit);
    }

    boost::asio::awaitable<std::vector<pawl::message>> inbox(pawl::run_id run, std::uint64_t after,
                                                             std::size_t limit) override
    {
        return sound_->inbox(run, after, limit);
    }

    boost::asio::awaitable<std::optional<pawl::settlement>> outcome(pawl::run_id run,
                                                                    std::uint64_t sequence) override
    {
        return sound_->outcome(run, sequence);
    }

    boost::asio::awaitable<std::uint64_t> cursor(std::string_view name,
                                                 std::uint32_t shard) override
    {
        return sound_->cursor(name, shard);
    }

    boost::asio::awaitable<std::optional<pawl::lease>> claim(std::uint32_t shard,
                                                             std::string_view owner,
                                                             pawl::time_point now,
                                                             pawl::time_point until) override
    {
        return sound_->claim(shard, owner, now, until);
    }

    boost::asio::awaitable<void> release(pawl::lease held) override
    {
        return sound_->release(held);
    }

protected:
    std::shared_ptr<pawl::record_store> sound_;
};
