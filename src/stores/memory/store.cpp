#include "core/saturating_add.hpp"
#include "pawl/memory.hpp"
#include "stores/memory/state.hpp"

#include <mutex>
#include <thread>

namespace pawl {

namespace {

/// How many runs a listing checks before it releases the mutex for others.
constexpr std::size_t list_portion = 1024;

/// A mutex that is held for less time than it takes to block a thread, so lock() spins before it
/// blocks.
class brief_mutex {
public:
    void lock()
    {
        for (int attempt = 0; attempt < attempts; ++attempt) {
            if (inner_.try_lock())
                return;
            std::this_thread::yield();
        }
        inner_.lock();
    }

    void unlock() { inner_.unlock(); }

private:
    static constexpr int attempts = 20; ///< some microseconds

    std::mutex inner_;
};

/// Guards the state with a mutex. No call suspends, so none changes threads while it is locked.
class memory_store final : public record_store {
public:
    explicit memory_store(memory_options options)
        : clock_(std::move(options.clock)), shared_(options.shared),
          state_(options.shards, options.shared)
    {
        if (shared_)
            state_.collect_changes();
    }

    std::uint32_t shards() const noexcept override { return state_.shards_per_workflow(); }
    bool shared() const noexcept override { return shared_; }

    boost::asio::awaitable<std::vector<std::uint32_t>>
    first_shards(std::vector<std::string> workflows) override
    {
        std::vector<std::uint32_t> first;
        const std::lock_guard lock{mutex_};
        for (const auto& workflow : workflows)
            first.push_back(state_.first_shard(workflow));
        co_return first;
    }

    boost::asio::awaitable<std::optional<time_point>> now() override
    {
        co_return shared_ ? std::optional{clock_->now()} : std::nullopt;
    }

    boost::asio::awaitable<std::vector<apply_result>> apply(std::span<const change> batch) override
    {
        std::unique_lock lock{mutex_};
        auto results = state_.apply(batch);
        notify_subscribers(std::move(lock));
        co_return results;
    }

    std::optional<apply_result> try_apply(const change& only) override
    {
        std::unique_lock lock{mutex_};
        auto result = state_.apply(only);
        notify_subscribers(std::move(lock));
        return result;
    }

    std::shared_ptr<void> subscribe(change_handler handler) override
    {
        if (!shared_)
            return nullptr;
        auto subscription = std::make_shared<change_handler>(std::move(handler));
        const std::lock_guard lock{mutex_};
        subscribers_.push_back(subscription);
        return subscription;
    }

    boost::asio::awaitable<std::optional<record>> find(run_id id) override
    {
        co_return try_find(id);
    }

    std::optional<record> try_find(run_id id) override
    {
        const std::lock_guard lock{mutex_};
        const auto* found = state_.find(id);
        return found ? std::optional{*found} : std::nullopt;
    }

    boost::asio::awaitable<std::optional<record>> latest(std::string_view workflow,
                                                         std::string_view foreign_id) override
    {
        const std::lock_guard lock{mutex_};
        if (const auto* found = state_.latest(workflow, foreign_id))
            co_return *found;
        co_return std::nullopt;
    }

    boost::asio::awaitable<record_page> list(const record_query& query) override
    {
        record_page page;
        std::optional<memory::state::scan> position;
        for (bool done = false; !done;) {
            const std::lock_guard lock{mutex_};
            if (!position)
                position = state_.begin_list(query);
            done = state_.continue_list(query, *position, list_portion, page);
        }
        co_return page;
    }

    boost::asio::awaitable<std::vector<status_count>> count(std::string_view workflow,
                                                            bool unfinished_only) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.count(workflow, unfinished_only);
    }

    boost::asio::awaitable<child_counts> count_children(run_id parent) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.count_children(parent);
    }

    boost::asio::awaitable<due_page> due(std::uint32_t shard, due_position from, time_point until,
                                         std::size_t limit) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.due(shard, from, until, limit);
    }

    boost::asio::awaitable<std::vector<event>> events(std::uint32_t shard, std::uint64_t after,
                                                      std::size_t limit) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.events(shard, after, limit);
    }

    boost::asio::awaitable<std::vector<event>> history(run_id run, std::uint64_t after,
                                                       std::size_t limit) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.history(run, after, limit);
    }

    boost::asio::awaitable<std::vector<message>> inbox(run_id run, std::uint64_t after,
                                                       std::size_t limit) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.inbox(run, after, limit);
    }

    boost::asio::awaitable<std::optional<settlement>> outcome(run_id run,
                                                              std::uint64_t sequence) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.outcome(run, sequence);
    }

    boost::asio::awaitable<std::uint64_t> cursor(std::string_view name,
                                                 std::uint32_t shard) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.cursor(name, shard);
    }

    boost::asio::awaitable<std::vector<record>> finished_before(std::uint32_t shard,
                                                                std::string_view workflow,
                                                                time_point before,
                                                                std::size_t limit) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.finished_before(shard, workflow, before, limit);
    }

    boost::asio::awaitable<std::vector<record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, finished_position after,
                    time_point before, std::size_t limit) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.finished_behind(shard, workflow, after, before, limit);
    }

    boost::asio::awaitable<std::uint64_t> log_end(std::uint32_t shard) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.log_end(shard);
    }

    boost::asio::awaitable<std::vector<stream_event>>
    topic_events(std::string_view topic, std::uint64_t after, std::size_t limit) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.topic_events(topic, after, limit);
    }

    boost::asio::awaitable<std::uint64_t> topic_end(std::string_view topic) override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.topic_end(topic);
    }

    boost::asio::awaitable<std::optional<role_lease>>
    claim_role(std::string_view role, std::string_view owner, duration lease_duration) override
    {
        const auto now = clock_->now();
        const std::lock_guard lock{mutex_};
        co_return state_.claim_role(role, owner, now, core::saturating_add(now, lease_duration));
    }

    boost::asio::awaitable<void> release_role(role_lease held) override
    {
        const std::lock_guard lock{mutex_};
        state_.release_role(held);
        co_return;
    }

    boost::asio::awaitable<std::vector<role_lease>> roles(std::string_view prefix) override
    {
        const auto now = clock_->now();
        const std::lock_guard lock{mutex_};
        co_return state_.roles(prefix, now);
    }

    boost::asio::awaitable<void> forget_roles(std::string_view prefix) override
    {
        const auto now = clock_->now();
        const std::lock_guard lock{mutex_};
        state_.forget_roles(prefix, now);
        co_return;
    }

    boost::asio::awaitable<std::vector<lease>> claim(std::vector<std::uint32_t> shards,
                                                     std::string_view owner,
                                                     duration lease_duration) override
    {
        const auto now = clock_->now();
        const auto until = shared_ ? core::saturating_add(now, lease_duration) : time_point::max();
        const std::lock_guard lock{mutex_};
        co_return state_.claim(shards, owner, now, until);
    }

    boost::asio::awaitable<void> release(std::vector<lease> held) override
    {
        const std::lock_guard lock{mutex_};
        state_.release(held);
        co_return;
    }

    boost::asio::awaitable<std::vector<lease>> leases() override
    {
        const std::lock_guard lock{mutex_};
        co_return state_.leases();
    }

private:
    /// Releases the lock, and then notifies the subscribers of the commits made under it.
    void notify_subscribers(std::unique_lock<brief_mutex> lock)
    {
        if (!shared_)
            return;
        const auto changes = state_.take_changes();
        std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber.expired(); });
        const auto subscribers = subscribers_;
        lock.unlock();
        for (const auto& subscriber : subscribers)
            if (const auto handler = subscriber.lock(); handler && !changes.empty())
                (*handler)(changes);
    }

    const std::shared_ptr<clock> clock_;
    const bool shared_;
    brief_mutex mutex_;
    memory::state state_;
    std::vector<std::weak_ptr<change_handler>> subscribers_;
};

} // namespace

std::shared_ptr<record_store> open_memory(memory_options options)
{
    core::check_shard_count("memory_options", options.shards);
    core::check_clock("memory_options", options.clock);
    return std::make_shared<memory_store>(std::move(options));
}

} // namespace pawl
